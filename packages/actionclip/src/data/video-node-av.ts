/** Decoding of a video file by node-av, FFmpeg's libraries in the process. */

import type * as Constants from 'node-av/constants';
import type * as Library from 'node-av/lib';
import { codeOf, DataError, messageOf } from './errors.ts';
import type { DamageHandling, FrameSource } from './frame-source.ts';
import { type FrameStamps, rateOf } from './frame-times.ts';
import type { Image } from './image/image.ts';
import { type Orientation, orientationOf, upright } from './orientation.ts';
import { colourSpaceOf, eightBitPlanes, planesToRgb, planPixels } from './video-colour.ts';
import { type DecodedFrame, type FrameDecoded, openVideoSource, type VideoPass } from './video-source.ts';

/** The loaded optional dependency. */
export interface NodeAv {
  readonly library: typeof Library;
  readonly constants: typeof Constants;
}

/** Either the loaded library or the reason why there is none. */
export type NodeAvResult = { readonly nodeAv: NodeAv } | { readonly reason: string };

/** Milliseconds after which decoding lets the rest of the program have a turn: signals, progress. */
const longestTurn = 50;

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
export function openVideoWithNodeAv(
  nodeAv: NodeAv,
  file: string,
  damage: DamageHandling = 'error',
  threads = 1,
): FrameSource {
  return openVideoSource(file, damage, {
    container: async () => containerStamps(nodeAv, file),
    scan: () => decode(nodeAv, file, threads, () => {}),
    decode: (visit, last) => decode(nodeAv, file, threads, visit, last),
  });
}

export interface OpenedStream {
  readonly container: Library.FormatContext;
  readonly stream: Library.Stream;
}

/** Opens the container and its first video stream that is no cover picture. What is to be freed is put into `release`. */
export function openStream({ library, constants }: NodeAv, file: string, release: (() => void)[]): OpenedStream {
  const container = new library.FormatContext();
  checkCode(library, container.openInputSync(file), `${file}: it cannot be opened as a video`);
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

/** @throws DataError that begins with `problem` if `code` is an error of the library */
export function checkCode(library: typeof Library, code: number, problem: string): void {
  if (code >= 0) return;
  const reason = new library.FFmpegError(code).message;
  throw new DataError(`${problem} (${reason})`, 'expected a whole video file: it may be cut off, or be something else');
}

/** The times of the packets that hold frames, in the order in which they are shown; the file is read, not decoded. */
function containerStamps(nodeAv: NodeAv, file: string): FrameStamps {
  const { library, constants } = nodeAv;
  const release: (() => void)[] = [];
  try {
    const { container, stream } = openStream(nodeAv, file, release);
    const packet = new library.Packet();
    packet.alloc();
    release.push(() => packet.free());
    const { timeBase, avgFrameRate } = stream;
    const stamps: (number | undefined)[] = [];
    while (container.readFrameSync(packet) >= 0) {
      const shown = packet.streamIndex === stream.index && (packet.flags & constants.AV_PKT_FLAG_DISCARD) === 0;
      if (shown) stamps.push(secondsOf(packet.pts, timeBase, constants));
      packet.unref();
    }
    stamps.sort((a, b) => Number(a) - Number(b)); // undefined comes last
    return { stamps, framesPerSecond: rateOf(avgFrameRate.num, avgFrameRate.den) };
  } finally {
    for (const free of release.reverse()) free();
  }
}

function secondsOf(stamp: bigint, base: Library.IRational, constants: typeof Constants): number | undefined {
  return stamp === constants.AV_NOPTS_VALUE ? undefined : (Number(stamp) * base.num) / base.den;
}

/** Decodes the first video stream from its start up to frame `last`, or to the end. */
async function decode(
  nodeAv: NodeAv,
  file: string,
  threads: number,
  visit: FrameDecoded,
  last?: number,
): Promise<VideoPass & { readonly shown: FrameStamps }> {
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
    codec.threadCount = threads;
    checkCode(library, codec.open2Sync(decoder, null), `${file}: the decoder ${decoder.name} cannot be started`);

    const packet = new library.Packet();
    packet.alloc();
    release.push(() => packet.free());
    const frame = new library.Frame();
    frame.alloc();
    release.push(() => frame.free());
    const converter = frameConverter(nodeAv, displayOrientation(stream, constants, file), file);
    release.push(converter.free);

    const { timeBase, avgFrameRate } = stream;
    const stamps: (number | undefined)[] = [];
    const decoded: DecodedFrame = {
      get damaged() {
        return frame.decodeErrorFlags !== 0;
      },
      image: () => converter.convert(frame),
    };
    let refused = 0;
    const stopped = (): boolean => last !== undefined && stamps.length > last;
    const drain = async (): Promise<void> => {
      while (!stopped()) {
        const code = codec.receiveFrameSync(frame);
        if (code < 0) {
          if (code !== constants.AVERROR_EAGAIN && code !== constants.AVERROR_EOF) refused += 1;
          return;
        }
        stamps.push(secondsOf(frame.bestEffortTimestamp, timeBase, constants));
        await visit(decoded, stamps.length - 1);
        frame.unref();
      }
    };
    let code = 0;
    let rested = performance.now();
    while (!stopped()) {
      code = container.readFrameSync(packet);
      if (code < 0) break;
      if (packet.streamIndex === stream.index && codec.sendPacketSync(packet) < 0) refused += 1;
      packet.unref();
      await drain();
      if (performance.now() - rested > longestTurn) {
        await new Promise((resolve) => setImmediate(resolve));
        rested = performance.now();
      }
    }
    if (!stopped()) {
      codec.sendPacketSync(null);
      await drain();
    }
    const unread = code < 0 && code !== constants.AVERROR_EOF;
    const parts = [
      refused > 0 ? `the decoder refused ${refused === 1 ? 'one packet' : `${refused} packets`}` : '',
      unread ? 'the rest could not be read' : '',
    ];
    return {
      frames: stamps.length,
      damage: parts.filter((part) => part !== '').join(', ') || undefined,
      shown: { stamps, framesPerSecond: rateOf(avgFrameRate.num, avgFrameRate.den) },
    };
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
 * Converts decoded frames to upright RGB images of the first frame's size. Planar YUV goes through our own matrix,
 * deeper samples rounded to 8 bits; other formats are first changed by swscale, in packing to such planes, or to RGB.
 */
function frameConverter(
  { library, constants }: NodeAv,
  orientation: Orientation | undefined,
  file: string,
): { convert: (frame: Library.Frame) => Image; free: () => void } {
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
    let bytes: Uint8Array;
    if (plan.direct && frame.width === width && frame.height === height) {
      bytes = plan.depth > 8 ? eightBitPlanes(frame.toBuffer(), plan.depth) : frame.toBuffer();
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
