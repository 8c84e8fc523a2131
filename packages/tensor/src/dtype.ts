/** Element types: how a tensor's elements are stored, and the scalar type that expressions compute them in. */

export type DType = 'f32' | 'f16' | 'i32' | 'u32' | 'bool' | 'u8';

/** What an expression computes in: f16 is computed as f32, u8 as u32. */
export type ScalarType = 'f32' | 'i32' | 'u32' | 'bool';

/** The host arrays that hold tensor elements. The reference backend keeps floating elements in 64 bits. */
export type TypedArray = Float32Array | Float64Array | Int32Array | Uint32Array | Uint16Array | Uint8Array;

interface DTypeRow {
  /** Bytes of one stored element. Booleans take a word, 0 or 1, so that every backend can address them. */
  readonly bytes: number;
  readonly scalar: ScalarType;
  /** Rank in type promotion: the result of a mixed operation has the higher rank, as in PyTorch. */
  readonly rank: number;
  readonly floating: boolean;
  readonly array: (length: number) => TypedArray;
}

export const dtypes: Readonly<Record<DType, DTypeRow>> = {
  bool: { bytes: 4, scalar: 'bool', rank: 0, floating: false, array: (n) => new Uint32Array(n) },
  u8: { bytes: 1, scalar: 'u32', rank: 1, floating: false, array: (n) => new Uint8Array(n) },
  u32: { bytes: 4, scalar: 'u32', rank: 2, floating: false, array: (n) => new Uint32Array(n) },
  i32: { bytes: 4, scalar: 'i32', rank: 3, floating: false, array: (n) => new Int32Array(n) },
  f16: { bytes: 2, scalar: 'f32', rank: 4, floating: true, array: (n) => new Uint16Array(n) },
  f32: { bytes: 4, scalar: 'f32', rank: 5, floating: true, array: (n) => new Float32Array(n) },
};

/** The dtype of a mixed operation on `a` and `b`: the one of higher rank (bool < u8 < u32 < i32 < f16 < f32). */
export function promote(a: DType, b: DType): DType {
  return dtypes[a].rank >= dtypes[b].rank ? a : b;
}

/** By binary exponent, counted from that of the smallest normal half: what makes the steps of a half whole numbers. */
const halfScales = Float64Array.from({ length: 30 }, (_, exponent) => 2 ** (24 - exponent));

/** The IEEE half-precision bits of `value`, rounded to nearest even. */
export function toHalfBits(value: number): number {
  const magnitude = Math.abs(value);
  const sign = value < 0 || (value === 0 && 1 / value < 0) ? 0x8000 : 0;
  if (!(magnitude < 65520)) return sign | (Number.isNaN(value) ? 0x7e00 : 0x7c00);
  const exponent = Math.max(0, 31 - Math.clz32(magnitude * 2 ** 14));
  // Beside 2^52 a number keeps no fraction: it is rounded to even. A normal half's own 1024 raises its exponent by one.
  const steps = magnitude * (halfScales[exponent] as number) + 2 ** 52 - 2 ** 52;
  return sign | (exponent * 1024 + steps);
}

/** The value of IEEE half-precision bits. */
export function fromHalfBits(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >>> 10) & 0x1f;
  const mantissa = bits & 0x3ff;
  if (exponent === 0) return sign * mantissa * 2 ** -24;
  if (exponent === 0x1f) return mantissa === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (1 + mantissa / 1024) * 2 ** (exponent - 15);
}

/** `value` rounded to the nearest number of half precision, ties to even; an infinity from 65520 on. */
export function roundToHalf(value: number): number {
  const magnitude = Math.abs(value);
  if (!(magnitude < 65520)) return value * Number.POSITIVE_INFINITY;
  // The binary exponent, from that of the smallest normal half on: one step for all that is smaller.
  const exponent = Math.max(0, 31 - Math.clz32(magnitude * 2 ** 14));
  // Added to a number so large, the value loses all that is below a half's last bit, rounded to even.
  const large = 1.5 * 2 ** 28 * (1 << exponent);
  const rounded = magnitude + large - large;
  return 1 / value < 0 ? -rounded : rounded;
}

/** `value` rounded to the nearest integer, ties to even, as IEEE and PyTorch round. */
export function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest < 0.5) return floor;
  if (rest > 0.5) return floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}
