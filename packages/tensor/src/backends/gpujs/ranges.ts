/**
 * Whole numbers in single precision. Floats of 32 bits hold whole numbers exactly up to 2^24, so a term of i32 or u32
 * is let through where its value provably stays within half of that if data stays within 2^16, and refused by name where it might not: sums and
 * products of data that could wrap, the arithmetic of random generators, bits beyond the 23rd.
 */

import type { BufferUse, LoopKernel } from '../../compile/kernel.ts';
import type { Expr, ScalarOp } from '../../expr/expr.ts';
import type { Refuse } from './dialect.ts';

/** Largest magnitude of whole numbers in single precision: half of 2^24, so that a quotient can still be corrected. */
export const wholeLimit = 2 ** 23;

/** Largest magnitude of whole numbers that kernels may load, which leaves room to calculate with them: token numbers fit. */
export const dataLimit = 2 ** 16;

interface Range {
  readonly min: number;
  readonly max: number;
}

const everything: Range = { min: Number.NEGATIVE_INFINITY, max: Number.POSITIVE_INFINITY };
const truth: Range = { min: 0, max: 1 };
const span = (...values: readonly number[]): Range => ({ min: Math.min(...values), max: Math.max(...values) });
const join = (x: Range, y: Range): Range => span(x.min, y.min, x.max, y.max);
const magnitude = (x: Range): number => Math.max(Math.abs(x.min), Math.abs(x.max));

/** Bits of two numbers within [-2^k, 2^k) stay within it. */
const bits = (x: Range, y: Range): Range => {
  const bound = 2 ** Math.ceil(Math.log2(Math.max(magnitude(x), magnitude(y)) + 1));
  return { min: x.min < 0 || y.min < 0 ? -bound : 0, max: bound - 1 };
};

const products = (x: Range, y: Range): Range => {
  const all = [x.min * y.min, x.min * y.max, x.max * y.min, x.max * y.max];
  return all.some(Number.isNaN) ? everything : span(...all);
};

type Rule = (x: Range, y: Range, z: Range) => Range;

const same: Rule = (x) => x;
const rules: Readonly<Partial<Record<ScalarOp, Rule>>> = {
  floor: same,
  ceil: same,
  round: same,
  trunc: same,
  neg: (x) => ({ min: -x.max, max: -x.min }),
  abs: (x) => span(Math.max(0, x.min, -x.max), magnitude(x)),
  sign: (x) => ({ min: x.min < 0 ? -1 : 0, max: x.max > 0 ? 1 : 0 }),
  not: (x) => ({ min: -1 - x.max, max: -1 - x.min }),
  add: (x, y) => ({ min: x.min + y.min, max: x.max + y.max }),
  sub: (x, y) => ({ min: x.min - y.max, max: x.max - y.min }),
  mul: products,
  // No larger than the dividend, and of its sign when the divisor has none.
  div: (x, y) => (y.min >= 0 ? span(0, x.min, x.max) : span(x.min, x.max, -x.min, -x.max)),
  mod: (x, y) => {
    const bound = Math.min(magnitude(x), Math.max(0, magnitude(y) - 1));
    return { min: x.min < 0 ? -bound : 0, max: x.max > 0 ? bound : 0 };
  },
  min: (x, y) => ({ min: Math.min(x.min, y.min), max: Math.min(x.max, y.max) }),
  max: (x, y) => ({ min: Math.max(x.min, y.min), max: Math.max(x.max, y.max) }),
  and: bits,
  or: bits,
  xor: bits,
  shl: (x, y) => (y.min < 0 || y.max > 31 ? everything : products(x, { min: 2 ** y.min, max: 2 ** y.max })),
  shr: same,
  select: (_, y, z) => join(y, z),
};

const isWhole = (e: Expr): boolean => e.type === 'i32' || e.type === 'u32';
const isData = (e: Expr): boolean => e.op === 'load' || (e.op === 'cast' && e.args[0]?.type === 'f32');

/**
 * Refuses the kernel if a whole number in it may leave the range that single precision is exact in. What is loaded is
 * taken to lie in the range, which the run checks; so is what a cast from f32 stores. An index made of data is in
 * bounds by the kernel's promise, and so are its parts.
 */
export class WholeNumbers {
  private readonly inputs: readonly BufferUse[];
  private readonly refuse: Refuse;
  private readonly ranges = new Map<Expr, Range>();
  private readonly data = new Map<Expr, boolean>();
  private readonly seen = { value: new Set<Expr>(), index: new Set<Expr>() };
  private readonly folded: Range;

  constructor({ inputs, reduce }: LoopKernel, refuse: Refuse) {
    this.inputs = inputs;
    this.refuse = refuse;
    this.folded = everything;
    if (reduce && reduce.body.type !== 'f32') this.folded = this.fold(reduce);
  }

  /** Refuses if a term of `value`, which is stored or folded, may leave the range. */
  check(value: Expr): void {
    if (isWhole(value) && value.op === 'cast' && isData(value)) this.visit(value.args[0] as Expr, 'value');
    else this.visit(value, 'value');
  }

  private fold({ op, extent, body }: NonNullable<LoopKernel['reduce']>): Range {
    const count = extent.reduce((a, b) => a * b, 1);
    const each = this.range(body);
    if (op === 'max' || op === 'min') return each;
    if (op === 'sum') return { min: Math.min(0, each.min * count), max: Math.max(0, each.max * count) };
    return magnitude(each) <= 1 ? { min: -1, max: 1 } : everything;
  }

  private visit(e: Expr, position: 'value' | 'index'): void {
    if (this.seen[position].has(e) || (e.op === 'constant' && e.type === 'f32')) return;
    this.seen[position].add(e);
    const trusted = position === 'index' && this.hasData(e);
    if (isWhole(e) && !trusted) this.confine(e);
    for (const arg of e.args)
      this.visit(arg, e.op === 'load' || (position === 'index' && isWhole(e) && isWhole(arg)) ? 'index' : 'value');
  }

  private confine(e: Expr): void {
    const { min, max } = this.range(e);
    if (min >= (e.type === 'u32' ? 0 : -wholeLimit) && max <= wholeLimit) return;
    const what = e.op === 'cast' ? `'cast' of ${e.args[0]?.type} to ${e.type}` : `'${e.op}' of ${e.type}`;
    this.refuse(`${what} whose values may leave the ${wholeLimit} that single precision counts to`);
  }

  private hasData(e: Expr): boolean {
    let result = this.data.get(e);
    if (result === undefined) {
      result = isData(e) || e.args.some((arg) => this.hasData(arg));
      this.data.set(e, result);
    }
    return result;
  }

  private range(e: Expr): Range {
    let result = this.ranges.get(e);
    if (!result) {
      result = this.compute(e);
      this.ranges.set(e, result);
    }
    return result;
  }

  private compute(e: Expr): Range {
    if (e.type === 'bool') return truth;
    if (e.op === 'constant') return { min: e.value, max: e.value };
    if (e.op === 'axis') return { min: 0, max: e.extent - 1 };
    if (e.op === 'accumulator') return this.folded;
    if (e.op === 'load') return this.loaded(e);
    if (e.op === 'cast') return e.args[0]?.type === 'f32' ? everything : this.range(e.args[0] as Expr);
    const [x = everything, y = everything, z = everything] = e.args.map((arg) => this.range(arg));
    return rules[e.op]?.(x, y, z) ?? everything;
  }

  private loaded(e: Expr): Range {
    const dtype = this.inputs[e.value]?.dtype ?? 'f32';
    if (dtype === 'u8') return { min: 0, max: 255 };
    return { min: dtype === 'u32' ? 0 : -dataLimit, max: dataLimit };
  }
}
