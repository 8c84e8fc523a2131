/** What clips are by their content: a file by its bytes, a folder of frames by the names and bytes of its files. */
import { createHash } from 'node:crypto';
import { createReadStream, readdirSync, readFileSync, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { writeFileAtomically } from '../checkpoints/atomic-file.ts';
import type { ClipEntry } from '../data/lists.ts';
import { throwIfInterrupted } from '../interrupted.ts';

export interface ClipContentOptions {
  /** Where contents are remembered, one file for the clips of a list. */
  readonly folder: string;
  readonly signal?: AbortSignal;
  readonly onRead?: (progress: { readonly clips: number; readonly totalClips: number }) => void;
}

/**
 * The content of each clip as 64 hexadecimal digits; undefined for a clip that is not there. A clip whose files kept
 * their paths, sizes and times is not read again; the time of the last change of an inode cannot be set back.
 * @throws InterruptedError where the signal was set off.
 */
export async function clipContents(
  entries: readonly ClipEntry[],
  { folder, signal, onRead }: ClipContentOptions,
): Promise<(string | undefined)[]> {
  const paths = entries.map(({ path }) => resolve(path));
  const memory = join(folder, `${digestOf(paths.join('\n'))}.contents`);
  const known = await readMemory(memory);
  const contents: (string | undefined)[] = [];
  const kept = new Map<string, string>();
  for (const path of paths) {
    // Reading holds the thread: whatever else waits, such as a signal, has its turn between clips.
    await setImmediate();
    throwIfInterrupted(signal);
    const found = await identityOf(path, known).catch(() => undefined);
    contents.push(found?.content);
    if (found !== undefined) kept.set(found.stamp, found.content);
    onRead?.({ clips: contents.length, totalClips: paths.length });
  }
  if ([...kept.keys()].some((stamp) => !known.has(stamp))) {
    // It only saves time: a folder that cannot be written to is told of where the features are kept.
    await writeFileAtomically(memory, JSON.stringify(Object.fromEntries(kept))).catch(() => undefined);
  }
  return contents;
}

async function identityOf(
  path: string,
  known: ReadonlyMap<string, string>,
): Promise<{ readonly stamp: string; readonly content: string }> {
  const stamp = stampOf(path);
  return { stamp, content: known.get(stamp) ?? (await contentOf(path)) };
}

const digestOf = (content: string | Uint8Array): string => createHash('sha256').update(content).digest('hex');

/** What is not the memory of contents is forgotten. */
async function readMemory(file: string): Promise<ReadonlyMap<string, string>> {
  try {
    const values: unknown = JSON.parse(await readFile(file, 'utf8'));
    const entries = Object.entries(typeof values === 'object' && values !== null ? values : {});
    return new Map(entries.filter((entry): entry is [string, string] => /^[0-9a-f]{64}$/.test(String(entry[1]))));
  } catch {
    return new Map();
  }
}

/** Path, sizes and times of the last changes: of a file, or of every file in a folder. */
function stampOf(path: string): string {
  const stamps = filesOf(path).map((file) => {
    const { ino, size, mtimeNs, ctimeNs } = statSync(file, { bigint: true });
    return `${file} ${ino} ${size} ${mtimeNs} ${ctimeNs}`;
  });
  return digestOf([path, ...stamps].join('\n'));
}

async function contentOf(path: string): Promise<string> {
  const files = filesOf(path);
  if (files[0] === path) return digestOfFile(path);
  const hash = createHash('sha256');
  for (const file of files) hash.update(`${file.slice(path.length)} ${await digestOfFile(file)}\n`);
  return hash.digest('hex');
}

/** The file at a path, or the files of a folder in the order of their names. */
function filesOf(path: string): string[] {
  if (!statSync(path).isDirectory()) return [path];
  const entries = readdirSync(path, { withFileTypes: true });
  const names = entries.filter((entry) => !entry.isDirectory()).map(({ name }) => name);
  return names.sort().map((name) => join(path, name));
}

/** Files of frames are so many and so small that each of them read in another thread would take several times as long. */
const largestAtOnce = 2 ** 20;

async function digestOfFile(path: string): Promise<string> {
  if (statSync(path).size <= largestAtOnce) return digestOf(readFileSync(path));
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: largestAtOnce })) hash.update(chunk as Buffer);
  return hash.digest('hex');
}
