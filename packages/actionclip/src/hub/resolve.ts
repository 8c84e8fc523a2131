/** Weights by name or path: `resolveWeights` gives the path of a file, fetched into a cache where it has to be. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheFolder } from '../cache-folder.ts';
import { codeOf } from '../data/errors.ts';
import { download } from './download.ts';
import { HubError, reasonOf } from './errors.ts';
import { isFile } from './hub-cache.ts';
import type { FetchOptions } from './hugging-face.ts';
import { type FileSource, hubNamesLike, isHubName, namedWeights, parseHubName } from './names.ts';
import { clipCache, hubSettings } from './settings.ts';
import { hasDigest, keepDigest } from './verified.ts';

export type ResolveOptions = FetchOptions;

/**
 * The path of weights. A path is returned as it is, if there is something; `hub:...` is looked for in the caches, which
 * are those of the Python packages where these have one, and fetched if it is not there: see `parseHubName` and
 * `namedWeights`. Of a checkpoint in shards it is the index.
 * @throws HubError where there is no such file or name, or it cannot be fetched; the message says what to do
 * @throws InterruptedError where the signal is set off; what came is kept and continued the next time
 */
export async function resolveWeights(name: string, options: ResolveOptions = {}): Promise<string> {
  if (!isHubName(name)) {
    await checkPath(name);
    return name;
  }
  const source = parseHubName(name);
  if (source.kind === 'file') return fetchFile(source, options);
  const { fetchRepository } = await import('./hugging-face.ts');
  return fetchRepository(source, options);
}

async function checkPath(path: string): Promise<void> {
  try {
    await stat(path);
  } catch (error) {
    const missing = ['ENOENT', 'ENOTDIR'].includes(codeOf(error));
    const near = namedWeights.some(({ name }) => name === `hub:${path}`) ? [`hub:${path}`] : hubNamesLike(path);
    throw new HubError(
      `${path}: ${missing ? 'there is no such file' : reasonOf(error)}`,
      near.length > 0
        ? `check the path; weights to be fetched have names that begin with hub: (did you mean ${near.join(' or ')}?)`
        : 'check the path; actionclip fetch --list shows the weights that can be fetched by name',
      { cause: error },
    );
  }
}

/** Where a file of the table lies, whether it is there or not. */
export function cachedFile({ cache, file }: FileSource): string {
  return cache === 'clip' ? join(clipCache(), file) : join(cacheFolder(), 'weights', file);
}

async function fetchFile(source: FileSource, options: ResolveOptions): Promise<string> {
  const { url, file, sha256 } = source;
  const path = cachedFile(source);
  if (await isFile(path)) {
    if (sha256 === undefined || (await hasDigest(path, sha256))) return path;
    throw new HubError(
      `${path} is not ${file} as it should be (its sha256 is not ${sha256})`,
      'remove it and run the same again',
    );
  }
  if (hubSettings().offline) {
    throw new HubError(
      `${path} is not there, and HF_HUB_OFFLINE forbids to fetch it`,
      `unset it, or fetch ${url} on another computer and put it there`,
    );
  }
  const digest = sha256 === undefined ? undefined : ({ algorithm: 'sha256', value: sha256 } as const);
  const { onProgress } = options;
  const size = namedWeights.find((row) => row.source === source)?.size;
  const fetched = await download(url, path, {
    ...options,
    ...(onProgress && { onProgress: (progress) => onProgress({ ...progress, name: file }) }),
    digest,
    size,
  });
  if (sha256 !== undefined && fetched !== undefined) await keepDigest(path, sha256);
  else if (fetched !== undefined) {
    options.onNote?.(`Nobody publishes a digest of ${file}; the sha256 of what came is ${fetched.digest}`);
  }
  return path;
}
