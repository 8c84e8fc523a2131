/** What a file of weights is, by its content: features that were computed with it are known by this again. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile, realpath, stat } from 'node:fs/promises';
import path from 'node:path';
import { cacheFolder } from '../cache-folder.ts';
import { writeFileAtomically } from '../checkpoints/atomic-file.ts';

/** Files whose identity is remembered. */
const remembered = 256;

/**
 * SHA-256 of a file's content, hexadecimal. It is remembered in the cache folder by path, size and time, since
 * hashing gigabytes takes seconds.
 */
export async function fileIdentity(file: string): Promise<string> {
  const whole = await realpath(file);
  const { size, mtimeMs } = await stat(whole);
  const key = `${whole}\n${size}\n${mtimeMs}`;
  const memory = path.join(cacheFolder(), 'identities.json');
  const known = await readMemory(memory);
  const found = known.get(key);
  if (found !== undefined) return found;
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(whole, { highWaterMark: 2 ** 22 })) hash.update(chunk as Buffer);
  const identity = hash.digest('hex');
  const kept = [...known, [key, identity] as const].slice(-remembered);
  await writeFileAtomically(memory, JSON.stringify(Object.fromEntries(kept)));
  return identity;
}

/** What cannot be read is forgotten: it only costs time. */
async function readMemory(file: string): Promise<Map<string, string>> {
  try {
    const values: unknown = JSON.parse(await readFile(file, 'utf8'));
    const entries = Object.entries(typeof values === 'object' && values !== null ? values : {});
    return new Map(entries.filter((entry): entry is [string, string] => typeof entry[1] === 'string'));
  } catch {
    return new Map();
  }
}
