/**
 * Text features on disk: pieces of rows as safetensors, each named after its space and the SHA-256 of its bytes. A
 * piece is written once and never changed, so processes may share the folder; one whose name does not fit its bytes is
 * damaged and is removed. The folder is bounded: the pieces that were not used for longest go first.
 */
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, realpath, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { defaultDevice, type HostTensor, parseSafetensors, serializeSafetensors } from '@actionclip/tensor';
import { cacheFolder } from '../cache-folder.ts';
import { writeFileAtomically } from '../checkpoints/atomic-file.ts';
import { codeOf, messageOf } from '../data/errors.ts';
import type { ActionCLIP } from '../model/action-clip.ts';
import { type Digest, promptKey, type TextCache, textSpace } from './text-cache.ts';

export interface FileTextCacheOptions {
  /** `text` in the cache folder of the user if absent. */
  readonly folder?: string;
  /** Bytes of all pieces; 512 MiB if absent. Kinetics-400 in 16 templates takes 13 MB. */
  readonly limitBytes?: number;
  /** Files; 512 if absent. */
  readonly limitFiles?: number;
  /** What the rows are, in sentences; `Text features` if absent. */
  readonly what?: string;
  /** Called with a sentence where something could not be kept, or was damaged. */
  readonly onProblem?: (message: string) => void;
}

const megabyte = 2 ** 20;
const format = 'actionclip-text';
const pieceName = /^(?<space>[0-9a-f]{64})-(?<content>[0-9a-f]{64})\.safetensors$/;

export const textCacheFolder = (): string => join(cacheFolder(), 'text');

/** Faster than the digest of browsers, and at once. */
export const nodeDigest: Digest = (bytes) => createHash('sha256').update(bytes).digest();
const sha256Hex = (bytes: Uint8Array | string): string => createHash('sha256').update(bytes).digest('hex');

/** A cache in a folder, which is made when something is first kept. */
export function openFileTextCache({
  folder = textCacheFolder(),
  limitBytes = 512 * megabyte,
  limitFiles = 512,
  what = 'Text features',
  onProblem = () => {},
}: FileTextCacheOptions = {}): TextCache {
  return {
    async get(space, keys) {
      const wanted = new Set(keys);
      const found = new Map<string, Float32Array>();
      for (const name of await piecesOf(folder, space)) {
        if (found.size === wanted.size) break;
        const rows = await readPiece(join(folder, name), space, onProblem);
        const before = found.size;
        for (const [key, row] of rows) if (wanted.has(key)) found.set(key, row.slice());
        if (found.size > before) await markUsed(join(folder, name));
      }
      return found;
    },
    async put(space, rows) {
      if (rows.size === 0) return;
      try {
        const bytes = serializePiece(space, rows);
        await mkdir(folder, { recursive: true });
        await writeFileAtomically(join(folder, `${space}-${sha256Hex(bytes)}.safetensors`), bytes);
        await prune(folder, limitBytes, limitFiles);
      } catch (error) {
        onProblem(`${what} are not kept for the next time: ${messageOf(error)}`);
      }
    },
  };
}

async function piecesOf(folder: string, space: string): Promise<string[]> {
  const names = await readdir(folder).catch(() => []);
  return names.filter((name) => pieceName.exec(name)?.groups?.space === space).sort();
}

function serializePiece(space: string, rows: ReadonlyMap<string, Float32Array>): Uint8Array {
  const prompts = [...rows.keys()].map((key) => key.split(',').map(Number));
  const length = prompts.reduce((longest, prompt) => Math.max(longest, prompt.length), 0);
  const [first = new Float32Array()] = rows.values();
  const tokens = new Int32Array(rows.size * length);
  for (const [at, prompt] of prompts.entries()) tokens.set(prompt, at * length);
  const features = new Float32Array(rows.size * first.length);
  for (const [at, row] of [...rows.values()].entries()) features.set(row, at * first.length);
  const tensors = new Map<string, HostTensor>([
    ['tokens', { dtype: 'i32', shape: [rows.size, length], data: tokens }],
    ['features', { dtype: 'f32', shape: [rows.size, first.length], data: features }],
  ]);
  return serializeSafetensors(
    tensors,
    new Map([
      ['format', format],
      ['space', space],
    ]),
  );
}

/** The rows of a piece; none of one that is damaged, which is told, and removed so that its rows are written again. */
async function readPiece(
  path: string,
  space: string,
  onProblem: (message: string) => void,
): Promise<ReadonlyMap<string, Float32Array>> {
  const bytes = await readFile(path).catch(() => undefined);
  if (bytes === undefined) return new Map();
  if (!path.endsWith(`${sha256Hex(bytes)}.safetensors`)) {
    onProblem(`${path} is damaged: what it held is computed again`);
    await rm(path, { force: true }).catch(() => undefined);
    return new Map();
  }
  try {
    const { tensors, metadata } = parseSafetensors(bytes);
    const [tokens, features] = [tensors.get('tokens'), tensors.get('features')];
    const fits = metadata.get('format') === format && metadata.get('space') === space;
    if (!fits || !(tokens?.data instanceof Int32Array) || !(features?.data instanceof Float32Array)) return new Map();
    return rowsOf(tokens.data, features.data, features.shape);
  } catch {
    return new Map();
  }
}

function rowsOf(tokens: Int32Array, features: Float32Array, [count = 0, width = 0]: readonly number[]) {
  const length = tokens.length / count;
  const rows = new Map<string, Float32Array>();
  for (let at = 0; at < count; at++) {
    const key = promptKey(tokens.subarray(at * length, (at + 1) * length));
    rows.set(key, features.subarray(at * width, (at + 1) * width));
  }
  return rows;
}

/** The time of a file says when it was last of use. */
async function markUsed(path: string): Promise<void> {
  const now = new Date();
  await utimes(path, now, now).catch(() => undefined);
}

const kept = /^[0-9a-f]{64}(?:-[0-9a-f]{64}\.safetensors|\.space|\.contents)$/;

/** Removes what is beyond the bounds, of all spaces together. What is not of this cache is left alone. */
async function prune(folder: string, limitBytes: number, limitFiles: number): Promise<void> {
  const pieces: { readonly path: string; readonly size: number; readonly used: number }[] = [];
  for (const name of (await readdir(folder)).filter((each) => kept.test(each))) {
    const path = join(folder, name);
    const file = await stat(path).catch(() => undefined);
    if (file !== undefined) pieces.push({ path, size: file.size, used: file.mtimeMs });
  }
  pieces.sort((a, b) => b.used - a.used || (a.path < b.path ? -1 : 1));
  let bytes = 0;
  for (const [place, { path, size }] of pieces.entries()) {
    bytes += size;
    if (place >= limitFiles || bytes > limitBytes) await rm(path, { force: true });
  }
}

/**
 * The space of a model that was read from a file, remembered for the next time. What names the file is its resolved
 * path, size, inode, and times of the last change of its content and of its inode, in nanoseconds: the last one
 * moves with every write and cannot be set back, so a file that was replaced is never taken for the old one. A
 * sharded checkpoint is several files and is not remembered.
 */
export async function rememberedTextSpace(
  model: ActionCLIP,
  weights: string,
  { folder = textCacheFolder(), onProblem = () => {} }: FileTextCacheOptions = {},
): Promise<string> {
  const file = await fingerprint(weights);
  if (file === undefined) return textSpace(model, nodeDigest);
  const path = join(folder, `${sha256Hex(`${format} ${(await defaultDevice()).name} ${file}`)}.space`);
  const remembered = await readFile(path, 'utf8').catch((error: unknown) => {
    if (codeOf(error) !== 'ENOENT') onProblem(`${path} cannot be read: ${messageOf(error)}`);
    return '';
  });
  if (/^[0-9a-f]{64}$/.test(remembered)) return remembered;
  const space = await textSpace(model, nodeDigest);
  await writeFileAtomically(path, space).catch((error: unknown) => {
    onProblem(`The text tower will be read again the next time: ${messageOf(error)}`);
  });
  return space;
}

async function fingerprint(path: string): Promise<string | undefined> {
  if (path.endsWith('.index.json')) return undefined;
  try {
    const file = await stat(path, { bigint: true });
    if (!file.isFile()) return undefined;
    return [await realpath(path), file.size, file.dev, file.ino, file.mtimeNs, file.ctimeNs].join('\n');
  } catch {
    return undefined;
  }
}
