/** The video files in a folder and everything below it, by the ends of their names. */
import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { codeOf, DataError } from '../data/errors.ts';

/** Ends of the names of video files, in small letters. */
const videoSuffixes = [
  '.mp4',
  '.m4v',
  '.mov',
  '.mkv',
  '.webm',
  '.avi',
  '.mpg',
  '.mpeg',
  '.ogv',
  '.flv',
  '.wmv',
  '.3gp',
  '.ts',
  '.gif',
];

export const isVideoName = (name: string): boolean => videoSuffixes.includes(path.extname(name).toLowerCase());

/** A file as it was when it was looked at; a change of size or time means other content. */
export interface FileStamp {
  /** Bytes. */
  readonly size: number;
  /** Milliseconds since 1970, whole. */
  readonly modified: number;
}

export interface FoundVideo extends FileStamp {
  /** From the folder, with `/` between its parts on every system. */
  readonly path: string;
}

/**
 * Every video below a folder, sorted by path. Hidden folders and files are left out, and links to folders are not
 * followed.
 * @throws DataError where the folder cannot be read.
 */
export async function findVideos(folder: string): Promise<FoundVideo[]> {
  const found: FoundVideo[] = [];
  const visit = async (relative: string): Promise<void> => {
    for (const entry of await readdir(path.join(folder, relative), { withFileTypes: true })) {
      const { name } = entry;
      if (name.startsWith('.')) continue;
      const inside = relative === '' ? name : `${relative}/${name}`;
      if (entry.isDirectory()) await visit(inside);
      else if (isVideoName(name)) {
        const status = await stat(path.join(folder, inside)).catch(() => undefined);
        if (status?.isFile()) found.push({ path: inside, size: status.size, modified: Math.floor(status.mtimeMs) });
      }
    }
  };
  try {
    await visit('');
  } catch (error) {
    const problem = codeOf(error) === 'ENOENT' ? 'there is no such folder' : `it cannot be read (${codeOf(error)})`;
    throw new DataError(`${folder}: ${problem}`, 'expected a folder of videos; check the path', { cause: error });
  }
  return found.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/**
 * Videos by the paths that a person gave; folders stand for the videos in them.
 * @throws DataError for a path that is not there, or a folder without videos.
 */
export async function listVideos(paths: readonly string[]): Promise<FoundVideo[]> {
  const lists = await Promise.all(paths.map(listAt));
  return [...new Map(lists.flat().map((video) => [video.path, video])).values()];
}

async function listAt(given: string): Promise<FoundVideo[]> {
  const status = await stat(given).catch((cause: unknown) => {
    throw new DataError(`${given}: there is no such video (${codeOf(cause)})`, 'check the path', { cause });
  });
  if (!status.isDirectory()) return [{ path: given, size: status.size, modified: Math.floor(status.mtimeMs) }];
  const inside = await findVideos(given);
  if (inside.length === 0) {
    throw new DataError(
      `${given}: no video is in this folder`,
      `expected files such as ${videoSuffixes.slice(0, 5).join(', ')}`,
    );
  }
  return inside.map((video) => ({ ...video, path: path.join(given, video.path) }));
}
