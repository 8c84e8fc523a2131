/**
 * The pickle inside a PyTorch archive, read as data. A closed list of names is given a meaning; every other name
 * becomes an inert record of its arguments and state. No code of the file runs.
 */
import type { HostDtype } from '@actionclip/tensor';
import { CheckpointError } from './errors.ts';
import { GlobalName, type PickleMeaning, runPickle } from './pickle-machine.ts';

/** A tensor as the pickle describes it: a strided window on a storage. `offset` and `strides` count elements. */
export class TensorReference {
  readonly dtype: HostDtype;
  /** The archive's entry is `data/<key>`. */
  readonly key: string;
  readonly offset: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];

  constructor(storage: StorageReference, offset: number, shape: readonly number[], strides: readonly number[]) {
    this.dtype = storage.dtype;
    this.key = storage.key;
    this.offset = offset;
    this.shape = Object.freeze([...shape]);
    this.strides = Object.freeze([...strides]);
    Object.freeze(this);
  }
}

class StorageReference {
  readonly dtype: HostDtype;
  readonly key: string;

  constructor(dtype: HostDtype, key: string) {
    this.dtype = dtype;
    this.key = key;
    Object.freeze(this);
  }
}

/** An instance of a class that is not on the list: what it was made with, never what it would have done. */
export class InertObject {
  readonly className: string;
  readonly args: readonly unknown[];
  state: unknown = undefined;

  constructor(className: string, args: readonly unknown[]) {
    this.className = className;
    this.args = args;
  }
}

export interface Unpickled {
  readonly root: unknown;
  /** Names outside the list that the pickle asked for, sorted. */
  readonly unknownNames: readonly string[];
}

const STORAGE_DTYPES: ReadonlyMap<string, HostDtype> = new Map<string, HostDtype>([
  ['DoubleStorage', 'f64'],
  ['FloatStorage', 'f32'],
  ['HalfStorage', 'f16'],
  ['BFloat16Storage', 'bf16'],
  ['LongStorage', 'i64'],
  ['IntStorage', 'i32'],
  ['ShortStorage', 'i16'],
  ['CharStorage', 'i8'],
  ['ByteStorage', 'u8'],
  ['BoolStorage', 'bool'],
]);

type PickleCallable = (args: readonly unknown[]) => unknown;

const rebuildTensor: PickleCallable = ([storage, offset, shape, strides]) => {
  if (!(storage instanceof StorageReference)) throw new TypeError('a tensor without a storage');
  const start = Number(offset);
  if (!isSize(start) || !isSizes(shape) || !isSizes(strides) || shape.length !== strides.length) {
    throw new TypeError('a tensor whose offset, shape or strides are no sizes');
  }
  return new TensorReference(storage, start, shape, strides);
};

const ORDERED_DICT = 'collections.OrderedDict';
/** Storages, and the classes of a TorchScript archive's own modules. */
const OWN_NAMES = /^torch\.\w+Storage$|^__torch__\./;

const theFirst: PickleCallable = ([first]) => first;

const KNOWN_NAMES: ReadonlyMap<string, PickleCallable> = new Map<string, PickleCallable>([
  ['torch._utils._rebuild_tensor_v2', rebuildTensor],
  ['torch._utils._rebuild_tensor', rebuildTensor],
  ['torch._utils._rebuild_parameter', theFirst],
  ['torch._utils._rebuild_parameter_with_state', theFirst],
  ['torch.Size', theFirst],
  // TorchScript's typed lists.
  ['torch.jit._pickle.build_intlist', theFirst],
  ['torch.jit._pickle.build_tensorlist', theFirst],
  ['torch.jit._pickle.build_doublelist', theFirst],
  ['torch.jit._pickle.build_boollist', theFirst],
]);

/**
 * Reads a pickle of protocol 2 to 5.
 * @param source Named in errors.
 * @throws CheckpointError where the bytes are not a pickle that this reader understands.
 */
export function unpickle(bytes: Uint8Array, source: string): Unpickled {
  const unknown = new Set<string>();
  let pairs = 0;
  const meaning: PickleMeaning = {
    named({ path }) {
      if (!KNOWN_NAMES.has(path) && path !== ORDERED_DICT && !OWN_NAMES.test(path)) unknown.add(path);
    },
    call({ path }, args) {
      if (path === ORDERED_DICT) {
        const [given] = args;
        const items = Array.isArray(given) ? given.filter(isPair) : [];
        // One list may stand for many calls, but no honest pickle has more pairs than bytes.
        pairs += items.length;
        if (pairs > bytes.byteLength) throw new TypeError('one list is repeated in many dictionaries');
        return new Map(items);
      }
      return KNOWN_NAMES.get(path)?.(args) ?? new InertObject(path, args);
    },
    persistent: resolveStorage,
    build(object, state) {
      if (object instanceof InertObject) object.state = state;
      // A state dict carries the versions of its modules as an attribute, of no use here.
      else if (!(object instanceof Map)) throw new TypeError('attributes for what has none');
    },
    setItem(object, key, value) {
      const state = stateOf(object, () => new Map());
      if (state instanceof Map) state.set(key, value);
      else throw new TypeError('pairs for what is no dictionary');
    },
    append(object, value) {
      const state = stateOf(object, () => []);
      if (Array.isArray(state)) state.push(value);
      else throw new TypeError('items for what is no list');
    },
  };
  let root: unknown;
  try {
    root = runPickle(bytes, meaning);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const asked = unknown.size > 0 ? `; it asks for ${[...unknown].sort().join(', ')}` : '';
    throw new CheckpointError(
      `${source}: its pickle cannot be read (${reason}${asked})`,
      'save the state dict alone, with torch.save(model.state_dict(), path)',
      { cause },
    );
  }
  return { root, unknownNames: [...unknown].sort() };
}

/** What an object of an unknown class holds, where its class is a kind of dictionary or list. */
function stateOf(object: unknown, make: () => unknown): unknown {
  if (!(object instanceof InertObject)) return undefined;
  object.state ??= make();
  return object.state;
}

/** A persistent id is ('storage', storage class, key, device, number of elements). */
function resolveStorage(id: unknown): StorageReference {
  const [kind, storage, key]: unknown[] = Array.isArray(id) ? id : [];
  if (kind !== 'storage' || !(storage instanceof GlobalName) || typeof key !== 'string') {
    throw new TypeError('a persistent id that is no storage');
  }
  const dtype = storage.path.startsWith(TORCH) ? STORAGE_DTYPES.get(storage.path.slice(TORCH.length)) : undefined;
  if (dtype === undefined) throw new TypeError(`a tensor of ${storage.path}`);
  return new StorageReference(dtype, key);
}

const TORCH = 'torch.';

function isSize(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}

/** More axes than any tensor of PyTorch has. */
const MAXIMUM_AXES = 64;

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.length <= MAXIMUM_AXES && value.every(isSize);
}

function isPair(value: unknown): value is [unknown, unknown] {
  return Array.isArray(value) && value.length === 2;
}
