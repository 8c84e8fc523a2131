/**
 * Frames of a video in a browser: mediabunny reads the container, WebCodecs decodes, and the planes go through the same
 * matrix as in Node, so that both give the same numbers. Pictures, moving or not, are the browser's own to decode.
 */

import type * as Mediabunny from 'mediabunny';
import { DataError, messageOf } from './errors.ts';
import { colourSpaceOfMatrix, rgbOfPlanes } from './frame-planes.ts';
import type { DamageHandling, FrameSource } from './frame-source.ts';
import { defaultFramesPerSecond, type FrameStamps } from './frame-times.ts';
import type { Image } from './image/image.ts';
import { refuseEndlessTables } from './mp4-tables.ts';
import { type Orientation, orientationOfTurn, upright } from './orientation.ts';
import { openPicture } from './picture-browser.ts';
import { pictureTypeOf } from './picture-type.ts';
import type { ColourSpace } from './video-colour.ts';
import { type DecodedFrame, type FrameDecoded, openVideoSource, type VideoPass } from './video-source.ts';

export interface BrowserVideoOptions {
  /** what messages call the clip; default the file's name or the address */
  readonly name?: string;
  /** default `error` */
  readonly damage?: DamageHandling;
}

/**
 * Opens a clip in a browser: a file or its bytes, or an address that the page may fetch. MP4, MOV, Matroska, WebM and
 * MPEG-TS are read as videos; GIF, WebP, AVIF, PNG and JPEG as pictures, moving or a clip of one frame.
 * @throws DataError if its first bytes cannot be read; all else is found out, and said, when frames are asked for
 */
export async function openVideoInBrowser(
  video: Blob | URL | string,
  options: BrowserVideoOptions = {},
): Promise<FrameSource> {
  const { name = nameOf(video), damage = 'error' } = options;
  const type = pictureTypeOf(await firstBytes(video, name));
  if (type !== undefined) return openPicture(name, type, () => allBytes(video, name), damage);

  const library = await import('mediabunny');
  let opened: Promise<OpenedTrack> | undefined;
  const track = (): Promise<OpenedTrack> => {
    opened ??= openTrack(library, video, name);
    return opened;
  };
  return openVideoSource(name, damage, {
    container: async () => containerStamps(library, await track()),
    scan: async () => decode(library, await track(), name, () => {}),
    decode: async (visit, last) => decode(library, await track(), name, visit, last),
    close: async () => (await opened?.catch(() => undefined))?.input.dispose(),
  });
}

function nameOf(video: Blob | URL | string): string {
  if (video instanceof Blob) return video instanceof File ? video.name : 'the video';
  return String(video);
}

/** The beginning of the clip, as far as is needed to tell pictures from videos. */
async function firstBytes(video: Blob | URL | string, name: string): Promise<Uint8Array> {
  if (video instanceof Blob) return new Uint8Array(await video.slice(0, 64).arrayBuffer());
  const reader = (await fetched(video, name, { headers: { Range: 'bytes=0-63' } })).body?.getReader();
  const { value } = (await reader?.read()) ?? {};
  await reader?.cancel(); // a server may send the whole file all the same
  return value ?? new Uint8Array();
}

async function allBytes(video: Blob | URL | string, name: string): Promise<ArrayBuffer> {
  return video instanceof Blob ? video.arrayBuffer() : (await fetched(video, name)).arrayBuffer();
}

async function fetched(address: URL | string, name: string, options: RequestInit = {}): Promise<Response> {
  const hint = 'check the address, and that its server lets this page read it';
  const response = await fetch(address, options).catch((error: unknown) => {
    throw new DataError(`${name}: the clip cannot be fetched (${messageOf(error)})`, hint, { cause: error });
  });
  if (!response.ok) throw new DataError(`${name}: the clip cannot be fetched (status ${response.status})`, hint);
  return response;
}

const containers = 'expected a whole MP4, MOV, WebM, Matroska or MPEG-TS file: convert others, such as AVI and MPEG';

interface OpenedTrack {
  readonly input: Mediabunny.Input;
  readonly track: Mediabunny.InputVideoTrack;
  readonly space: ColourSpace;
  readonly fullRange: boolean;
  readonly orientation: Orientation | undefined;
}

/** Opens the container and its first video track, for which there must be a decoder. */
async function openTrack(library: typeof Mediabunny, video: Blob | URL | string, name: string): Promise<OpenedTrack> {
  if (video instanceof Blob) await refuseEndlessTables(video, name);
  const source = video instanceof Blob ? new library.BlobSource(video) : new library.UrlSource(video);
  const input = new library.Input({ formats: library.ALL_FORMATS, source });
  try {
    const tracks = await input.getVideoTracks().catch((error: unknown) => {
      throw new DataError(`${name}: it cannot be opened as a video in a browser (${messageOf(error)})`, containers, {
        cause: error,
      });
    });
    const [track] = tracks;
    if (track === undefined) throw new DataError(`${name}: there is no video track in it`, containers);
    if (!(await track.canDecode())) {
      const codec = (await track.getCodec()) ?? 'its codec';
      throw new DataError(
        `${name}: this browser has no decoder for ${codec}`,
        'use another browser, or convert the video to H.264, VP9 or AV1',
      );
    }
    const colours = await track.getColorSpace(); // of the container or the stream; nothing where neither says
    const matrix: string | null | undefined = colours.matrix; // the types lack some of WebCodecs' names
    return {
      input,
      track,
      space: colourSpaceOfMatrix(matrix),
      fullRange: colours.fullRange === true,
      orientation: orientationOfTurn(await track.getRotation(), await track.getFlip()),
    };
  } catch (error) {
    input.dispose();
    throw error;
  }
}

/** The times of the packets in the order in which they are shown. */
async function containerStamps(library: typeof Mediabunny, opened: OpenedTrack): Promise<FrameStamps> {
  const stamps = await packetStamps(library, opened, true);
  return { stamps: stamps.sort((a, b) => a - b), framesPerSecond: defaultFramesPerSecond };
}

/** Times of the packets that the container speaks of, or of those whose data are there. */
async function packetStamps(
  library: typeof Mediabunny,
  { track }: OpenedTrack,
  metadataOnly: boolean,
): Promise<number[]> {
  const stamps: number[] = [];
  const packets = new library.EncodedPacketSink(track).packets(undefined, undefined, { metadataOnly });
  for await (const packet of packets) stamps.push(packet.timestamp);
  return stamps;
}

/** A file that is cut off ends without an error: whether packets are missing is told by counting them. */
async function cutOff(library: typeof Mediabunny, opened: OpenedTrack, frames: number): Promise<string | undefined> {
  const said = await packetStamps(library, opened, true);
  if (frames >= said.length) return undefined; // else: some codecs have packets that show nothing
  const there = await packetStamps(library, opened, false);
  return there.length < said.length ? 'the rest could not be read' : undefined;
}

/** Decodes from the first frame to frame `last`, or to the end. */
async function decode(
  library: typeof Mediabunny,
  opened: OpenedTrack,
  name: string,
  visit: FrameDecoded,
  last = Number.POSITIVE_INFINITY,
): Promise<VideoPass & { readonly shown: FrameStamps }> {
  const stamps: number[] = [];
  const samples = new library.VideoSampleSink(opened.track).samples();
  let damage: string | undefined;
  try {
    while (stamps.length <= last) {
      const sample = await samples.next().then(
        ({ value }) => value,
        (error: unknown) => {
          damage = `the decoder says: ${messageOf(error)}`;
        },
      );
      if (!sample) break;
      try {
        stamps.push(sample.timestamp);
        await visit(decodedFrame(sample, opened, name), stamps.length - 1);
      } finally {
        sample.close();
      }
    }
  } finally {
    await samples.return();
  }
  if (stamps.length <= last) damage ??= await cutOff(library, opened, stamps.length);
  return { frames: stamps.length, damage, shown: { stamps, framesPerSecond: defaultFramesPerSecond } };
}

function decodedFrame(sample: Mediabunny.VideoSample, opened: OpenedTrack, name: string): DecodedFrame {
  return { damaged: false, image: async () => upright(await toRgb(sample, opened, name), opened.orientation) };
}

/** The sample as stored, in RGB by our own matrix. */
async function toRgb(sample: Mediabunny.VideoSample, opened: OpenedTrack, name: string): Promise<Image> {
  const image = await rgbOfPlanes(sample, opened.space, opened.fullRange);
  if (image !== undefined) return image;
  throw new DataError(
    `${name}: this browser gives frames of the kind ${sample.format ?? 'that cannot be read'}`,
    'use another browser, or convert the video to 8-bit H.264, VP9 or AV1',
  );
}
