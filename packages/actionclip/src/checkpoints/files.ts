/** Checkpoints on disk: reading by ranges, and writing that never leaves a half-written file behind. */
import { open, readdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { HostTensor, Safetensors, StateDict } from '@actionclip/tensor';
import type { ByteSource } from './byte-source.ts';
import { type CheckpointContents, contentsOf, openTensorFile, type TensorFile } from './contents.ts';
import { CheckpointError } from './errors.ts';
import { type Checkpoint, readContents } from './load.ts';
import { openSafetensors } from './safetensors-source.ts';
import { openShards, readShardIndex, shardNames } from './shards.ts';
import { readable, writeSafetensors } from './write.ts';

/**
 * Reads a checkpoint file of any known layout: see `readCheckpoint`.
 * @throws CheckpointError where there is no such file or it cannot be read.
 */
export async function readCheckpointFile(path: string): Promise<Checkpoint> {
  return withCheckpointFile(path, readContents);
}

/** What a folder may hold, in the order in which it is looked for. */
const CHECKPOINT_NAMES = [
  'model.safetensors.index.json',
  'model.safetensors',
  'pytorch_model.bin.index.json',
  'pytorch_model.bin',
];
const INDEX_ENDING = '.index.json';

/**
 * Opens a checkpoint of any known layout while `use` runs.
 * @param path The file; of a checkpoint in several files its `.index.json`, or the folder of either.
 * @throws CheckpointError where there is no such file or it cannot be read.
 */
export async function withCheckpointFile<Result>(
  path: string,
  use: (contents: CheckpointContents) => Promise<Result>,
): Promise<Result> {
  return withTensorFile(path, async (file) => use(contentsOf(file)));
}

/**
 * Opens the tensors of a file, or of several together, whatever they are, while `use` runs.
 * @param path As for `withCheckpointFile`.
 * @throws CheckpointError where there is no such file or it is of another kind.
 */
export async function withTensorFile<Result>(
  path: string,
  use: (file: TensorFile) => Promise<Result>,
): Promise<Result> {
  const file = await checkpointPath(path);
  if (!file.endsWith(INDEX_ENDING)) return withFile(file, async (bytes) => use(await openTensorFile(bytes)));
  const index = await withFile(file, readShardIndex);
  const names = shardNames(index);
  const paths = names.map((name) => join(dirname(file), name));
  return withFiles(paths, async (sources) => {
    return use(await openShards(index, new Map(sources.map((bytes, i) => [names[i] ?? '', bytes]))));
  });
}

/**
 * The checkpoint's own path where a folder is given, else the path as it is.
 * @throws CheckpointError where a folder holds no file of a known name.
 */
export async function checkpointPath(path: string): Promise<string> {
  const isFolder = (await stat(path).catch(() => undefined))?.isDirectory() ?? false;
  if (!isFolder) return path;
  const names = new Set(await readdir(path));
  const name = CHECKPOINT_NAMES.find((one) => names.has(one));
  if (name !== undefined) return join(path, name);
  throw new CheckpointError(
    `${path}: a folder with none of ${CHECKPOINT_NAMES.join(', ')}`,
    'name the file of the checkpoint',
  );
}

async function withFiles<Result>(
  paths: readonly string[],
  use: (files: readonly ByteSource[]) => Promise<Result>,
  opened: readonly ByteSource[] = [],
): Promise<Result> {
  const [next, ...rest] = paths;
  if (next === undefined) return use(opened);
  return withFile(next, (file) => withFiles(rest, use, [...opened, file]));
}

/** The system takes no more than 2 GiB at once. */
const LARGEST_READ = 2 ** 30;

/** Opens a file for random access while `use` runs. */
export async function withFile<Result>(path: string, use: (bytes: ByteSource) => Promise<Result>): Promise<Result> {
  const file = await open(path, 'r').catch((cause: unknown) => {
    throw new CheckpointError(`${path}: ${systemReason(cause)}`, 'check the path of the checkpoint', { cause });
  });
  try {
    const status = await file.stat();
    if (!status.isFile()) throw new CheckpointError(`${path}: not a file`, 'check the path of the checkpoint');
    const read = async (offset: number, length: number, memory?: Uint8Array): Promise<Uint8Array> => {
      const bytes = memory?.subarray(0, length) ?? new Uint8Array(length);
      let done = 0;
      while (done < length) {
        const { bytesRead } = await file.read(bytes, done, Math.min(length - done, LARGEST_READ), offset + done);
        if (bytesRead === 0) {
          throw new CheckpointError(`${path}: ends at byte ${offset + done}`, 'the file changed while it was read');
        }
        done += bytesRead;
      }
      return bytes;
    };
    return await use({ name: path, size: status.size, read });
  } finally {
    await file.close();
  }
}

/**
 * Reads every tensor of a safetensors file under its own name, whatever it holds: the counterpart of
 * `writeSafetensorsFile`.
 * @throws CheckpointError where the file is absent or damaged.
 */
export async function readSafetensorsFile(path: string): Promise<Safetensors> {
  return withFile(path, async (bytes) => {
    const file = await openSafetensors(bytes);
    const tensors: StateDict = new Map();
    for (const name of file.entries.keys()) tensors.set(name, await file.read(name));
    return { tensors, metadata: file.metadata };
  });
}

/** Writes tensors as a safetensors file, atomically. */
export async function writeSafetensorsFile(
  path: string,
  tensors: ReadonlyMap<string, HostTensor>,
  metadata?: ReadonlyMap<string, string>,
): Promise<void> {
  await writeSafetensors(path, readable(tensors), metadata === undefined ? {} : { metadata });
}

const SYSTEM_REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EACCES: 'this file may not be read',
  EISDIR: 'this is a folder, not a file',
};

function systemReason(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return SYSTEM_REASONS[code] ?? (error instanceof Error ? error.message : String(error));
}
