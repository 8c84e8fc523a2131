/**
 * Tensors at rest in host memory, as files hold them: a dtype, a shape and one typed array in row-major order.
 * The engine's own tensors are made from these and read back into these.
 */
import { fromHalfBits } from '../dtype.ts';

/** The typed arrays that hold a file's values; `f16` and `bf16` are kept as their 16 bits. */
export type HostArray =
  | Float64Array
  | Float32Array
  | Uint16Array
  | BigInt64Array
  | Int32Array
  | Int16Array
  | Int8Array
  | Uint8Array
  | Uint32Array;

/** What a file can hold. `bool` is one byte an element, 0 or 1. */
export type HostDtype = 'f64' | 'f32' | 'f16' | 'bf16' | 'i64' | 'i32' | 'i16' | 'i8' | 'u8' | 'u32' | 'bool';

export interface HostTensor {
  readonly dtype: HostDtype;
  readonly shape: readonly number[];
  readonly data: HostArray;
}

/** Parameters by name, in the order in which they were met. */
export type StateDict = Map<string, HostTensor>;

interface DtypeRow {
  /** Bytes of one element. */
  readonly bytes: number;
  /** A view on `length` elements; `offset` must be a multiple of `bytes`. */
  readonly view: (buffer: ArrayBufferLike, offset: number, length: number) => HostArray;
}

/** Every dtype with its element size and its typed array. */
export const HOST_DTYPES: Readonly<Record<HostDtype, DtypeRow>> = {
  f64: { bytes: 8, view: (buffer, offset, length) => new Float64Array(buffer, offset, length) },
  f32: { bytes: 4, view: (buffer, offset, length) => new Float32Array(buffer, offset, length) },
  f16: { bytes: 2, view: (buffer, offset, length) => new Uint16Array(buffer, offset, length) },
  bf16: { bytes: 2, view: (buffer, offset, length) => new Uint16Array(buffer, offset, length) },
  i64: { bytes: 8, view: (buffer, offset, length) => new BigInt64Array(buffer, offset, length) },
  i32: { bytes: 4, view: (buffer, offset, length) => new Int32Array(buffer, offset, length) },
  i16: { bytes: 2, view: (buffer, offset, length) => new Int16Array(buffer, offset, length) },
  i8: { bytes: 1, view: (buffer, offset, length) => new Int8Array(buffer, offset, length) },
  u8: { bytes: 1, view: (buffer, offset, length) => new Uint8Array(buffer, offset, length) },
  u32: { bytes: 4, view: (buffer, offset, length) => new Uint32Array(buffer, offset, length) },
  bool: { bytes: 1, view: (buffer, offset, length) => new Uint8Array(buffer, offset, length) },
};

/** The number of elements of a shape; 1 for a scalar. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** An array of `length` zeros of this dtype. */
export function allocateHostArray(dtype: HostDtype, length: number): HostArray {
  const row = HOST_DTYPES[dtype];
  return row.view(new ArrayBuffer(length * row.bytes), 0, length);
}

/** Reads little-endian bytes as elements: a view where the alignment allows it, otherwise a copy. */
export function bytesToHostArray(dtype: HostDtype, bytes: Uint8Array): HostArray {
  const row = HOST_DTYPES[dtype];
  const aligned = bytes.byteOffset % row.bytes === 0 ? bytes : bytes.slice();
  return row.view(aligned.buffer, aligned.byteOffset, bytes.byteLength / row.bytes);
}

const word = new Uint32Array(1);
const single = new Float32Array(word.buffer);

/** The value of 16 bits read as bfloat16, the upper half of a float. Exact. */
export function bfloat16ToNumber(bits: number): number {
  word[0] = bits << 16;
  return single[0] as number;
}

type NumberRow = (data: HostArray, index: number) => number;
const plainNumber: NumberRow = (data, index) => Number(data[index]);
const TO_NUMBER: Readonly<Partial<Record<HostDtype, NumberRow>>> = {
  f16: (data, index) => fromHalfBits(Number(data[index])),
  bf16: (data, index) => bfloat16ToNumber(Number(data[index])),
};

/** Values of f16 by their bits: looking one up takes a fraction of the time of computing it. */
let halfValues: Float32Array | undefined;

/**
 * Writes elements as floats to `target`, of the same length. `f16` and `bf16` are exact; `f64`, `i64`, `i32` and `u32`
 * are rounded to the nearest float.
 */
export function writeFloat32(dtype: HostDtype, data: HostArray, target: Float32Array): void {
  if (dtype === 'f16') {
    halfValues ??= Float32Array.from({ length: 2 ** 16 }, (_, bits) => fromHalfBits(bits));
    const values = halfValues;
    for (let i = 0; i < target.length; i++) target[i] = values[data[i] as number] as number;
  } else if (dtype === 'bf16') {
    const words = new Uint32Array(target.buffer, target.byteOffset, target.length);
    for (let i = 0; i < words.length; i++) words[i] = (data[i] as number) << 16;
  } else if (data instanceof BigInt64Array) {
    for (let i = 0; i < target.length; i++) target[i] = Number(data[i]);
  } else target.set(data);
}

/** The same tensor in `f32`, as `writeFloat32` has it. A tensor that is `f32` already is returned as it is. */
export function toFloat32(tensor: HostTensor): HostTensor & { readonly dtype: 'f32'; readonly data: Float32Array } {
  const { dtype, data, shape } = tensor;
  if (dtype === 'f32' && data instanceof Float32Array) return { dtype, data, shape };
  const values = new Float32Array(data.length);
  writeFloat32(dtype, data, values);
  return { dtype: 'f32', shape, data: values };
}

/**
 * The same tensor in `i32`.
 * @throws RangeError where a value is not an integer of 32 bits.
 */
export function toInt32(tensor: HostTensor): HostTensor & { readonly dtype: 'i32'; readonly data: Int32Array } {
  const { dtype, data, shape } = tensor;
  if (dtype === 'i32' && data instanceof Int32Array) return { dtype, data, shape };
  const read = TO_NUMBER[dtype] ?? plainNumber;
  const values = new Int32Array(data.length);
  for (let i = 0; i < values.length; i++) {
    const value = read(data, i);
    values[i] = value;
    if (values[i] !== value) throw new RangeError(`toInt32: element ${i} is ${value}, which no 32-bit integer equals`);
  }
  return { dtype: 'i32', shape, data: values };
}
