/**
 * Values of half precision within a kernel. What a node of dtype f16 computes is rounded also where no buffer of 16 bits
 * lies between it and its readers, so that fusion changes no number.
 */
import { roundToHalf } from '../dtype.ts';
import { type Expr, half } from '../expr/expr.ts';
import { isContraction, type Kernel } from './kernel.ts';

/** The operands whose values a term has, up to their sign. */
const kept: Readonly<Partial<Record<Expr['op'], (args: readonly Expr[]) => readonly Expr[]>>> = {
  neg: (args) => args,
  abs: (args) => args,
  select: (args) => args.slice(1),
};

/** Whether the values of `e` are of half precision, so that rounding to it changes nothing; `stored` says it of loads. */
export function isHalf(e: Expr, stored: (load: Expr) => boolean): boolean {
  if (e.op === 'half') return true;
  if (e.op === 'load') return stored(e);
  if (e.op === 'constant') return Object.is(roundToHalf(e.value), e.value);
  return kept[e.op]?.(e.args).every((arg) => isHalf(arg, stored)) ?? false;
}

/** Whether `kernel` is a matrix product of factors of half precision. */
export function multipliesHalves(kernel: Kernel): boolean {
  if (!isContraction(kernel)) return false;
  const { inputs, reduce } = kernel;
  return reduce.factors.every((factor) => isHalf(factor, ({ value }) => inputs[value]?.dtype === 'f16'));
}

/** `term` rounded to half precision: itself where it has no more. */
export const rounded = (term: Expr, stored: (load: Expr) => boolean): Expr =>
  isHalf(term, stored) ? term : half(term);

/** The value to store for `term` in a buffer of f16, which rounds by itself. */
export const beforeRounding = (term: Expr): Expr => (term.op === 'half' ? (term.args[0] as Expr) : term);
