/** Pictures as clips in a browser, still or moving: the browser decodes them, and what is transparent becomes white. */

import { CanvasReader } from './canvas-reader.ts';
import { DataError, messageOf } from './errors.ts';
import type { DamageHandling, FrameSource } from './frame-source.ts';
import { defaultFramesPerSecond, type FrameStamps } from './frame-times.ts';
import type { Image } from './image/image.ts';
import { type FrameDecoded, openVideoSource, type VideoPass } from './video-source.ts';

/** Opens a picture of a known type as a clip. */
export function openPicture(
  name: string,
  type: string,
  read: () => Promise<ArrayBuffer>,
  damage: DamageHandling,
): FrameSource {
  let opened: Promise<OpenedPicture> | undefined;
  const picture = (): Promise<OpenedPicture> => {
    opened ??= open(name, type, read);
    return opened;
  };
  return openVideoSource(name, damage, {
    container: async () => ({ stamps: [], framesPerSecond: defaultFramesPerSecond }), // only decoding tells
    scan: async () => scan(await picture()),
    decode: async (visit, last) => decode(await picture(), visit, last),
    close: async () => (await opened?.catch(() => undefined))?.decoder.close(),
  });
}

interface OpenedPicture {
  readonly bytes: Blob;
  readonly decoder: ImageDecoder;
  readonly frames: number;
}

async function open(name: string, type: string, read: () => Promise<ArrayBuffer>): Promise<OpenedPicture> {
  if (typeof ImageDecoder === 'undefined' || !(await ImageDecoder.isTypeSupported(type))) {
    throw new DataError(`${name}: this browser cannot decode pictures of the type ${type}`, 'use another browser');
  }
  const data = await read();
  const decoder = new ImageDecoder({ type, data, colorSpaceConversion: 'none', preferAnimation: true });
  try {
    await Promise.all([decoder.tracks.ready, decoder.completed]);
  } catch (error) {
    decoder.close();
    throw new DataError(`${name}: the picture cannot be decoded (${messageOf(error)})`, 'it is damaged; replace it', {
      cause: error,
    });
  }
  return { bytes: new Blob([data], { type }), decoder, frames: decoder.tracks.selectedTrack?.frameCount ?? 0 };
}

/** Decodes each frame for its time. */
async function scan({ decoder, frames }: OpenedPicture): Promise<VideoPass & { readonly shown: FrameStamps }> {
  const stamps: number[] = [];
  let damage: string | undefined;
  for (let frameIndex = 0; frameIndex < frames && damage === undefined; frameIndex++) {
    try {
      const { image } = await decoder.decode({ frameIndex });
      stamps.push(image.timestamp / 1e6);
      image.close();
    } catch (error) {
      damage = `the decoder says: ${messageOf(error)}`;
    }
  }
  return { frames: stamps.length, damage, shown: { stamps, framesPerSecond: defaultFramesPerSecond } };
}

/** Frames up to `last`, of which only those are decoded whose picture is asked for. */
async function decode(picture: OpenedPicture, visit: FrameDecoded, last = picture.frames - 1): Promise<VideoPass> {
  const frames = Math.min(picture.frames, last + 1);
  for (let index = 0; index < frames; index++) {
    await visit({ damaged: false, image: () => imageOf(picture, index) }, index);
  }
  return { frames, damage: undefined };
}

/** A frame on white. One that stands still goes another way, which turns it upright and keeps all of its colour. */
async function imageOf({ bytes, decoder, frames }: OpenedPicture, frameIndex: number): Promise<Image> {
  const still = { colorSpaceConversion: 'none', imageOrientation: 'from-image' } as const;
  const shown = frames === 1 ? await createImageBitmap(bytes, still) : (await decoder.decode({ frameIndex })).image;
  try {
    const [width, height] =
      shown instanceof ImageBitmap ? [shown.width, shown.height] : [shown.displayWidth, shown.displayHeight];
    return new CanvasReader().read(shown, width, height);
  } finally {
    shown.close();
  }
}
