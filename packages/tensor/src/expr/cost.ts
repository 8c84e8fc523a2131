/** A rough price of computing a term, for the decision to compute it again rather than to store it. */
import { type Expr, type ScalarOp, walk } from './expr.ts';

const prices: Readonly<Partial<Record<ScalarOp, number>>> = {
  constant: 0,
  input: 0,
  axis: 0,
  load: 0,
  accumulator: 0,
  cast: 0,
  half: 2,
  div: 4,
  sqrt: 4,
  mod: 4,
  exp: 8,
  log: 8,
  tanh: 10,
  sin: 10,
  cos: 10,
  tan: 12,
  atan: 12,
  erf: 12,
  pow: 16,
};

/** Cost of one evaluation, in simple operations; shared parts count once. */
export function cost(expr: Expr): number {
  let sum = 0;
  walk(expr, (e) => {
    sum += prices[e.op] ?? 1;
  });
  return sum;
}
