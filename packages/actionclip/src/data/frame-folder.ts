/** Frames kept as numbered image files in a folder, as the TSN tools extract them (`img_00001.jpg`, ...). */

import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { codeOf, DataError } from './errors.ts';
import { type FrameSource, readChosenFrames } from './frame-source.ts';
import { defaultFramesPerSecond, regularTimes } from './frame-times.ts';
import type { Image } from './image/image.ts';
import { decodeImageFile } from './picture-file.ts';

export interface FrameFolderOptions {
  /** Python format string with one integer, as in the released configurations; default `img_{:05d}.jpg` */
  readonly imageTemplate?: string;
  /** number of the first file; default 1 */
  readonly indexBias?: number;
  /** rate at which the frames were extracted; default 25 */
  readonly framesPerSecond?: number;
}

export const defaultImageTemplate = 'img_{:05d}.jpg';

/** A template split at its one integer field. */
export interface ImageTemplate {
  readonly prefix: string;
  readonly suffix: string;
  /** least number of digits or blanks */
  readonly width: number;
  readonly fill: '0' | ' ';
}

/**
 * Parses a Python format string with exactly one integer field: `{}`, `{:d}`, `{:05d}`, `{0:05d}`.
 * @throws DataError for any other template
 */
export function parseImageTemplate(template: string): ImageTemplate {
  const match = /^([^{}]*)\{(?:0?)(?::(0?)(\d*)d?)?\}([^{}]*)$/.exec(template);
  if (match === null) {
    throw new DataError(
      `image template "${template}" has no single integer field`,
      `expected a Python format such as "${defaultImageTemplate}" or "frame{:d}.png"`,
    );
  }
  return {
    prefix: match[1] ?? '',
    suffix: match[4] ?? '',
    width: Number(match[3] ?? 0),
    fill: match[2] === '0' ? '0' : ' ',
  };
}

/** The file name of the frame with this number. */
export function frameFileName(template: ImageTemplate, number: number): string {
  return template.prefix + String(number).padStart(template.width, template.fill) + template.suffix;
}

/** Opens a folder of frames. Nothing is read before it is asked for. */
export function openFrameFolder(folder: string, options: FrameFolderOptions = {}): FrameSource {
  const template = parseImageTemplate(options.imageTemplate ?? defaultImageTemplate);
  const bias = options.indexBias ?? 1;
  const rate = options.framesPerSecond ?? defaultFramesPerSecond;
  if (!(rate > 0 && Number.isFinite(rate))) {
    throw new DataError(`${folder}: the rate of its frames is ${rate} a second`, 'expected a number above 0');
  }
  const readFrame = (index: number): Promise<Image> =>
    decodeImageFile(path.join(folder, frameFileName(template, index + bias)));
  const source: FrameSource = {
    access: 'random',
    frameCount: () => countFrames(folder, template, bias),
    frameTimes: async () => regularTimes(await source.frameCount(), rate),
    read: async (indices) => {
      const images = new Map<number, Image>();
      for (const index of indices) {
        if (images.has(index)) continue;
        images.set(index, await readFrame(index));
      }
      return indices.flatMap((index) => images.get(index) ?? []);
    },
    readChosen: (choose) => readChosenFrames(source, choose, folder),
    readEach: async (choose, visit) => {
      const times = await source.frameTimes();
      const chosen = [...new Set(choose(times.length, times))].sort((a, b) => a - b);
      for (const index of chosen) await visit(index, await readFrame(index));
      return times.length;
    },
    close: async () => {},
  };
  return source;
}

/** Counts the files from the first number up to the first that is missing. */
async function countFrames(folder: string, template: ImageTemplate, bias: number): Promise<number> {
  let names: Set<string>;
  try {
    names = new Set(await readdir(folder));
  } catch (error) {
    throw new DataError(`${folder}: the frame folder cannot be read (${codeOf(error)})`, 'check the path', {
      cause: error,
    });
  }
  let count = 0;
  while (names.has(frameFileName(template, count + bias))) count += 1;
  if (count === 0) {
    const first = frameFileName(template, bias);
    const example = [...names]
      .sort()
      .slice(0, 1)
      .map((name) => ` (the folder has "${name}")`)
      .join('');
    throw new DataError(
      `${folder}: there is no frame "${first}"${example}`,
      'set the image template and the index bias',
    );
  }
  return count;
}
