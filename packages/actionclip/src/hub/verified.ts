/** Which files were found to have the right digest, so that hundreds of megabytes are not read again at every start. */
import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { CacheError, cacheFolder } from '../cache-folder.ts';
import { writeFileAtomically } from '../checkpoints/atomic-file.ts';
import { digestFile, startDigest } from './digest.ts';

/** Whether a file has this SHA-256. Once it was found right, its length and its time of change have to be the same. */
export async function hasDigest(path: string, sha256: string): Promise<boolean> {
  const record = recordOf(path);
  const state = await stateOf(path, sha256);
  if (record !== undefined && (await readFile(record, 'utf8').catch(() => '')) === state) return true;
  const { size } = await stat(path);
  const digest = startDigest('sha256', size);
  await digestFile(path, size, digest);
  if (digest.value() !== sha256) return false;
  await keepDigest(path, sha256);
  return true;
}

/** Notes that a file was found to have this SHA-256. */
export async function keepDigest(path: string, sha256: string): Promise<void> {
  const record = recordOf(path);
  // The record only saves time: a cache that cannot be written is no reason to refuse good weights.
  if (record !== undefined) await writeFileAtomically(record, await stateOf(path, sha256)).catch(() => undefined);
}

async function stateOf(path: string, sha256: string): Promise<string> {
  const { size, mtimeMs } = await stat(path);
  return `${sha256} ${size} ${mtimeMs}`;
}

function recordOf(path: string): string | undefined {
  try {
    const name = createHash('sha256').update(resolve(path)).digest('hex').slice(0, 32);
    return join(cacheFolder(), 'verified', name);
  } catch (error) {
    if (error instanceof CacheError) return undefined;
    throw error;
  }
}
