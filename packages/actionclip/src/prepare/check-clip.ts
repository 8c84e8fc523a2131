/** Checks one clip: that its frames can be decoded, and how many there are. */
import { readdir } from 'node:fs/promises';
import { DataError, messageOf } from '../data/errors.ts';
import { ImageError } from '../data/image/image.ts';
import { type FrameSourceOptions, openFrameSource } from '../data/open-source.ts';
import { loadNodeAv } from '../data/video-node-av.ts';
import { checkVideoFile } from './check-video.ts';
import { numberedFiles } from './frame-names.ts';
import type { ListedClip } from './layouts/layout.ts';

/**
 * `full` decodes every frame; `quick` the first and the last ones, and counts the others without decoding them. The
 * ffmpeg program, where it takes the place of node-av, always does the former.
 */
export type CheckLevel = 'full' | 'quick';

export interface ClipCheck {
  /** absolute path */
  readonly path: string;
  readonly kind: ListedClip['kind'];
  readonly level: CheckLevel;
  readonly source: FrameSourceOptions;
}

/** Frames of a sound clip, or why it is broken: a sentence. `givenUp`: the check came to no end. */
export type CheckResult = { readonly frames: number } | { readonly reason: string; readonly givenUp?: true };

/** @throws what is not the clip's fault */
export async function checkClip(check: ClipCheck): Promise<CheckResult> {
  try {
    return { frames: check.kind === 'frames' ? await checkFrames(check) : await checkVideo(check) };
  } catch (error) {
    if (!(error instanceof DataError || error instanceof ImageError)) throw error;
    return { reason: messageOf(error).replace(`${check.path}: `, '') };
  }
}

async function checkVideo({ path, level, source: options }: ClipCheck): Promise<number> {
  const source = await openFrameSource(path, options);
  try {
    const loaded = options.decoder === 'ffmpeg' ? undefined : await loadNodeAv();
    if (loaded !== undefined && 'nodeAv' in loaded) return checkVideoFile(loaded.nodeAv, path, level);
    return await source.frameCount(); // the ffmpeg program complains of all damage, and decodes all for it
  } finally {
    await source.close();
  }
}

/** Frames are decoded one at a time, so that memory holds one. Numbers that are left out in between are a fault. */
async function checkFrames({ path, level, source: options }: ClipCheck): Promise<number> {
  const source = await openFrameSource(path, options);
  try {
    const frames = await source.frameCount();
    const indices = level === 'quick' ? [0, frames - 1] : Array.from({ length: frames }, (_, index) => index);
    for (const index of indices) await source.read([index]);
    const numbered = numberedFiles(await readdir(path), options);
    if (numbered > frames) {
      throw new DataError(
        `${path}: of ${numbered} numbered frames only the first ${frames} follow each other without a gap`,
        'extract them again',
      );
    }
    return frames;
  } finally {
    await source.close();
  }
}
