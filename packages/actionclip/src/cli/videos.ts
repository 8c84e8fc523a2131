/** Videos as they are given on a command line: files, or folders of frames however these are numbered. */
import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import type { DamageHandling } from '../data/frame-source.ts';
import { openFrameSource } from '../data/open-source.ts';
import { numberingOf } from '../prepare/frame-names.ts';
import type { NamedVideo } from '../recognize/recognizer.ts';
import { isVideoName } from '../search/video-files.ts';
import { OptionError } from './options.ts';

/**
 * The videos at the paths, in their order. What is not there or cannot be read is found out when it is opened.
 * @throws OptionError for a folder that holds videos: whoever gives it means the videos inside.
 */
export async function videosAt(paths: readonly string[], damage: DamageHandling = 'error'): Promise<NamedVideo[]> {
  const videos: NamedVideo[] = [];
  for (const given of paths) {
    const names = await namesIn(given);
    const video = names.find(isVideoName);
    if (video !== undefined) {
      throw new OptionError(
        `${given} is a folder of videos`,
        `give the videos themselves, such as ${path.join(given, video)}, or all of them as the shell writes them out: ${path.join(given, '*')}`,
      );
    }
    videos.push({ path: given, open: () => openFrameSource(given, { damage, ...numberingOf(names) }) });
  }
  return videos;
}

/** The files of a folder in the order of their names; none of what is no folder or cannot be read. */
async function namesIn(folder: string): Promise<string[]> {
  try {
    return (await stat(folder)).isDirectory() ? (await readdir(folder)).sort() : [];
  } catch {
    return [];
  }
}
