/** Picks how a clip is read: a folder of frames, a picture, or a video file through the decoder that is there. */

import type { Stats } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { codeOf, DataError } from './errors.ts';
import type { FrameFolderOptions } from './frame-folder.ts';
import type { DamageHandling, FrameSource } from './frame-source.ts';
import { isMovingPng, pictureTypeOf } from './picture-type.ts';
import { defaultPrograms, type FfmpegPrograms, findFfmpeg, openVideoWithFfmpeg } from './video-ffmpeg.ts';
import { loadNodeAv, openVideoWithNodeAv } from './video-node-av.ts';

/** Which video decoder to use; `auto` takes node-av if it loads, else the ffmpeg program. */
export type VideoDecoder = 'auto' | 'node-av' | 'ffmpeg';

/** How clips are opened. Plain data, so that it can be sent to worker threads. */
export interface FrameSourceOptions extends FrameFolderOptions {
  readonly decoder?: VideoDecoder;
  /** default `error` */
  readonly damage?: DamageHandling;
  /** default: `ffmpeg` and `ffprobe` on the search path */
  readonly programs?: FfmpegPrograms;
  /**
   * threads that decode one video, 0 for as many as there are processors; default 1, as a loader reads many clips at
   * once. The frames are the same, except for how a decoder fills in what is damaged.
   */
  readonly threads?: number;
}

/**
 * Opens a clip: a folder is taken for frames, and a file, whatever its name, by its first bytes for a picture (JPEG,
 * PNG, WebP or AVIF, a clip of one frame unless it moves) or else for a video, of which GIF and APNG are kinds.
 * @throws DataError if there is no such file or folder, or no decoder for a video; the message says what to install
 */
export async function openFrameSource(path: string, options: FrameSourceOptions = {}): Promise<FrameSource> {
  let found: Stats;
  try {
    found = await stat(path);
  } catch (error) {
    const problem =
      codeOf(error) === 'ENOENT' ? 'the clip does not exist' : `the clip cannot be read (${codeOf(error)})`;
    throw new DataError(
      `${path}: ${problem}`,
      'expected a video file or a folder of frames; check the list and its root',
      {
        cause: error,
      },
    );
  }
  // The reader of pictures takes long to load, and videos do without it.
  if (found.isDirectory()) return (await import('./frame-folder.ts')).openFrameFolder(path, options);
  if (found.isFile() && found.size === 0) throw new DataError(`${path}: the file is empty`, 'expected a video file');
  if (found.isFile() && (await isPicture(path))) {
    return (await import('./picture-file.ts')).openPictureFile(path, options.damage);
  }
  return openVideo(path, options);
}

/** Whether sharp reads the file as well as a video decoder would, or better: it turns by EXIF, and knows moving WebP. */
async function isPicture(path: string): Promise<boolean> {
  const bytes = new Uint8Array(65536);
  const file = await open(path).catch((error: unknown) => {
    throw new DataError(`${path}: the clip cannot be read (${codeOf(error)})`, 'check who may read it', {
      cause: error,
    });
  });
  try {
    const { bytesRead } = await file.read(bytes);
    const start = bytes.subarray(0, bytesRead);
    const type = pictureTypeOf(start);
    if (type === 'image/jpeg') return !/\.mjpe?g$/i.test(path); // JPEG after JPEG is a video
    return type !== undefined && type !== 'image/gif' && !(type === 'image/png' && isMovingPng(start));
  } finally {
    await file.close();
  }
}

async function openVideo(path: string, options: FrameSourceOptions): Promise<FrameSource> {
  const { decoder = 'auto', damage = 'error', programs = defaultPrograms, threads = 1 } = options;
  const reasons: string[] = [];
  if (decoder !== 'ffmpeg') {
    const result = await loadNodeAv();
    if ('nodeAv' in result) return openVideoWithNodeAv(result.nodeAv, path, damage, threads);
    reasons.push(result.reason);
  }
  if (decoder !== 'node-av') {
    const result = await findFfmpeg(programs);
    if ('version' in result) return openVideoWithFfmpeg(path, damage, programs, threads);
    reasons.push(result.reason);
  }
  throw new DataError(
    `${path}: no video decoder can be used: ${reasons.join(', and ')}`,
    'run `npm install node-av`, or install ffmpeg (which brings ffprobe) and put it on the search path',
  );
}
