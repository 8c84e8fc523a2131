/** Image files, decoded by sharp: the frames of a folder, and pictures, still or moving, that are clips of their own. */

import { readFile } from 'node:fs/promises';
import sharp, { type Sharp } from 'sharp';
import { codeOf, DataError, messageOf } from './errors.ts';
import type { DamageHandling, FrameSource } from './frame-source.ts';
import { defaultFramesPerSecond } from './frame-times.ts';
import type { Image } from './image/image.ts';
import { openVideoSource, type VideoDecoding } from './video-source.ts';

// One image at a time and no cache: parallelism comes from the loader's threads, and a frame is rarely read twice.
sharp.concurrency(1);
sharp.cache(false);

/**
 * Decodes an image file (JPEG, PNG and what else sharp reads) to 8-bit RGB as stored; grey is spread to three channels
 * and transparency is dropped.
 * @throws DataError that names the file if it is missing or damaged
 */
export async function decodeImageFile(file: string): Promise<Image> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(file);
  } catch (error) {
    const problem =
      codeOf(error) === 'ENOENT' ? 'the frame does not exist' : `the frame cannot be read (${codeOf(error)})`;
    throw new DataError(`${file}: ${problem}`, 'check the list against the folder, and the image template', {
      cause: error,
    });
  }
  try {
    return await toRgb(sharp(bytes, { failOn: 'truncated' }));
  } catch (error) {
    throw cannotDecode(file, 'the frame', 'extract it again', error);
  }
}

/**
 * Opens a picture (JPEG, PNG, WebP, AVIF) as a clip, of one frame unless it moves, turned upright as its EXIF data say.
 * Nothing is read before it is asked for.
 */
export function openPictureFile(file: string, damage: DamageHandling = 'error'): FrameSource {
  let reading: Promise<{ bytes: Uint8Array; stamps: readonly number[] }> | undefined;
  const picture = (): Promise<{ bytes: Uint8Array; stamps: readonly number[] }> => {
    reading ??= readPicture(file);
    return reading;
  };
  const container: VideoDecoding['container'] = async () => ({
    stamps: (await picture()).stamps,
    framesPerSecond: defaultFramesPerSecond,
  });
  return openVideoSource(file, damage, {
    container,
    scan: async () => {
      const shown = await container();
      return { frames: shown.stamps.length, damage: undefined, shown };
    },
    decode: async (visit, last = Number.POSITIVE_INFINITY) => {
      const { bytes, stamps } = await picture();
      const frames = Math.min(stamps.length, last + 1);
      const failOn = damage === 'tolerate' ? 'none' : 'truncated';
      for (let page = 0; page < frames; page++) {
        const image = (): Promise<Image> =>
          toRgb(sharp(bytes, { failOn, page }).autoOrient()).catch((error: unknown) => {
            throw cannotDecode(file, 'the picture', 'it is damaged; replace it', error);
          });
        await visit({ damaged: false, image }, page);
      }
      return { frames, damage: undefined };
    },
  });
}

/** The bytes of a picture and when its frames are shown, in seconds. */
async function readPicture(file: string): Promise<{ bytes: Uint8Array; stamps: readonly number[] }> {
  try {
    const bytes = await readFile(file);
    const { pages = 1, delay = [] } = await sharp(bytes).metadata();
    const stamps = [0];
    for (let page = 1; page < pages; page++) {
      stamps.push((stamps[page - 1] ?? 0) + (delay[page - 1] ?? 1000 / defaultFramesPerSecond) / 1000);
    }
    return { bytes, stamps };
  } catch (error) {
    throw cannotDecode(file, 'the picture', 'it is damaged; replace it', error);
  }
}

function cannotDecode(file: string, what: string, hint: string, error: unknown): DataError {
  const reason = messageOf(error).split('\n')[0] ?? '';
  return new DataError(`${file}: ${what} cannot be decoded (${reason})`, hint, { cause: error });
}

async function toRgb(image: Sharp): Promise<Image> {
  const { data, info } = await image
    .toColourspace('srgb')
    .removeAlpha()
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true });
  return { width: info.width, height: info.height, data: threeChannels(data, info.channels) };
}

function threeChannels(data: Uint8Array, channels: number): Uint8Array {
  if (channels === 3) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const rgb = new Uint8Array((data.length / channels) * 3);
  for (let pixel = 0; pixel * 3 < rgb.length; pixel++) rgb.fill(data[pixel * channels] ?? 0, pixel * 3, pixel * 3 + 3);
  return rgb;
}
