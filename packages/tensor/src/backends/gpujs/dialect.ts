/**
 * The JavaScript that gpu.js takes: every value is a number, booleans are 0 and 1, and an operation is one expression
 * of names and literals, since gpu.js guesses types from the forms of expressions.
 */
import type { ReduceOp } from '../../compile/kernel.ts';
import type { ScalarType } from '../../dtype.ts';
import type { Expr, ScalarOp } from '../../expr/expr.ts';
import type { Dialect } from '../javascript.ts';

/**
 * What numbers a mode computes in. `double`: JavaScript's own, in which 32-bit words are exact and wrap. `single`:
 * 32-bit floats, in which whole numbers are exact as far as `ranges.ts` lets them go.
 */
export type Arithmetic = 'double' | 'single';

/** Throws the error that says what the kernel cannot do. */
export type Refuse = (what: string) => never;

type Spelling = (a: string, b: string, c: string) => string;
type Spellings = Readonly<Partial<Record<ScalarOp, Spelling>>>;

const infix =
  (operator: string): Spelling =>
  (a, b) =>
    `${a} ${operator} ${b}`;
const call =
  (name: string): Spelling =>
  (a) =>
    `${name}(${a})`;
const call2 =
  (name: string): Spelling =>
  (a, b) =>
    `${name}(${a}, ${b})`;
const holds = (condition: string): string => `(${condition}) ? 1 : 0`;
const same: Spelling = (a) => a;

const comparisons: Spellings = {
  lt: (a, b) => holds(`${a} < ${b}`),
  le: (a, b) => holds(`${a} <= ${b}`),
  eq: (a, b) => holds(`${a} === ${b}`),
  // Some compilers take != of NaN for false.
  ne: (a, b) => `(${a} === ${b}) ? 0 : 1`,
  select: (a, b, c) => `(${a} === 0) ? ${c} : ${b}`,
};

const numbers: Spellings = {
  ...comparisons,
  neg: (a) => `0 - ${a}`,
  abs: call('Math.abs'),
  sign: call('signum'),
  add: infix('+'),
  sub: infix('-'),
  mul: infix('*'),
  min: call2('smaller'),
  max: call2('larger'),
};

const floats: Spellings = {
  ...numbers,
  neg: (a) => `-${a}`,
  floor: call('Math.floor'),
  ceil: call('Math.ceil'),
  round: call('round_even'),
  trunc: call('Math.trunc'),
  exp: call('exponential'),
  log: (a) => `logarithm(${a}, special[0], special[2])`,
  sqrt: call('Math.sqrt'),
  sin: (a) => `turned_sine(${a}, 0)`,
  cos: (a) => `turned_sine(${a}, 1)`,
  tan: (a) => `turned_sine(${a}, 0) / turned_sine(${a}, 1)`,
  tanh: call('hyperbolic_tangent'),
  atan: call('Math.atan'),
  erf: call('error_function'),
  half: call('half_precision'),
  div: infix('/'),
  mod: (a, b) => `float_remainder(${a}, ${b}, special[0])`,
  pow: call2('power'),
};

/** Results before they wrap. Powers of whole numbers are missing: no mode has them exactly. */
const words: Spellings = {
  ...numbers,
  floor: same,
  ceil: same,
  round: same,
  trunc: same,
  div: call2('quotient'),
  mod: call2('remainder'),
  and: infix('&'),
  or: infix('|'),
  xor: infix('^'),
  not: (a) => `~${a}`,
  shl: (a, b) => `${a} << (${b} & 31)`,
  shr: (a, b) => `${a} >> (${b} & 31)`,
};

/** Any result of a boolean operation other than 0 is true. */
const booleans: Spellings = {
  ...comparisons,
  neg: same,
  abs: same,
  sign: same,
  not: (a) => `1 - ${a}`,
  add: (a, b) => holds(`${a} + ${b} > 0`),
  sub: (a, b) => `(${a} === ${b}) ? 0 : 1`,
  mul: infix('*'),
  min: infix('*'),
  max: (a, b) => holds(`${a} + ${b} > 0`),
  and: infix('*'),
  or: (a, b) => holds(`${a} + ${b} > 0`),
  xor: (a, b) => `(${a} === ${b}) ? 0 : 1`,
};

const spellings: Readonly<Record<ScalarType, Spellings>> = { f32: floats, i32: words, u32: words, bool: booleans };

const doubles: Readonly<Partial<Record<ScalarType, Spellings>>> = {
  f32: {
    ...floats,
    exp: call('Math.exp'),
    log: call('Math.log'),
    sin: call('Math.sin'),
    cos: call('Math.cos'),
    tan: call('Math.tan'),
    tanh: call('Math.tanh'),
    mod: infix('%'),
  },
  i32: { ...words, mul: call2('Math.imul') },
  u32: { ...words, mul: call2('Math.imul'), shr: (a, b) => `${a} >>> (${b} & 31)` },
};

/** `text` brought back to 32 bits where numbers can hold more. */
function wrap(text: string, type: ScalarType, arithmetic: Arithmetic): string {
  if (arithmetic === 'single' || type === 'f32' || type === 'bool') return text;
  return type === 'i32' ? `(${text}) | 0` : `(${text}) >>> 0`;
}

const ends = { i32: '(-2147483648), 2147483647', u32: '0, 4294967295' };

function convert(a: string, from: ScalarType, to: ScalarType, arithmetic: Arithmetic): string {
  if (to === 'bool') return `(${a} === 0) ? 0 : 1`;
  if (to === 'f32' || from === 'bool') return a;
  return from === 'f32' ? `truncated(${a}, ${ends[to]})` : wrap(a, to, arithmetic);
}

/** A constant; NaN and the infinities are elements of the argument `special`. */
function literal({ value, type }: Pick<Expr, 'value' | 'type'>): string {
  if (Number.isNaN(value)) return 'special[0]';
  if (!Number.isFinite(value)) return value > 0 ? 'special[1]' : 'special[2]';
  if (type === 'bool') return value ? '1' : '0';
  return value < 0 || Object.is(value, -0) ? `(${value < 0 ? value : '-0'})` : String(value);
}

export function dialectOf(arithmetic: Arithmetic, refuse: Refuse): Dialect {
  return {
    literal,
    value(e, args) {
      const [a = '', b = '', c = ''] = args;
      const from = e.op === 'select' ? e.type : (e.args[0] as Expr).type;
      if (e.op === 'cast') return convert(a, from, e.type, arithmetic);
      const table = (arithmetic === 'double' ? doubles[from] : undefined) ?? spellings[from];
      const spelling = table[e.op] ?? refuse(`'${e.op}' of ${from}`);
      return wrap(spelling(a, b, c), e.type, arithmetic);
    },
  };
}

/** The text that a reduction starts from, and the one that folds `value` into `acc`. */
export function reduction(op: ReduceOp, type: ScalarType, arithmetic: Arithmetic): { start: string; step: string } {
  const product =
    arithmetic === 'double' && (type === 'i32' || type === 'u32') ? 'Math.imul(acc, value)' : 'acc * value';
  const folds = {
    sum: { start: '0', step: wrap('acc + value', type, arithmetic) },
    prod: { start: '1', step: wrap(product, type, arithmetic) },
    max: { start: 'special[2]', step: 'larger(acc, value)' },
    min: { start: 'special[1]', step: 'smaller(acc, value)' },
  };
  return folds[op];
}
