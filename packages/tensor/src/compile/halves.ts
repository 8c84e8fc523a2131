/**
 * Values of half precision within a kernel. What a node of dtype f16 computes is rounded also where no buffer of 16 bits
 * lies between it and its readers, so that fusion changes no number.
 */
import { roundToHalf } from '../dtype.ts';
import { type Expr, half } from '../expr/expr.ts';

/** The operands whose values such a term has, up to their sign. */
const kept: Readonly<Partial<Record<Expr['op'], (args: readonly Expr[]) => readonly Expr[]>>> = {
  neg: (args) => args,
  abs: (args) => args,
  select: (args) => args.slice(1),
};

export class Halves {
  readonly #known = new Set<Expr>();

  /** Says that `term` is loaded from a buffer of f16. */
  add(term: Expr): Expr {
    this.#known.add(term);
    return term;
  }

  /** `term` rounded to half precision: itself where it has no more. */
  round(term: Expr): Expr {
    return this.#has(term) ? term : half(term);
  }

  #has(term: Expr): boolean {
    if (this.#known.has(term)) return true;
    const has =
      term.op === 'half' ||
      (term.op === 'constant' && Object.is(roundToHalf(term.value), term.value)) ||
      (kept[term.op]?.(term.args).every((arg) => this.#has(arg)) ?? false);
    if (has) this.#known.add(term);
    return has;
  }
}

/** The value to store for `term` in a buffer of f16, which rounds by itself. */
export const beforeRounding = (term: Expr): Expr => (term.op === 'half' ? (term.args[0] as Expr) : term);
