/**
 * The archives of torch.save (since PyTorch 1.6) and of TorchScript: a zip that holds one pickle and raw storages.
 * Opening reads the pickle alone; values are read tensor by tensor when asked for. Runs in browsers.
 */
import {
  allocateHostArray,
  bytesToHostArray,
  elementCount,
  HOST_DTYPES,
  type HostArray,
  type StateDict,
} from '@actionclip/tensor';
import type { ByteSource } from './byte-source.ts';
import { CheckpointError } from './errors.ts';
import { InertObject, TensorReference, unpickle } from './pickle.ts';
import { type StoredTensor, tensorAt, wholeTensor } from './stored-tensor.ts';
import { listZip, type ZipEntry } from './zip.ts';

/** The largest pickle that is read; those of real checkpoints stay under a few megabytes. */
const MAXIMUM_PICKLE_BYTES = 256 * 2 ** 20;
/** Deeper nesting is refused; real checkpoints stay under twenty. */
const MAXIMUM_DEPTH = 200;
/** Shared lists can make a small pickle describe an endless tree; without them each part takes bytes of its own. */
const MAXIMUM_PARTS_PER_BYTE = 8;
/** Longer paths are refused, since one long key may stand before many parts; real ones stay under a hundred characters. */
const MAXIMUM_PATH_LENGTH = 1000;

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
   * A tensor by its path, not yet read, in row-major order whatever its strides.
   * @throws CheckpointError where its storage is missing, too short or compressed.
   */
  stored(path: string): StoredTensor;
  /**
   * Reads tensors by path.
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
  const entries = await listZip(bytes);
  const [pickleName, ...others] = [...entries.keys()].filter((name) => /(^|\/)data\.pkl$/.test(name));
  if (pickleName === undefined || others.length > 0) {
    throw new CheckpointError(
      `${source}: a zip archive with ${others.length > 0 ? 'several' : 'no'} data.pkl inside`,
      'expected is what torch.save or torch.jit.save writes',
    );
  }
  const folder = pickleName.slice(0, -'data.pkl'.length);
  const entryOf = (name: string): ZipEntry => {
    const entry = entries.get(folder + name);
    if (entry === undefined) throw damaged(source, `the entry ${folder}${name} is missing`);
    if (!entry.stored) {
      // PyTorch never compresses; refusing what is compressed also bounds the memory by the size of the file.
      throw new CheckpointError(
        `${source}: the entry ${folder}${name} is compressed or encrypted`,
        'PyTorch stores entries as they are: pack the archive without compression',
      );
    }
    return entry;
  };
  const readEntry = async (name: string): Promise<Uint8Array> => {
    const entry = entryOf(name);
    return bytes.read(await entry.begin(), entry.bytes);
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
  if ((entries.get(pickleName)?.bytes ?? 0) > MAXIMUM_PICKLE_BYTES) {
    throw new CheckpointError(`${source}: its pickle is larger than 256 MiB`, 'this is not a checkpoint of a model');
  }
  const pickle = await readEntry('data.pkl');
  const { root, unknownNames } = unpickle(pickle, source);
  const tensors = new Map<string, TensorReference>();
  const scalars = new Map<string, number | string | boolean>();
  const largest = MAXIMUM_PARTS_PER_BYTE * pickle.byteLength;
  flatten(root, { source, largest }, tensors, scalars);
  const stored = (path: string): StoredTensor => {
    const reference = tensors.get(path);
    if (reference === undefined) throw damaged(source, `there is no tensor ${path}`);
    return windowOf(bytes, entryOf(`data/${reference.key}`), reference, `${source}: ${path}`);
  };

  return {
    format: entries.has(`${folder}constants.pkl`) ? 'TorchScript' : 'torch.save',
    tensors,
    scalars,
    unknownNames,
    stored,
    async read(paths: Iterable<string>): Promise<StateDict> {
      const dict: StateDict = new Map();
      for (const path of paths) dict.set(path, await stored(path).read());
      return dict;
    },
  };
}

function damaged(source: string, problem: string, cause?: unknown): CheckpointError {
  return new CheckpointError(`${source}: ${problem}`, 'the file is damaged: fetch or write it again', { cause });
}

/** Walks Maps, lists and the state of inert objects, joining keys with dots, as a module's parameters are named. */
function flatten(
  root: unknown,
  { source, largest }: { readonly source: string; readonly largest: number },
  tensors: Map<string, TensorReference>,
  scalars: Map<string, number | string | boolean>,
): void {
  const open = new Set<object>();
  let parts = 0;
  const visit = (value: unknown, path: string): void => {
    if (++parts > largest) throw damaged(source, `its objects have more than ${largest} parts`);
    if (path.length > MAXIMUM_PATH_LENGTH) {
      throw damaged(source, `its objects have names of more than ${MAXIMUM_PATH_LENGTH} characters`);
    }
    if (value instanceof TensorReference) tensors.set(path, value);
    else if (typeof value === 'number' || typeof value === 'string' || typeof value === 'boolean') {
      scalars.set(path, value);
    } else if (typeof value === 'object' && value !== null && !open.has(value)) {
      if (open.size > MAXIMUM_DEPTH) throw damaged(source, `its objects nest deeper than ${MAXIMUM_DEPTH}`);
      open.add(value);
      for (const [key, child] of children(value))
        visit(child, path === '' || key === '' ? path + key : `${path}.${key}`);
      open.delete(value);
    }
  };
  visit(root, '');
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

function moduleParts(map: ReadonlyMap<unknown, unknown>): [string, unknown][] {
  if (!MODULE_PARTS.every((part) => map.has(part))) return [...map].map(([key, child]) => [keyText(key), child]);
  return MODULE_PARTS.map((part) => ['', map.get(part)]);
}

/** A tuple as a key may describe any amount of text. */
const keyText = (key: unknown): string => (typeof key === 'object' && key !== null ? '(object)' : String(key));

/** A window on a storage, after checking that it lies inside. */
function windowOf(bytes: ByteSource, storage: ZipEntry, reference: TensorReference, where: string): StoredTensor {
  const { dtype, offset, shape, strides } = reference;
  const { bytes: size } = HOST_DTYPES[dtype];
  const count = elementCount(shape);
  const last = shape.reduce((sum, length, axis) => sum + (length - 1) * (strides[axis] ?? 0), offset);
  if (count > 0 && (last + 1) * size > storage.bytes) {
    throw damaged(where, `shape [${shape.join(', ')}] of ${dtype} reaches past its storage of ${storage.bytes} bytes`);
  }
  const begin = async (): Promise<number> => (await storage.begin()) + (count === 0 ? 0 : offset * size);
  if (count === 0 || isContiguous(shape, strides)) return tensorAt(bytes, { dtype, shape, begin });
  // A window may repeat elements (stride 0), so its size is bounded apart from the storage's.
  if (count * size > storage.bytes)
    throw damaged(where, `shape [${shape.join(', ')}] holds more elements than its storage`);
  return wholeTensor(reference, async () => {
    const span = await bytes.read(await begin(), (last + 1 - offset) * size);
    return { dtype, shape, data: gather(bytesToHostArray(dtype, span), reference) };
  });
}

/** Copies a strided window, whose first element is the first of `from`, into row-major order. */
function gather(from: HostArray, { dtype, shape, strides }: TensorReference): HostArray {
  const data = allocateHostArray(dtype, elementCount(shape));
  const index = new Array<number>(shape.length).fill(0);
  let place = 0;
  for (let i = 0; i < data.length; i++) {
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
  return data;
}

function isContiguous(shape: readonly number[], strides: readonly number[]): boolean {
  let expected = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (shape[axis] !== 1 && strides[axis] !== expected) return false;
    expected *= shape[axis] ?? 1;
  }
  return true;
}
