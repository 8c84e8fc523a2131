/** Checkpoints in several files, as Hugging Face has them: an index in JSON names the file of each tensor. Runs in browsers. */
import type { ByteSource } from './byte-source.ts';
import { openTensorFile, type TensorFile } from './contents.ts';
import { CheckpointError } from './errors.ts';
import { firstFew } from './first-few.ts';

export interface ShardIndex {
  readonly source: string;
  /** The name of a file beside the index by the path of a tensor. */
  readonly fileOf: ReadonlyMap<string, string>;
}

/** The largest index that is read; those of models with thousands of tensors stay under a megabyte. */
const MAXIMUM_INDEX_BYTES = 2 ** 26;

/**
 * Reads an index such as `model.safetensors.index.json`.
 * @throws CheckpointError where it is none, or names a file that is not beside it.
 */
export async function readShardIndex(bytes: ByteSource): Promise<ShardIndex> {
  const { name: source, size } = bytes;
  if (size > MAXIMUM_INDEX_BYTES) throw notAnIndex(source, `it has ${size} bytes`);
  const map = weightMap(new TextDecoder().decode(await bytes.read(0, size)));
  if (map === undefined) throw notAnIndex(source, 'it has no weight_map of names to files');
  const fileOf = new Map<string, string>();
  for (const [tensor, file] of Object.entries(map)) {
    if (typeof file !== 'string' || !/^[^/\\]+$/.test(file) || file === '.' || file === '..') {
      throw notAnIndex(source, `${tensor} is in ${JSON.stringify(file)}, which is not the name of a file beside it`);
    }
    fileOf.set(tensor, file);
  }
  return { source, fileOf };
}

function weightMap(text: string): object | undefined {
  try {
    const index: unknown = JSON.parse(text);
    const map: unknown = typeof index === 'object' && index !== null && 'weight_map' in index && index.weight_map;
    return typeof map === 'object' && map !== null ? map : undefined;
  } catch {
    return undefined;
  }
}

const notAnIndex = (source: string, problem: string): CheckpointError =>
  new CheckpointError(`${source}: not an index of a checkpoint in several files (${problem})`, 'fetch it again');

/** The files that an index names. */
export const shardNames = ({ fileOf }: ShardIndex): string[] => [...new Set(fileOf.values())];

/**
 * Opens the files of an index as one.
 * @param files Beside the index, by name.
 * @throws CheckpointError where one of them is absent or damaged, or lacks a tensor that the index says it has.
 */
export async function openShards(index: ShardIndex, files: ReadonlyMap<string, ByteSource>): Promise<TensorFile> {
  const opened = new Map<string, TensorFile>();
  for (const name of shardNames(index)) {
    const file = files.get(name);
    if (file === undefined) throw new CheckpointError(`${index.source}: ${name} is not there`, 'fetch it as well');
    opened.set(name, await openTensorFile(file));
  }
  return joinShards(index, opened);
}

/**
 * The tensors that an index names, as one file.
 * @param files By the names in the index.
 * @throws CheckpointError where a tensor is not in the file that the index names.
 */
function joinShards({ source, fileOf }: ShardIndex, files: ReadonlyMap<string, TensorFile>): TensorFile {
  const held = new Map([...files].map(([name, file]) => [name, new Set(file.paths)]));
  const absent = [...fileOf]
    .filter(([path, file]) => !held.get(file)?.has(path))
    .map(([path, file]) => `${path} (${file})`);
  if (absent.length > 0) {
    throw new CheckpointError(
      `${source}: ${absent.length} tensors are not in the files that it names: ${firstFew(absent)}`,
      'fetch all files of one revision again',
    );
  }
  const all = [...files.values()];
  return {
    source,
    container: all[0]?.container ?? 'safetensors',
    files: all.length,
    size: all.reduce((sum, { size }) => sum + size, 0),
    paths: [...fileOf.keys()],
    scalars: new Map(all.flatMap(({ scalars }) => [...scalars])),
    unknownNames: [...new Set(all.flatMap(({ unknownNames }) => unknownNames))],
    tensor(path) {
      const file = files.get(fileOf.get(path) ?? '');
      if (file === undefined) throw new CheckpointError(`${source}: there is no tensor ${path}`, 'check the name');
      return file.tensor(path);
    },
  };
}
