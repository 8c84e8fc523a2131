/**
 * Elementwise operations. Each row is a name and a scalar term; the interpreter, WGSL, WebAssembly and the derivative
 * all follow from the term. Operands broadcast and mixed dtypes promote, as in PyTorch.
 */
import { type DType, dtypes, promote } from '../dtype.ts';
import { DTypeError } from '../errors.ts';
import {
  add,
  le as atMost,
  lt as below,
  and as both,
  cast as castTerm,
  constant,
  sub as difference,
  type Expr,
  eq as equal,
  input,
  neg as negative,
  mul as product,
  div as quotient,
  select,
  term,
} from '../expr/expr.ts';
import type { Node } from '../graph.ts';
import { broadcastShapes } from '../shape.ts';
import { broadcastTo, fill } from './generate.ts';
import { map } from './map.ts';

type Arguments = readonly [Expr, Expr, Expr];

/** Which operands a row takes: any number type, floats (integers are converted to f32), whole numbers or booleans. */
type Domain = 'number' | 'float' | 'integer' | 'bool' | 'any';

export interface ElementwiseRow {
  readonly arity: 1 | 2 | 3;
  readonly domain: Domain;
  readonly expr: (...args: Arguments) => Expr;
  /** The result is boolean. */
  readonly predicate?: true;
  /** Where tests may draw floating operands from; (-3, 3) if absent. */
  readonly testRange?: readonly [number, number];
  /** Distance that test operands keep from whole numbers, where the function or its slope jumps. */
  readonly kinks?: true;
}

const one = (x: Expr): Expr => constant(1, x.type);
const zero = (x: Expr): Expr => constant(0, x.type);
const number = (value: number): Expr => constant(value);
const halfTanh = (x: Expr): Expr => term('tanh', [product(number(0.5), x)]);
/** 1 / (1 + e^-x) by tanh, which neither overflows nor loses the derivative at large |x|. */
const sigmoidTerm = (x: Expr): Expr => add(number(0.5), product(number(0.5), halfTanh(x)));
/** log(1 + e^x) = max(x, 0) + log(1 + e^-|x|), which does not overflow. */
const softplusTerm = (x: Expr): Expr =>
  add(term('max', [x, zero(x)]), term('log', [add(number(1), term('exp', [negative(term('abs', [x]))]))]));

/** The table. Names are PyTorch's. */
export const elementwise = {
  add: { arity: 2, domain: 'number', expr: (a, b) => add(a, b) },
  sub: { arity: 2, domain: 'number', expr: (a, b) => difference(a, b) },
  mul: { arity: 2, domain: 'number', expr: (a, b) => product(a, b) },
  div: { arity: 2, domain: 'float', expr: (a, b) => quotient(a, b), testRange: [0.5, 3] },
  pow: { arity: 2, domain: 'float', expr: (a, b) => term('pow', [a, b]), testRange: [0.3, 2] },
  minimum: { arity: 2, domain: 'number', expr: (a, b) => term('min', [a, b]) },
  maximum: { arity: 2, domain: 'number', expr: (a, b) => term('max', [a, b]) },
  /** Remainder with the sign of the divisor, as Python's %. */
  remainder: {
    arity: 2,
    domain: 'number',
    expr: (a, b) => {
      const rest = term('mod', [a, b]);
      const crosses = both(term('ne', [rest, zero(a)]), term('ne', [below(rest, zero(a)), below(b, zero(a))]));
      return select(crosses, add(rest, b), rest);
    },
    testRange: [0.6, 0.9],
  },
  /** Quotient rounded towards minus infinity. */
  floorDivide: {
    arity: 2,
    domain: 'number',
    expr: (a, b) => {
      if (a.type === 'f32') return term('floor', [quotient(a, b)]);
      const crosses = both(
        term('ne', [term('mod', [a, b]), zero(a)]),
        term('ne', [below(a, zero(a)), below(b, zero(a))]),
      );
      return difference(quotient(a, b), select(crosses, one(a), zero(a)));
    },
    testRange: [0.6, 0.9],
    kinks: true,
  },
  neg: { arity: 1, domain: 'number', expr: (a) => negative(a) },
  abs: { arity: 1, domain: 'number', expr: (a) => term('abs', [a]), kinks: true },
  sign: { arity: 1, domain: 'number', expr: (a) => term('sign', [a]), kinks: true },
  floor: { arity: 1, domain: 'float', expr: (a) => term('floor', [a]), kinks: true },
  ceil: { arity: 1, domain: 'float', expr: (a) => term('ceil', [a]), kinks: true },
  round: { arity: 1, domain: 'float', expr: (a) => term('round', [a]), testRange: [0.6, 1.4] },
  trunc: { arity: 1, domain: 'float', expr: (a) => term('trunc', [a]), kinks: true },
  exp: { arity: 1, domain: 'float', expr: (a) => term('exp', [a]) },
  log: { arity: 1, domain: 'float', expr: (a) => term('log', [a]), testRange: [0.2, 4] },
  /** log(1 + x), accurate near 0 by Kahan's correction x · log(u) / (u - 1) with u = 1 + x rounded. */
  log1p: {
    arity: 1,
    domain: 'float',
    expr: (a) => {
      const u = add(a, number(1));
      const d = difference(u, number(1));
      return select(equal(d, number(0)), a, product(a, quotient(term('log', [u]), d)));
    },
    testRange: [-0.5, 3],
  },
  sqrt: { arity: 1, domain: 'float', expr: (a) => term('sqrt', [a]), testRange: [0.2, 4] },
  rsqrt: { arity: 1, domain: 'float', expr: (a) => quotient(number(1), term('sqrt', [a])), testRange: [0.2, 4] },
  reciprocal: { arity: 1, domain: 'float', expr: (a) => quotient(number(1), a), testRange: [0.3, 3] },
  square: { arity: 1, domain: 'number', expr: (a) => product(a, a) },
  sin: { arity: 1, domain: 'float', expr: (a) => term('sin', [a]) },
  cos: { arity: 1, domain: 'float', expr: (a) => term('cos', [a]) },
  tan: { arity: 1, domain: 'float', expr: (a) => term('tan', [a]), testRange: [-1.2, 1.2] },
  atan: { arity: 1, domain: 'float', expr: (a) => term('atan', [a]) },
  tanh: { arity: 1, domain: 'float', expr: (a) => term('tanh', [a]) },
  erf: { arity: 1, domain: 'float', expr: (a) => term('erf', [a]) },
  sigmoid: { arity: 1, domain: 'float', expr: (a) => sigmoidTerm(a) },
  logSigmoid: { arity: 1, domain: 'float', expr: (a) => negative(softplusTerm(negative(a))), kinks: true },
  softplus: { arity: 1, domain: 'float', expr: (a) => softplusTerm(a), kinks: true },
  /** The slope at 0 is 0, as in PyTorch (the maximum's would be one half). NaN passes. */
  relu: { arity: 1, domain: 'number', expr: (a) => select(atMost(a, zero(a)), zero(a), a), kinks: true },
  silu: { arity: 1, domain: 'float', expr: (a) => product(a, sigmoidTerm(a)) },
  /** x · sigmoid(1.702 x), the activation of OpenAI's CLIP. */
  quickGelu: { arity: 1, domain: 'float', expr: (a) => product(a, sigmoidTerm(product(number(1.702), a))) },
  /** x · Φ(x) by the error function. */
  gelu: {
    arity: 1,
    domain: 'float',
    expr: (a) => product(product(number(0.5), a), add(number(1), term('erf', [product(a, number(Math.SQRT1_2))]))),
  },
  /** The tanh approximation of gelu. */
  geluTanh: {
    arity: 1,
    domain: 'float',
    expr: (a) => {
      const cubic = add(a, product(number(0.044715), product(a, product(a, a))));
      return product(
        product(number(0.5), a),
        add(number(1), term('tanh', [product(number(Math.sqrt(2 / Math.PI)), cubic)])),
      );
    },
  },
  lt: { arity: 2, domain: 'any', predicate: true, expr: (a, b) => below(a, b) },
  le: { arity: 2, domain: 'any', predicate: true, expr: (a, b) => atMost(a, b) },
  gt: { arity: 2, domain: 'any', predicate: true, expr: (a, b) => below(b, a) },
  ge: { arity: 2, domain: 'any', predicate: true, expr: (a, b) => atMost(b, a) },
  eq: { arity: 2, domain: 'any', predicate: true, expr: (a, b) => equal(a, b) },
  ne: { arity: 2, domain: 'any', predicate: true, expr: (a, b) => term('ne', [a, b]) },
  isnan: { arity: 1, domain: 'float', predicate: true, expr: (a) => isNotANumber(a) },
  isfinite: {
    arity: 1,
    domain: 'float',
    predicate: true,
    // An exponent of all ones marks infinities and NaN. Bits are compared because compilers may assume there are none.
    expr: (a) =>
      term('ne', [
        term('and', [term('bitcast', [a], 'u32'), constant(0x7f800000, 'u32')]),
        constant(0x7f800000, 'u32'),
      ]),
  },
  logicalAnd: { arity: 2, domain: 'bool', predicate: true, expr: (a, b) => both(a, b) },
  logicalOr: { arity: 2, domain: 'bool', predicate: true, expr: (a, b) => term('or', [a, b]) },
  logicalXor: { arity: 2, domain: 'bool', predicate: true, expr: (a, b) => term('ne', [a, b]) },
  logicalNot: { arity: 1, domain: 'bool', predicate: true, expr: (a) => term('not', [a]) },
  bitwiseAnd: { arity: 2, domain: 'integer', expr: (a, b) => both(a, b) },
  bitwiseOr: { arity: 2, domain: 'integer', expr: (a, b) => term('or', [a, b]) },
  bitwiseXor: { arity: 2, domain: 'integer', expr: (a, b) => term('xor', [a, b]) },
  bitwiseNot: { arity: 1, domain: 'integer', expr: (a) => term('not', [a]) },
  shiftLeft: { arity: 2, domain: 'integer', expr: (a, b) => term('shl', [a, b]) },
  shiftRight: { arity: 2, domain: 'integer', expr: (a, b) => term('shr', [a, b]) },
} as const satisfies Readonly<Record<string, ElementwiseRow>>;

export type ElementwiseName = keyof typeof elementwise;

function isNotANumber(a: Expr): Expr {
  const magnitude = term('and', [term('bitcast', [a], 'u32'), constant(0x7fffffff, 'u32')]);
  return below(constant(0x7f800000, 'u32'), magnitude);
}

/** The dtype in which a row computes operands of the promoted type `dtype`. */
function computedIn(name: string, domain: Domain, dtype: DType): DType {
  const { floating } = dtypes[dtype];
  if (domain === 'float') return floating ? dtype : 'f32';
  if (domain === 'number') return dtype === 'bool' ? 'i32' : dtype;
  if (domain === 'bool') return 'bool';
  if (domain === 'integer' && (floating || dtype === 'bool')) {
    throw new DTypeError(`${name}: operands of dtype ${dtype} have no bits to work on`, 'cast to i32 or u32 first');
  }
  return dtype;
}

/** Operands as one shape, broadcast as NumPy does. */
export function broadcast(name: string, operands: readonly Node[]): Node[] {
  const shape = broadcastShapes(name, ...operands.map((operand) => operand.shape));
  return operands.map((operand) => broadcastTo(operand, shape));
}

/** Applies a row of the table. */
export function apply(name: ElementwiseName, ...operands: readonly Node[]): Node {
  const row: ElementwiseRow = elementwise[name];
  const promoted = operands.map((operand) => operand.dtype).reduce(promote);
  const dtype = computedIn(name, row.domain, promoted);
  const same = broadcast(
    name,
    operands.map((operand) => cast(operand, dtype)),
  );
  const inputs = same.map((_, k) => input(k, dtypes[dtype].scalar)) as unknown as Arguments;
  return map(name, same, row.expr(...inputs), row.predicate ? 'bool' : dtype);
}

/** `operand` converted to `dtype`: floats truncate towards zero, anything but 0 is true. */
export function cast(operand: Node, dtype: DType): Node {
  if (operand.dtype === dtype) return operand;
  const from = input(0, dtypes[operand.dtype].scalar);
  return map('cast', [operand], castTerm(from, dtypes[dtype].scalar), dtype);
}

/** `whenTrue` where `condition` is true and `whenFalse` elsewhere, broadcast together. */
export function where(condition: Node, whenTrue: Node, whenFalse: Node): Node {
  if (condition.dtype !== 'bool')
    throw new DTypeError(`where: the condition has dtype ${condition.dtype}, not bool`, 'compare first');
  const dtype = promote(whenTrue.dtype, whenFalse.dtype);
  const operands = broadcast('where', [condition, cast(whenTrue, dtype), cast(whenFalse, dtype)]);
  const { scalar } = dtypes[dtype];
  return map('where', operands, select(input(0, 'bool'), input(1, scalar), input(2, scalar)), dtype);
}

/** A constant of `like`'s dtype, or of f32 where `like` holds whole numbers and `value` does not fit there. */
export function constantLike(like: Node, value: number): Node {
  const fits = dtypes[like.dtype].floating || (Number.isInteger(value) && like.dtype !== 'bool');
  return fill([], value, fits ? like.dtype : Number.isInteger(value) ? 'i32' : 'f32');
}
