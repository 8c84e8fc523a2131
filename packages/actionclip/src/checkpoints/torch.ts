/**
 * The archives of torch.save (since PyTorch 1.6) and of TorchScript: a zip that holds one pickle and raw storages.
 * Opening reads the pickle alone; values are read tensor by tensor when asked for. Runs in browsers.
 */
import {
  allocateHostArray,
  bytesToHostArray,
  elementCount,
  HOST_DTYPES,
  type HostTensor,
  type StateDict,
} from '@actionclip/tensor';
import { type FileEntry, Reader, Uint8ArrayWriter, ZipReader } from '@zip.js/zip.js';
import type { ByteSource } from './byte-source.ts';
import { CheckpointError } from './errors.ts';
import { InertObject, TensorReference, unpickle } from './pickle.ts';

/** The largest pickle that is read; those of real checkpoints stay under a few megabytes. */
const MAXIMUM_PICKLE_BYTES = 256 * 2 ** 20;
/** Deeper nesting is refused; real checkpoints stay under twenty. */
const MAXIMUM_DEPTH = 200;
/** Shared lists can make a small pickle describe an endless tree; the largest checkpoints have some thousand parts. */
const MAXIMUM_PARTS = 5_000_000;
const STORED = 0;

/** Plain values of a checkpoint beside its tensors (`epoch`, say), by dotted path. */
export type TorchScalars = ReadonlyMap<string, number | string | boolean>;

export interface TorchArchive {
  readonly format: 'torch.save' | 'TorchScript';
  /** Every tensor by its dotted path (`model_state_dict.visual.proj`), not yet read. */
  readonly tensors: ReadonlyMap<string, TensorReference>;
  readonly scalars: TorchScalars;
  /** Classes that the file names and this reader gives no meaning; their state was looked through all the same. */
  readonly unknownNames: readonly string[];
  /**
   * Reads tensors by path, each storage once, in row-major order whatever their strides.
   * @throws CheckpointError where a storage is missing, too short or compressed.
   */
  read(paths: Iterable<string>): Promise<StateDict>;
}

/** True where the bytes begin as every zip archive does. */
export function looksLikeZip(start: Uint8Array): boolean {
  return start[0] === 0x50 && start[1] === 0x4b;
}

/** True where the bytes begin as a pickle of protocol 2 or later does: PyTorch's format before 1.6. */
export function looksLikePickle(start: Uint8Array): boolean {
  const protocol = start[1] ?? 0;
  return start[0] === 0x80 && protocol >= 2 && protocol <= 5;
}

/**
 * Opens an archive without reading its values.
 * @throws CheckpointError where the bytes are no such archive.
 */
export async function openTorchArchive(bytes: ByteSource): Promise<TorchArchive> {
  const source = bytes.name;
  const entries = await listEntries(bytes);
  const [pickleName, ...others] = [...entries.keys()].filter((name) => /(^|\/)data\.pkl$/.test(name));
  if (pickleName === undefined || others.length > 0) {
    throw new CheckpointError(
      `${source}: a zip archive with ${others.length > 0 ? 'several' : 'no'} data.pkl inside`,
      'expected is what torch.save or torch.jit.save writes',
    );
  }
  const folder = pickleName.slice(0, -'data.pkl'.length);
  const readEntry = (name: string): Promise<Uint8Array> => {
    const entry = entries.get(folder + name);
    if (entry === undefined) throw damaged(source, `the entry ${folder}${name} is missing`);
    return readStored(entry, source);
  };
  if (entries.has(`${folder}byteorder`)) {
    const order = new TextDecoder().decode(await readEntry('byteorder')).trim();
    if (order !== 'little') {
      throw new CheckpointError(
        `${source}: its numbers are stored ${order}-endian`,
        'save it again on a little-endian machine',
      );
    }
  }
  if ((entries.get(pickleName)?.uncompressedSize ?? 0) > MAXIMUM_PICKLE_BYTES) {
    throw new CheckpointError(`${source}: its pickle is larger than 256 MiB`, 'this is not a checkpoint of a model');
  }
  const { root, unknownNames } = unpickle(await readEntry('data.pkl'), source);
  const tensors = new Map<string, TensorReference>();
  const scalars = new Map<string, number | string | boolean>();
  flatten(root, source, tensors, scalars);

  return {
    format: entries.has(`${folder}constants.pkl`) ? 'TorchScript' : 'torch.save',
    tensors,
    scalars,
    unknownNames,
    async read(paths: Iterable<string>): Promise<StateDict> {
      const dict: StateDict = new Map();
      const storages = new Map<string, Uint8Array>();
      for (const path of paths) {
        const reference = tensors.get(path);
        if (reference === undefined) throw damaged(source, `there is no tensor ${path}`);
        const storage = storages.get(reference.key) ?? (await readEntry(`data/${reference.key}`));
        storages.set(reference.key, storage);
        dict.set(path, gather(reference, storage, `${source}: ${path}`));
      }
      return dict;
    },
  };
}

async function listEntries(bytes: ByteSource): Promise<Map<string, FileEntry>> {
  try {
    const reader = new ZipReader(new ByteSourceReader(bytes), { useWebWorkers: false });
    const files = new Map<string, FileEntry>();
    for (const entry of await reader.getEntries()) if (!entry.directory) files.set(entry.filename, entry);
    return files;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new CheckpointError(
      `${bytes.name}: not a complete zip archive (${reason})`,
      'fetch or write the file again',
      { cause },
    );
  }
}

/** Random access for the zip reader. */
class ByteSourceReader extends Reader<ByteSource> {
  readonly #bytes: ByteSource;

  constructor(bytes: ByteSource) {
    super(bytes);
    this.#bytes = bytes;
    this.size = bytes.size;
  }

  override readUint8Array(offset: number, length: number): Promise<Uint8Array> {
    return this.#bytes.read(offset, Math.min(length, this.size - offset));
  }
}

/** PyTorch never compresses; refusing what is compressed also bounds the memory by the size of the file. */
async function readStored(entry: FileEntry, source: string): Promise<Uint8Array> {
  if (entry.compressionMethod !== STORED || entry.encrypted) {
    throw new CheckpointError(
      `${source}: the entry ${entry.filename} is compressed or encrypted`,
      'PyTorch stores entries as they are: pack the archive without compression',
    );
  }
  try {
    return await entry.getData(new Uint8ArrayWriter(), { useWebWorkers: false });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw damaged(source, `the entry ${entry.filename} cannot be read (${reason})`, cause);
  }
}

function damaged(source: string, problem: string, cause?: unknown): CheckpointError {
  return new CheckpointError(`${source}: ${problem}`, 'the file is damaged: fetch or write it again', { cause });
}

/** Walks Maps, lists and the state of inert objects, joining keys with dots, as a module's parameters are named. */
function flatten(
  root: unknown,
  source: string,
  tensors: Map<string, TensorReference>,
  scalars: Map<string, number | string | boolean>,
): void {
  const open = new Set<object>();
  let parts = 0;
  const visit = (value: unknown, path: readonly string[]): void => {
    if (++parts > MAXIMUM_PARTS) throw damaged(source, `its objects have more than ${MAXIMUM_PARTS} parts`);
    if (value instanceof TensorReference) tensors.set(path.join('.'), value);
    else if (typeof value === 'number' || typeof value === 'string' || typeof value === 'boolean') {
      scalars.set(path.join('.'), value);
    } else if (typeof value === 'object' && value !== null && !open.has(value)) {
      if (path.length > MAXIMUM_DEPTH) throw damaged(source, `its objects nest deeper than ${MAXIMUM_DEPTH}`);
      open.add(value);
      for (const [key, child] of children(value)) visit(child, key === '' ? path : [...path, key]);
      open.delete(value);
    }
  };
  visit(root, []);
}

/** The named parts of a value; an empty name adds nothing to the path. */
function children(value: object): Iterable<readonly [string, unknown]> {
  if (value instanceof InertObject) return [['', value.state]];
  if (value instanceof Map) return moduleParts(value);
  if (Array.isArray(value)) return value.map((child: unknown, index) => [String(index), child] as const);
  return [];
}

/** A pickled nn.Module keeps its tensors one level down, in these three dictionaries. */
const MODULE_PARTS = ['_parameters', '_buffers', '_modules'];

function moduleParts(value: ReadonlyMap<unknown, unknown>): [string, unknown][] {
  // A copy, since a pickle can have put properties of its own over a map's methods.
  const map = new Map(value);
  if (!MODULE_PARTS.every((part) => map.has(part))) return [...map].map(([key, child]) => [String(key), child]);
  return MODULE_PARTS.map((part) => ['', map.get(part)]);
}

/** Copies a strided window into row-major order, after checking that it lies inside its storage. */
function gather(reference: TensorReference, storage: Uint8Array, where: string): HostTensor {
  const { dtype, offset, shape, strides } = reference;
  const { bytes } = HOST_DTYPES[dtype];
  const count = elementCount(shape);
  const last = shape.reduce((sum, size, axis) => sum + (size - 1) * (strides[axis] ?? 0), offset);
  if (count > 0 && (last + 1) * bytes > storage.byteLength) {
    throw damaged(
      where,
      `shape [${shape.join(', ')}] of ${dtype} reaches past its storage of ${storage.byteLength} bytes`,
    );
  }
  if (isContiguous(shape, strides) || count === 0) {
    const start = count === 0 ? 0 : offset * bytes;
    return { dtype, shape, data: bytesToHostArray(dtype, storage.subarray(start, start + count * bytes)) };
  }
  const from = bytesToHostArray(dtype, storage.subarray(0, storage.byteLength - (storage.byteLength % bytes)));
  // A window may repeat elements (stride 0), so its size is bounded apart from the storage's.
  if (count > from.length) throw damaged(where, `shape [${shape.join(', ')}] holds more elements than its storage`);
  const data = allocateHostArray(dtype, count);
  const index = new Array<number>(shape.length).fill(0);
  let place = offset;
  for (let i = 0; i < count; i++) {
    data[i] = from[place] as never;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const size = shape[axis] ?? 1;
      const stride = strides[axis] ?? 0;
      const position = (index[axis] ?? 0) + 1;
      place += stride;
      if (position < size) {
        index[axis] = position;
        break;
      }
      place -= size * stride;
      index[axis] = 0;
    }
  }
  return { dtype, shape, data };
}

function isContiguous(shape: readonly number[], strides: readonly number[]): boolean {
  let expected = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (shape[axis] !== 1 && strides[axis] !== expected) return false;
    expected *= shape[axis] ?? 1;
  }
  return true;
}
