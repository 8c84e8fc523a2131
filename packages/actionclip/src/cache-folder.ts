/** The folder of the user for what can be made again: text embeddings, downloads, measured schedules. */
import { resolve } from 'node:path';
import { cacheFolder as folderOf } from '@actionclip/tensor';

/** There is no place for files that can be made again. */
export class CacheError extends Error {
  override readonly name = 'CacheError';
  readonly hint: string;

  constructor(problem: string, hint: string, options?: ErrorOptions) {
    super(`${problem}; ${hint}`, options);
    this.hint = hint;
  }
}

/**
 * The cache folder, absolute: `ACTIONCLIP_CACHE`, else `actionclip` in the system's place for caches (`XDG_CACHE_HOME`
 * or `~/.cache`, on macOS `~/Library/Caches`, on Windows `%LOCALAPPDATA%`). It need not exist yet. The engine keeps its
 * measured schedules in the same folder.
 * @throws CacheError where the environment names none of these
 */
export function cacheFolder(
  environment: Readonly<Record<string, string | undefined>> = process.env,
  platform: string = process.platform,
): string {
  const folder = folderOf(platform, environment);
  if (folder === undefined) {
    throw new CacheError('There is no folder for caches, since no home folder is set', 'set ACTIONCLIP_CACHE to one');
  }
  return resolve(folder);
}
