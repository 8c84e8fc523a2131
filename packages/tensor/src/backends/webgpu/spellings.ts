/** How WGSL spells every scalar operation: one table for each scalar type, and the literals. */

import type { ReduceOp } from '../../compile/kernel.ts';
import type { ScalarType } from '../../dtype.ts';
import { DTypeError } from '../../errors.ts';
import type { Expr, ScalarOp } from '../../expr/expr.ts';

type Spelling = (a: string, b: string, c: string) => string;
type Spellings = Readonly<Partial<Record<ScalarOp, Spelling>>>;

const call =
  (name: string): Spelling =>
  (a) =>
    `${name}(${a})`;
const call2 =
  (name: string): Spelling =>
  (a, b) =>
    `${name}(${a}, ${b})`;
const infix =
  (operator: string): Spelling =>
  (a, b) =>
    `${a} ${operator} ${b}`;
const same: Spelling = (a) => a;
const select: Spelling = (a, b, c) => `select(${c}, ${b}, ${a})`;
const shift =
  (operator: string): Spelling =>
  (a, b) =>
    `${a} ${operator} (u32(${b}) & 31u)`;

const ordered: Spellings = { lt: infix('<'), le: infix('<='), eq: infix('=='), ne: infix('!='), select };

const float: Spellings = {
  ...ordered,
  // WGSL's own != is false for NaN on some devices.
  ne: (a, b) => `!(${a} == ${b})`,
  neg: (a) => `-${a}`,
  abs: call('abs'),
  sign: call('sign_of'),
  floor: call('floor'),
  ceil: call('ceil'),
  round: call('round'),
  trunc: call('trunc'),
  exp: call('exponential'),
  log: call('logarithm'),
  sqrt: call('sqrt'),
  sin: (a) => `turned_sine(${a}, 0)`,
  cos: (a) => `turned_sine(${a}, 1)`,
  tan: (a) => `turned_sine(${a}, 0) / turned_sine(${a}, 1)`,
  tanh: call('hyperbolic_tangent'),
  erf: call('error_function'),
  atan: call('arc_tangent'),
  half: call('nearest_half'),
  add: infix('+'),
  sub: infix('-'),
  mul: infix('*'),
  div: infix('/'),
  mod: call2('remainder'),
  pow: call2('power'),
  min: call2('smaller'),
  max: call2('larger'),
};

/** WGSL wraps at 32 bits, truncates quotients, and has x / 0 = x and x % 0 = 0 at run time. */
const integer: Spellings = {
  ...ordered,
  floor: same,
  ceil: same,
  round: same,
  trunc: same,
  not: (a) => `~${a}`,
  add: infix('+'),
  sub: infix('-'),
  mul: infix('*'),
  div: infix('/'),
  mod: infix('%'),
  min: call2('min'),
  max: call2('max'),
  and: infix('&'),
  or: infix('|'),
  xor: infix('^'),
  shl: shift('<<'),
  shr: shift('>>'),
};

const signed: Spellings = {
  ...integer,
  neg: (a) => `-${a}`,
  abs: call('abs'),
  sign: call('sign'),
  pow: call2('power_i32'),
};

const unsigned: Spellings = {
  ...integer,
  neg: (a) => `~${a} + 1u`,
  abs: same,
  sign: (a) => `min(${a}, 1u)`,
  pow: call2('power_u32'),
};

/** Booleans calculate with 0 and 1, and any other result than 0 is true. */
const bool: Spellings = {
  select,
  neg: same,
  abs: same,
  sign: same,
  not: (a) => `!${a}`,
  add: infix('|'),
  sub: infix('!='),
  mul: infix('&'),
  min: infix('&'),
  max: infix('|'),
  and: infix('&'),
  or: infix('|'),
  xor: infix('!='),
  eq: infix('=='),
  ne: infix('!='),
  lt: (a, b) => `!${a} & ${b}`,
  le: (a, b) => `!${a} | ${b}`,
};

const spellings: Readonly<Record<ScalarType, Spellings>> = { f32: float, i32: signed, u32: unsigned, bool };

const casts: Readonly<Record<ScalarType, Spelling>> = {
  f32: call('f32'),
  i32: call('i32'),
  u32: call('u32'),
  bool: call('bool'),
};
const castsOfFloat: Readonly<Record<ScalarType, Spelling>> = {
  ...casts,
  i32: call('to_i32'),
  u32: call('to_u32'),
  bool: (a) => `!(${a} == 0.0)`,
};

/** WGSL for `expr`'s operation on operands that are already named. Throws DTypeError where the operation has no meaning. */
export function spell(expr: Expr, args: readonly string[]): string {
  const [a = '', b = '', c = ''] = args;
  const from = expr.op === 'select' ? expr.type : (expr.args[0]?.type ?? expr.type);
  if (expr.op === 'cast') return (from === 'f32' ? castsOfFloat : casts)[expr.type](a, b, c);
  if (expr.op === 'bitcast' && from !== 'bool' && expr.type !== 'bool') return `bitcast<${expr.type}>(${a})`;
  const spelling = spellings[from][expr.op];
  if (!spelling)
    throw new DTypeError(`webgpu: '${expr.op}' is not defined on ${from}`, 'cast the operands to f32 first');
  return spelling(a, b, c);
}

/** A constant as WGSL text; values that WGSL has no literal for are made from their bits. */
export function literal(value: number, type: ScalarType): string {
  if (type === 'bool') return value ? 'true' : 'false';
  if (type === 'i32') return `i32(${value | 0})`;
  if (type === 'u32') return `${value >>> 0}u`;
  const rounded = Math.fround(value);
  const magnitude = Math.abs(rounded);
  const plain = Object.is(rounded, 0) || (magnitude >= 2 ** -126 && magnitude < Number.POSITIVE_INFINITY);
  if (plain) return rounded < 0 ? `(${rounded}f)` : `${rounded}f`;
  const bits = new Uint32Array(new Float32Array([rounded]).buffer)[0] as number;
  return `float_bits(${bits}u)`;
}

interface Reduction {
  readonly start: Readonly<Record<ScalarType, string>>;
  /** The scalar operation that joins two partial results. */
  readonly joins: ScalarOp;
}

const reductions: Readonly<Record<ReduceOp, Reduction>> = {
  sum: { start: { f32: '0f', i32: '0i', u32: '0u', bool: 'false' }, joins: 'add' },
  prod: { start: { f32: '1f', i32: '1i', u32: '1u', bool: 'true' }, joins: 'mul' },
  max: {
    start: { f32: 'float_bits(0xff800000u)', i32: 'i32(-2147483648)', u32: '0u', bool: 'false' },
    joins: 'max',
  },
  min: {
    start: { f32: 'float_bits(0x7f800000u)', i32: '2147483647i', u32: '4294967295u', bool: 'true' },
    joins: 'min',
  },
};

/** The neutral element of a reduction, and the text that joins two partial results. */
export function reduction(op: ReduceOp, type: ScalarType): { start: string; join: (a: string, b: string) => string } {
  const { start, joins } = reductions[op];
  const spelling = spellings[type][joins] as Spelling;
  return { start: start[type], join: (a, b) => spelling(a, b, '') };
}
