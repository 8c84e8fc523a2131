/** What a file of weights is, by its content: features that were computed with it are known by this again. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, readFile, realpath, stat } from 'node:fs/promises';
import path from 'node:path';
import { cacheFolder } from '../cache-folder.ts';
import { writeFileAtomically } from '../checkpoints/atomic-file.ts';

/** Files whose identity is remembered. */
const remembered = 256;

/** Ends of the names of files that a checkpoint in several files is made of. */
const partSuffixes = ['.safetensors', '.json'];

/** What weights are: the identity of their file, or of all the files in the folder of a sharded checkpoint. */
export async function weightsIdentity(weights: string): Promise<string> {
  const isFolder = (await stat(weights)).isDirectory();
  if (!isFolder && !weights.endsWith('.index.json')) return fileIdentity(weights);
  const folder = isFolder ? weights : path.dirname(weights);
  const names = (await readdir(folder)).filter((name) => partSuffixes.includes(path.extname(name))).sort();
  const parts: string[] = [];
  for (const name of names) parts.push(`${name} ${await fileIdentity(path.join(folder, name))}`);
  return createHash('sha256').update(parts.join('\n')).digest('hex');
}

/**
 * SHA-256 of a file's content, hexadecimal. It is remembered in the cache folder by path, size and times, of which the
 * last change of the inode cannot be set back, since hashing gigabytes takes seconds.
 */
export async function fileIdentity(file: string): Promise<string> {
  const whole = await realpath(file);
  const { size, mtimeNs, ctimeNs } = await stat(whole, { bigint: true });
  const key = [whole, size, mtimeNs, ctimeNs].join('\n');
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
