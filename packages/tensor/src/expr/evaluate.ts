/** The meaning of every scalar operation on plain numbers: floats in 64 bits, integers exact at 32. */
import { roundHalfEven, roundToHalf, type ScalarType } from '../dtype.ts';
import type { ScalarOp } from './expr.ts';

const wrap: Readonly<Record<ScalarType, (x: number) => number>> = {
  f32: (x) => x,
  i32: (x) => x | 0,
  u32: (x) => x >>> 0,
  bool: (x) => (x ? 1 : 0),
};

const bounds: Readonly<Record<'i32' | 'u32', readonly [number, number]>> = {
  i32: [-(2 ** 31), 2 ** 31 - 1],
  u32: [0, 2 ** 32 - 1],
};

/** `value` of scalar type `from` converted to `to`: floats truncate and saturate, NaN gives 0; integers keep their low 32 bits. */
export function convert(value: number, from: ScalarType, to: ScalarType): number {
  if (to === 'bool') return value !== 0 ? 1 : 0;
  if (to === 'f32') return value;
  if (from !== 'f32') return wrap[to](value);
  if (Number.isNaN(value)) return 0;
  const [low, high] = bounds[to];
  return Math.trunc(Math.min(high, Math.max(low, value)));
}

const words = new DataView(new ArrayBuffer(4));

/** The 32 bits of `value` read as another type; floats are rounded to 32 bits first. */
export function reinterpret(value: number, from: ScalarType, to: ScalarType): number {
  if (from === 'f32') words.setFloat32(0, value);
  else words.setUint32(0, value >>> 0);
  return to === 'f32' ? words.getFloat32(0) : to === 'i32' ? words.getInt32(0) : words.getUint32(0);
}

/**
 * The error function. Series erf(x) = 2/√π · x · e^(-x²) · Σ (2x²)ⁿ / (1·3·…·(2n+1)) below 3 and the continued
 * fraction of erfc above: about 1e-16 relative throughout.
 */
export function erf(x: number): number {
  const a = Math.abs(x);
  if (Number.isNaN(x)) return x;
  if (a > 6) return Math.sign(x);
  if (a < 3) {
    let term = x;
    let sum = x;
    for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum); n++) {
      term *= (2 * x * x) / (2 * n + 1);
      sum += term;
    }
    return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
  }
  let fraction = 0;
  for (let n = 60; n >= 1; n--) fraction = n / 2 / (a + fraction);
  return Math.sign(x) * (1 - Math.exp(-a * a) / (Math.sqrt(Math.PI) * (a + fraction)));
}

type Scalar = (a: number, b: number, c: number) => number;

/** Operations whose meaning is the same for every scalar type, up to wrapping the result. */
const common: Readonly<Partial<Record<ScalarOp, Scalar>>> = {
  neg: (a) => -a,
  abs: (a) => Math.abs(a),
  sign: (a) => Math.sign(a),
  floor: Math.floor,
  ceil: Math.ceil,
  round: roundHalfEven,
  trunc: Math.trunc,
  exp: Math.exp,
  log: Math.log,
  sqrt: Math.sqrt,
  sin: Math.sin,
  cos: Math.cos,
  tan: Math.tan,
  tanh: Math.tanh,
  atan: Math.atan,
  erf,
  half: roundToHalf,
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  pow: (a, b) => a ** b,
  min: (a, b) => Math.min(a, b),
  max: (a, b) => Math.max(a, b),
  lt: (a, b) => (a < b ? 1 : 0),
  le: (a, b) => (a <= b ? 1 : 0),
  eq: (a, b) => (a === b ? 1 : 0),
  ne: (a, b) => (a !== b ? 1 : 0),
  select: (a, b, c) => (a ? b : c),
};

const floating: Readonly<Partial<Record<ScalarOp, Scalar>>> = {
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
  mod: (a, b) => a % b,
};

const integer: Readonly<Partial<Record<ScalarOp, Scalar>>> = {
  mul: Math.imul,
  div: (a, b) => (b === 0 ? a : Math.trunc(a / b)),
  mod: (a, b) => (b === 0 ? 0 : a % b),
  and: (a, b) => a & b,
  or: (a, b) => a | b,
  xor: (a, b) => a ^ b,
  shl: (a, b) => a << (b & 31),
  not: (a) => ~a,
};

const shiftRight: Readonly<Record<string, Scalar>> = {
  i32: (a, b) => a >> (b & 31),
  u32: (a, b) => a >>> (b & 31),
};

/** `op` of the numbers `args`, whose first has scalar type `from`; the result has scalar type `type`. */
export function evaluateScalar(op: ScalarOp, type: ScalarType, from: ScalarType, args: readonly number[]): number {
  const [a, b, c] = args as [number, number, number];
  if (op === 'cast') return convert(a, from, type);
  if (op === 'bitcast') return reinterpret(a, from, type);
  if (op === 'not' && from === 'bool') return a ? 0 : 1;
  const meaning =
    op === 'shr' ? shiftRight[type] : ((from === 'f32' && type === 'f32' ? floating : integer)[op] ?? common[op]);
  if (!meaning) throw new Error(`expr: '${op}' has no meaning on ${from}`);
  return wrap[type](meaning(a, b, c));
}
