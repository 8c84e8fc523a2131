/**
 * The pickle inside a PyTorch archive, read as data. A closed list of names is given a meaning; every other name
 * becomes an inert record of its arguments and state. No code of the file runs.
 */
import type { HostDtype } from '@actionclip/tensor';
import { Parser } from 'pickleparser';
import { CheckpointError } from './errors.ts';

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
    // A pickle can ask for attributes to be set on anything that it has named.
    Object.freeze(this);
  }
}

type ParserOptions = Required<NonNullable<ConstructorParameters<typeof Parser>[0]>>;

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

  /** Called by the pickle parser where Python would call the class's own method. */
  __setstate__(state: unknown): void {
    this.state = state;
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

type PickleCallable = (...args: unknown[]) => unknown;

/** A storage class is only ever named inside a persistent id, never called. */
class StorageClass {
  readonly name: string;

  constructor(name: string) {
    this.name = name;
    Object.freeze(this);
  }
}

const rebuildTensor: PickleCallable = (storage, offset, shape, strides) => {
  if (!(storage instanceof StorageReference)) throw new TypeError('a tensor without a storage');
  const start = Number(offset);
  if (!isSize(start) || !isSizes(shape) || !isSizes(strides) || shape.length !== strides.length) {
    throw new TypeError(`a tensor with offset ${start}, shape [${String(shape)}] and strides [${String(strides)}]`);
  }
  return new TensorReference(storage, start, shape, strides);
};

const KNOWN_NAMES: ReadonlyMap<string, PickleCallable> = new Map<string, PickleCallable>([
  ['torch._utils._rebuild_tensor_v2', rebuildTensor],
  ['torch._utils._rebuild_tensor', rebuildTensor],
  ['torch._utils._rebuild_parameter', (tensor) => tensor],
  ['torch._utils._rebuild_parameter_with_state', (tensor) => tensor],
  ['torch.Size', (sizes) => sizes],
  ['collections.OrderedDict', (pairs) => new Map(Array.isArray(pairs) ? pairs.filter(isPair) : [])],
  // TorchScript's typed lists: the parser hands over what the reduction holds, a plain list.
  ['torch.jit._pickle.build_intlist', (list) => list],
  ['torch.jit._pickle.build_tensorlist', (list) => list],
  ['torch.jit._pickle.build_doublelist', (list) => list],
  ['torch.jit._pickle.build_boollist', (list) => list],
]);

for (const callable of KNOWN_NAMES.values()) Object.freeze(callable);

/**
 * Reads a pickle of protocol 2 to 5.
 * @param source Named in errors.
 * @throws CheckpointError where the bytes are not a pickle that this reader understands.
 */
export function unpickle(bytes: Uint8Array, source: string): Unpickled {
  const unknown = new Set<string>();
  const nameResolver = {
    resolve(module: string, name: string): unknown {
      const path = `${module}.${name}`;
      if (module === 'torch' && name.endsWith('Storage')) return new StorageClass(name);
      const known = KNOWN_NAMES.get(path);
      if (known !== undefined) return known;
      if (!module.startsWith('__torch__')) unknown.add(path);
      // A plain function, since the parser calls some classes with `new` and some without.
      return function inert(...args: unknown[]): InertObject {
        return new InertObject(path, args);
      };
    },
  };
  const persistentResolver = { resolve: resolveStorage };
  const parser = new Parser({
    // The parser's types ask for constructors and for text ids; it passes both through untouched.
    nameResolver: nameResolver as ParserOptions['nameResolver'],
    persistentResolver: persistentResolver as unknown as ParserOptions['persistentResolver'],
    unpicklingTypeOfDictionary: 'Map',
    unpicklingTypeOfSet: 'Set',
  });
  let root: unknown;
  try {
    root = parser.parse<unknown>(bytes);
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

/** A persistent id is ('storage', storage class, key, device, number of elements). */
function resolveStorage(id: unknown): StorageReference {
  const [kind, storage, key]: unknown[] = Array.isArray(id) ? id : [];
  if (kind !== 'storage' || !(storage instanceof StorageClass) || typeof key !== 'string') {
    throw new TypeError(`a persistent id that is no storage: ${String(id)}`);
  }
  const dtype = STORAGE_DTYPES.get(storage.name);
  if (dtype === undefined) throw new TypeError(`a tensor of torch.${storage.name}`);
  return new StorageReference(dtype, key);
}

function isSize(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every(isSize);
}

function isPair(value: unknown): value is [unknown, unknown] {
  return Array.isArray(value) && value.length === 2;
}
