/**
 * Frames of a video file through node-av, FFmpeg's libraries in the process. Frames are numbered as they come out of
 * the decoder, without duplication or dropping, and always by one pass from the start: seeking is not exact everywhere.
 */

import type * as Constants from 'node-av/constants';
import type * as Library from 'node-av/lib';
import { codeOf, DataError, messageOf } from './errors.ts';
import { countThenRead, type DamageHandling, type FrameSource } from './frame-source.ts';
import type { Image } from './image/image.ts';
import { type Orientation, orientationOf, upright } from './orientation.ts';
import { colourSpaceOf, planesToRgb, planPixels } from './video-colour.ts';

/** The loaded optional dependency. */
export interface NodeAv {
  readonly library: typeof Library;
  readonly constants: typeof Constants;
}

/** Either the loaded library or the reason why there is none. */
export type NodeAvResult = { readonly nodeAv: NodeAv } | { readonly reason: string };

let loading: Promise<NodeAvResult> | undefined;

/** Loads node-av once; it is an optional dependency, so its absence is an answer, not an error. */
export function loadNodeAv(): Promise<NodeAvResult> {
  loading ??= importNodeAv();
  return loading;
}

async function importNodeAv(): Promise<NodeAvResult> {
  try {
    const [library, constants] = await Promise.all([import('node-av/lib'), import('node-av/constants')]);
    library.Log.setLevel(constants.AV_LOG_QUIET);
    return { nodeAv: { library, constants } };
  } catch (error) {
    if (codeOf(error) === 'ERR_MODULE_NOT_FOUND') return { reason: 'node-av is not installed' };
    return { reason: `node-av does not load (${messageOf(error).split('\n')[0]})` };
  }
}

/** Opens a video file. Nothing is read before it is asked for. */
export function openVideoWithNodeAv(nodeAv: NodeAv, file: string, damage: DamageHandling = 'error'): FrameSource {
  let count: number | undefined;
  const learn = (decoding: Decoding): number => {
    complainOfDamage(decoding, file, damage);
    if (decoding.frames === 0) {
      throw new DataError(`${file}: no frame can be decoded`, 'the video is damaged or empty; replace it');
    }
    count = decoding.frames;
    return count;
  };
  const source: FrameSource = {
    access: 'sequential',
    frameCount: async () => count ?? learn(decode(nodeAv, file, () => 'next')),
    read: async (indices) => {
      if (indices.length === 0) return [];
      const last = Math.max(...indices);
      const { decoding, images } = collect(nodeAv, file, damage, indices, last);
      complainOfDamage(decoding, file, damage, last);
      return inOrder(images, indices, decoding.frames, file);
    },
    readChosen: async (choose) => {
      // Frames are chosen by what the container says and kept in the pass that counts; rarely is it wrong, and then
      // a second pass is made.
      const expected = count ?? expectedFrames(nodeAv, file);
      if (expected === 0) return countThenRead(source, choose);
      const indices = choose(expected);
      const { decoding, images } = collect(nodeAv, file, damage, indices);
      const frameCount = learn(decoding);
      if (frameCount !== expected) return countThenRead(source, choose);
      return { frameCount, images: inOrder(images, indices, frameCount, file) };
    },
    close: async () => {},
  };
  return source;
}

/** Decodes up to frame `last`, or to the end, and converts the frames at `indices`. */
function collect(
  nodeAv: NodeAv,
  file: string,
  damage: DamageHandling,
  indices: readonly number[],
  last?: number,
): { decoding: Decoding; images: Map<number, Image> } {
  const wanted = new Set(indices);
  const images = new Map<number, Image>();
  const decoding = decode(nodeAv, file, (frame, index, convert) => {
    if (wanted.has(index)) {
      if (frame.decodeErrorFlags !== 0 && damage === 'error') {
        throw new DataError(`${file}: frame ${index + 1} is damaged`, 'replace the video');
      }
      images.set(index, convert(frame));
    }
    return index === last ? 'stop' : 'next';
  });
  return { decoding, images };
}

function inOrder(images: Map<number, Image>, indices: readonly number[], frames: number, file: string): Image[] {
  return indices.map((index) => {
    const image = images.get(index);
    if (image !== undefined) return image;
    throw new DataError(
      `${file}: frame ${index + 1} was asked for, but only ${frames} can be decoded`,
      'the video is cut off, or the list gives too many frames for it',
    );
  });
}

interface Decoding {
  /** frames that came out of the decoder */
  readonly frames: number;
  /** what the decoder refused, in words, or undefined */
  readonly damage: string | undefined;
}

function complainOfDamage(decoding: Decoding, file: string, handling: DamageHandling, last?: number): void {
  if (decoding.damage === undefined || handling === 'tolerate') return;
  const asked = last === undefined || last < decoding.frames ? '' : `frame ${last + 1} was asked for, but `;
  throw new DataError(
    `${file}: the video is damaged or cut off: ${asked}${decoding.frames} frames could be decoded and ${decoding.damage}`,
    'replace the video',
  );
}

type Convert = (frame: Library.Frame) => Image;
type Visit = (frame: Library.Frame, index: number, convert: Convert) => 'next' | 'stop';

interface OpenedStream {
  readonly container: Library.FormatContext;
  readonly stream: Library.Stream;
}

/** Opens the container and its first video stream that is no cover picture. What is to be freed is put into `release`. */
function openStream({ library, constants }: NodeAv, file: string, release: (() => void)[]): OpenedStream {
  const container = new library.FormatContext();
  checkCode(library, container.openInputSync(file), `${file}: the video cannot be opened`);
  release.push(() => container.closeInputSync());
  checkCode(library, container.findStreamInfoSync(), `${file}: the streams of the video cannot be read`);
  const stream = container.streams.find(
    (candidate) =>
      candidate.codecpar.codecType === constants.AVMEDIA_TYPE_VIDEO &&
      (candidate.disposition & constants.AV_DISPOSITION_ATTACHED_PIC) === 0,
  );
  if (stream === undefined) throw new DataError(`${file}: there is no video stream in it`, 'expected a video file');
  for (const other of container.streams) if (other.index !== stream.index) other.discard = constants.AVDISCARD_ALL;
  return { container, stream };
}

function checkCode(library: typeof Library, code: number, problem: string): void {
  if (code >= 0) return;
  const reason = new library.FFmpegError(code).message;
  throw new DataError(`${problem} (${reason})`, 'expected a video file that is complete');
}

/** The number of frames that the container gives, or else its packets: mostly, but not always, the frames that decode. */
function expectedFrames(nodeAv: NodeAv, file: string): number {
  const release: (() => void)[] = [];
  try {
    const { container, stream } = openStream(nodeAv, file, release);
    if (stream.nbFrames > 0n) return Number(stream.nbFrames);
    const packet = new nodeAv.library.Packet();
    packet.alloc();
    release.push(() => packet.free());
    let packets = 0;
    while (container.readFrameSync(packet) >= 0) {
      if (packet.streamIndex === stream.index) packets += 1;
      packet.unref();
    }
    return packets;
  } finally {
    for (const free of release.reverse()) free();
  }
}

/** Decodes the first video stream from its start and shows every frame to `visit` until that says stop. */
function decode(nodeAv: NodeAv, file: string, visit: Visit): Decoding {
  const { library, constants } = nodeAv;
  const release: (() => void)[] = [];
  try {
    const { container, stream } = openStream(nodeAv, file, release);
    const decoder = library.Codec.findDecoder(stream.codecpar.codecId);
    if (decoder === null) {
      throw new DataError(
        `${file}: there is no decoder for its codec ${stream.codecpar.codecId}`,
        're-encode the video',
      );
    }
    const codec = new library.CodecContext();
    codec.allocContext3(decoder);
    release.push(() => codec.freeContext());
    checkCode(library, codec.parametersToContext(stream.codecpar), `${file}: its video stream is not usable`);
    codec.threadCount = 1; // the loader's threads are the parallelism
    checkCode(library, codec.open2Sync(decoder, null), `${file}: the decoder ${decoder.name} cannot be started`);

    const packet = new library.Packet();
    packet.alloc();
    release.push(() => packet.free());
    const frame = new library.Frame();
    frame.alloc();
    release.push(() => frame.free());
    const converter = frameConverter(nodeAv, displayOrientation(stream, constants, file), file);
    release.push(converter.free);

    let frames = 0;
    let refused = 0;
    let stopped = false;
    const drain = (): void => {
      while (!stopped) {
        const code = codec.receiveFrameSync(frame);
        if (code < 0) {
          if (code !== constants.AVERROR_EAGAIN && code !== constants.AVERROR_EOF) refused += 1;
          return;
        }
        stopped = visit(frame, frames, converter.convert) === 'stop';
        frames += 1;
        frame.unref();
      }
    };
    let code = 0;
    while (!stopped) {
      code = container.readFrameSync(packet);
      if (code < 0) break;
      if (packet.streamIndex === stream.index && codec.sendPacketSync(packet) < 0) refused += 1;
      packet.unref();
      drain();
    }
    if (!stopped) {
      codec.sendPacketSync(null);
      drain();
    }
    const unread = code < 0 && code !== constants.AVERROR_EOF;
    const parts = [
      refused > 0 ? `the decoder refused ${refused === 1 ? 'one packet' : `${refused} packets`}` : '',
      unread ? 'the rest could not be read' : '',
    ];
    return { frames, damage: parts.filter((part) => part !== '').join(', ') || undefined };
  } finally {
    for (const free of release.reverse()) free();
  }
}

function displayOrientation(
  stream: Library.Stream,
  constants: typeof Constants,
  file: string,
): Orientation | undefined {
  const bytes = stream.codecpar.getCodedSideData(constants.AV_PKT_DATA_DISPLAYMATRIX);
  if (bytes === null || bytes.length < 36) return undefined;
  return orientationOf(new Int32Array(Uint8Array.from(bytes).buffer, 0, 9), file);
}

/**
 * Converts decoded frames to upright RGB images of the first frame's size. Planar 8-bit YUV goes through our own matrix;
 * other formats are first changed by swscale, in depth or packing to such planes, or to RGB if they are not YUV.
 */
function frameConverter(
  { library, constants }: NodeAv,
  orientation: Orientation | undefined,
  file: string,
): { convert: Convert; free: () => void } {
  const formats = {
    yuv420p: constants.AV_PIX_FMT_YUV420P,
    yuv422p: constants.AV_PIX_FMT_YUV422P,
    yuv444p: constants.AV_PIX_FMT_YUV444P,
    rgb24: constants.AV_PIX_FMT_RGB24,
  };
  let size: { width: number; height: number } | undefined;
  let scaler: { key: string; context: Library.SoftwareScaleContext; frame: Library.Frame } | undefined;
  const free = (): void => {
    scaler?.context.freeContext();
    scaler?.frame.free();
    scaler = undefined;
  };

  /** Scaler and target for frames like this one, kept as long as they do not change. */
  const scalerFor = (source: Library.Frame, target: Constants.AVPixelFormat, width: number, height: number) => {
    const key = `${source.width}x${source.height} ${source.format}`;
    if (scaler?.key === key) return scaler;
    free();
    const context = new library.SoftwareScaleContext();
    context.allocContext();
    const format = source.format as Constants.AVPixelFormat; // a video decoder gives no sample format
    context.getContext(source.width, source.height, format, width, height, target, constants.SWS_BICUBIC);
    const frame = new library.Frame();
    frame.alloc();
    scaler = { key, context, frame };
    frame.width = width;
    frame.height = height;
    frame.format = target;
    if (context.initContext() < 0 || frame.getBuffer() < 0) {
      throw new DataError(`${file}: pixel format ${format} cannot be converted`, 're-encode the video as yuv420p');
    }
    return scaler;
  };

  const convert = (frame: Library.Frame): Image => {
    size ??= { width: frame.width, height: frame.height };
    const { width, height } = size;
    const plan = planPixels(library.avGetPixFmtName(frame.format as Constants.AVPixelFormat) ?? '');
    let bytes: Buffer;
    if (plan.direct && frame.width === width && frame.height === height) {
      bytes = frame.toBuffer();
    } else {
      const { context, frame: scaled } = scalerFor(frame, formats[plan.layout], width, height);
      if (context.scaleFrameSync(scaled, frame) < 0) {
        throw new DataError(`${file}: a frame cannot be converted to RGB`, 're-encode the video as yuv420p');
      }
      bytes = scaled.toBuffer();
    }
    if (plan.layout === 'rgb24') return upright({ width, height, data: Uint8Array.from(bytes) }, orientation);
    const fullRange = plan.fullRange || frame.colorRange === constants.AVCOL_RANGE_JPEG;
    const space = colourSpaceOf(frame.colorSpace);
    return upright(planesToRgb(bytes, width, height, plan.layout, space, fullRange), orientation);
  };
  return { convert, free };
}
