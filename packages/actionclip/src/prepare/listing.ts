/** Lists what lies in the folder of a data set: videos, folders of frames, and files that may be annotations. */
import type { Dirent } from 'node:fs';
import { readdir, realpath, stat } from 'node:fs/promises';
import path from 'node:path';
import { codeOf, DataError } from '../data/errors.ts';
import { readText } from '../data/lists.ts';
import { throwIfInterrupted } from '../interrupted.ts';
import type { Annotation, ListedClip } from './layouts/layout.ts';
import { mayBeAnnotation } from './layouts/layouts.ts';

const videoName =
  /\.(?:3g2|3gp|asf|avi|divx|flv|gif|m2ts|m4v|mjpe?g|mkv|mov|mp4|mpe?g|mts|mxf|ogg|ogm|ogv|qt|ts|vob|webm|wmv)$/i;
const imageName = /\.(?:bmp|jpe?g|png|tiff?|webp)$/i;

/** Annotations lie beside the clips or in a folder of their own, not among thousands of clips. */
const annotationDepth = 2;

export interface Listing {
  /** in the order of their paths */
  readonly clips: readonly ListedClip[];
  /** files that may be annotations, relative to the folder */
  readonly annotationFiles: readonly string[];
  /** the files of the first folder of frames */
  readonly frameNames: readonly string[];
  /** files that are neither */
  readonly others: number;
}

interface Walk {
  readonly root: string;
  readonly exclude: string | undefined;
  readonly signal: AbortSignal | undefined;
  readonly clips: ListedClip[];
  readonly annotationFiles: string[];
  frameNames: readonly string[];
  others: number;
}

/**
 * Walks a folder. Names that begin with a dot are passed over; symbolic links are followed, but not in circles. A folder
 * with images, and with neither videos nor folders in it, is a clip of frames.
 * @param exclude a folder that is passed over
 * @throws DataError if the folder, or one below it, cannot be read
 */
export async function listFolder(
  root: string,
  { exclude, signal }: { readonly exclude?: string; readonly signal?: AbortSignal | undefined } = {},
): Promise<Listing> {
  const walk: Walk = { root, exclude, signal, clips: [], annotationFiles: [], frameNames: [], others: 0 };
  await walkFolder(walk, '', [await realpathOf(root)]);
  walk.clips.sort((a, b) => (a.path < b.path ? -1 : 1));
  walk.annotationFiles.sort();
  return walk;
}

async function realpathOf(folder: string): Promise<string> {
  try {
    return await realpath(folder);
  } catch (error) {
    const problem = codeOf(error) === 'ENOENT' ? 'does not exist' : `cannot be read (${codeOf(error)})`;
    throw new DataError(`${folder}: the folder ${problem}`, 'check the path', { cause: error });
  }
}

/** @param ancestors real paths from the root to this folder, itself included */
async function walkFolder(walk: Walk, below: string, ancestors: readonly string[]): Promise<void> {
  throwIfInterrupted(walk.signal);
  const folder = path.join(walk.root, below);
  const here = ancestors.at(-1) ?? folder;
  const entries = await entriesOf(folder);
  const files: string[] = [];
  const folders: { name: string; real: string }[] = [];
  for (const entry of entries) {
    if (entry.name.startsWith('.')) continue;
    const kind = await kindOf(entry, path.join(folder, entry.name));
    if (kind === 'file') files.push(entry.name);
    if (kind !== 'folder' || path.join(folder, entry.name) === walk.exclude) continue;
    const real = entry.isSymbolicLink() ? await realpathOf(path.join(folder, entry.name)) : path.join(here, entry.name);
    if (!ancestors.includes(real)) folders.push({ name: entry.name, real });
  }
  const relative = (name: string): string => (below === '' ? name : `${below}/${name}`);
  const videos = files.filter((name) => videoName.test(name));
  const images = files.filter((name) => imageName.test(name));
  for (const name of videos) walk.clips.push({ path: relative(name), kind: 'video' });
  const isClip = below !== '' && images.length > 0 && videos.length === 0 && folders.length === 0;
  if (isClip) {
    walk.clips.push({ path: below, kind: 'frames' });
    if (walk.frameNames.length === 0) walk.frameNames = images;
  }
  for (const name of files) {
    if (videoName.test(name) || (isClip && imageName.test(name))) continue;
    const depth = below === '' ? 0 : below.split('/').length;
    if (depth <= annotationDepth && mayBeAnnotation(name)) walk.annotationFiles.push(relative(name));
    else walk.others += 1;
  }
  for (const { name, real } of folders) await walkFolder(walk, relative(name), [...ancestors, real]);
}

async function entriesOf(folder: string): Promise<Dirent[]> {
  try {
    return await readdir(folder, { withFileTypes: true });
  } catch (error) {
    const problem = codeOf(error) === 'ENOTDIR' ? 'it is no folder' : `the folder cannot be read (${codeOf(error)})`;
    throw new DataError(`${folder}: ${problem}`, 'check the path and its permissions', { cause: error });
  }
}

/** A link that leads nowhere counts as a file: if it is named as a video, it is a clip that is reported as broken. */
async function kindOf(entry: Dirent, file: string): Promise<'file' | 'folder' | 'other'> {
  const stats = entry.isSymbolicLink() ? await stat(file).catch(() => undefined) : entry;
  if (stats === undefined || stats.isFile()) return 'file';
  return stats.isDirectory() ? 'folder' : 'other';
}

/**
 * Reads the annotations beside the clips, or those of `given`: one file, or a folder of them.
 * @throws DataError if one cannot be read
 */
export async function readAnnotations(root: string, listing: Listing, given?: string): Promise<Annotation[]> {
  const read = async (file: string): Promise<Annotation> => ({
    file,
    text: await readText(file, 'the annotation file'),
  });
  if (given === undefined) return Promise.all(listing.annotationFiles.map((file) => read(path.join(root, file))));
  const stats = await stat(given).catch(() => undefined);
  if (stats?.isDirectory() !== true) return [await read(given)];
  const { annotationFiles } = await listFolder(given);
  if (annotationFiles.length === 0) {
    throw new DataError(`${given}: there is no annotation file in it`, 'expected those of one of the layouts');
  }
  return Promise.all(annotationFiles.map((file) => read(path.join(given, file))));
}
