/** Host arrays to the bytes that lie in device memory, and back. */
import { type DType, dtypes, type TypedArray, toHalfBits } from '../../dtype.ts';
import { DTypeError } from '../../errors.ts';

/** The array classes that hold a dtype's elements as they are stored. */
const arrays: Readonly<Record<DType, readonly string[]>> = {
  f32: ['Float32Array'],
  f16: ['Uint16Array'],
  i32: ['Int32Array'],
  u32: ['Uint32Array'],
  bool: ['Uint32Array'],
  u8: ['Uint8Array'],
};

/** Other classes that are converted: wider floats are rounded, bytes widen to the words of booleans. */
const conversions: Readonly<Partial<Record<DType, Readonly<Record<string, (data: TypedArray) => TypedArray>>>>> = {
  f32: { Float64Array: (data) => Float32Array.from(data) },
  f16: {
    Float32Array: (data) => Uint16Array.from(data, toHalfBits),
    Float64Array: (data) => Uint16Array.from(data, toHalfBits),
  },
  bool: { Uint8Array: (data) => Uint32Array.from(data) },
};

/** `data` as the stored elements of `dtype`. Throws DTypeError for an array class that does not hold them. */
export function toStored(data: TypedArray, dtype: DType): TypedArray {
  const name = data[Symbol.toStringTag]; // a Buffer of Node counts as the Uint8Array that it is
  if (arrays[dtype].includes(name)) return data;
  const convert = conversions[dtype]?.[name];
  if (convert) return convert(data);
  throw new DTypeError(
    `Elements of ${dtype} cannot be written from a ${name}`,
    `pass a ${[...arrays[dtype], ...Object.keys(conversions[dtype] ?? {})].join(' or ')}`,
  );
}

/**
 * The bytes of `stored`, as the queue takes them: whole words, and not shared with other threads (Dawn in Node aborts
 * the process on shared memory). What is neither is copied.
 */
export function wholeWords(stored: TypedArray): Uint8Array<ArrayBuffer> {
  const { buffer, byteOffset, byteLength } = stored;
  if (buffer instanceof ArrayBuffer && byteLength % 4 === 0) return new Uint8Array(buffer, byteOffset, byteLength);
  const copy = new Uint8Array(4 * Math.ceil(byteLength / 4));
  copy.set(new Uint8Array(buffer, byteOffset, byteLength));
  return copy;
}

/** The first `length` elements in a mapped range, copied out of it. */
export function fromStored(mapped: ArrayBuffer, dtype: DType, length: number): TypedArray {
  const result = dtypes[dtype].array(length);
  new Uint8Array(result.buffer).set(new Uint8Array(mapped, 0, result.byteLength));
  return result;
}
