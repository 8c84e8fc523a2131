/** The folders in which files are kept that can be made or fetched again. */
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { CacheError, cacheFolder } from '../cache-folder.ts';
import { clipCache, hubSettings } from '../hub/settings.ts';

export interface CacheReport {
  readonly path: string;
  readonly what: string;
  /** The variable that moves it. */
  readonly variable: string | null;
  /** 0 where there is no such folder. */
  readonly bytes: number;
  readonly files: number;
}

/** Every cache that this program writes to, those that are shared with Python's packages included. */
export async function cacheReports(): Promise<CacheReport[]> {
  const folders = [
    ...ownFolder(),
    { path: hubSettings().cache, what: 'repositories of Hugging Face, shared with Python', variable: 'HF_HUB_CACHE' },
    { path: clipCache(), what: "OpenAI's files, shared with its Python package", variable: null },
  ];
  return Promise.all(folders.map(async (folder) => ({ ...folder, ...(await sizeOf(folder.path)) })));
}

function ownFolder(): { path: string; what: string; variable: string }[] {
  try {
    const what = 'weights, text features, measured schedules';
    return [{ path: cacheFolder(), what, variable: 'ACTIONCLIP_CACHE' }];
  } catch (error) {
    if (error instanceof CacheError) return [];
    throw error;
  }
}

/** Links count as themselves, so that a file of Hugging Face's cache counts once. */
async function sizeOf(folder: string): Promise<{ bytes: number; files: number }> {
  let bytes = 0;
  let files = 0;
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  for (const entry of entries) {
    if (!entry.isFile()) continue;
    files++;
    bytes += await lstat(join(entry.parentPath, entry.name)).then(
      ({ size }) => size,
      () => 0,
    );
  }
  return { bytes, files };
}
