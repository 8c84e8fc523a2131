/** Videos as they are given on a command line: files, or folders of frames. */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { OptionError } from './options.ts';

const videoName = /\.(?:3gp|asf|avi|flv|gif|m2ts|m4v|mkv|mov|mp4|mpe?g|mts|ogv|ts|vob|webm|wmv)$/i;

/**
 * A folder that holds videos is no folder of frames: whoever gives it means the videos inside.
 * @throws OptionError that says how to give them.
 */
export async function refuseFoldersOfVideos(paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    const video = (await namesIn(path)).find((name) => videoName.test(name));
    if (video !== undefined) {
      throw new OptionError(
        `${path} is a folder of videos`,
        `give the videos themselves, such as ${join(path, video)}, or all of them as the shell writes them out: ${join(path, '*')}`,
      );
    }
  }
}

/** Nothing for what is no folder, or cannot be read: opening it says why. */
async function namesIn(path: string): Promise<string[]> {
  try {
    return (await stat(path)).isDirectory() ? await readdir(path) : [];
  } catch {
    return [];
  }
}
