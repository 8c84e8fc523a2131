/** The derivative of a scalar term with respect to one of its operands: a fold over the term, one rule for each operation. */
import { add, constant, div, type Expr, eq, input, lt, mul, neg, type ScalarOp, select, sub, term } from './expr.ts';

/** Partial derivatives of `op(args)`, given the term itself, its operands and their derivatives. */
type Rule = (e: Expr, args: readonly Expr[], d: readonly Expr[]) => Expr;

const zero = constant(0);
const one = constant(1);
const half = constant(0.5);

const unary =
  (slope: (e: Expr, a: Expr) => Expr): Rule =>
  (e, [a], [da]) =>
    mul(slope(e, a as Expr), da as Expr);

/** The extremum passes its gradient to the chosen operand, and half of it to each where they are equal. */
const extremum =
  (chooses: (a: Expr, b: Expr) => Expr): Rule =>
  (_, [a, b], [da, db]) =>
    select(
      eq(a as Expr, b as Expr),
      mul(half, add(da as Expr, db as Expr)),
      select(chooses(a as Expr, b as Expr), da as Expr, db as Expr),
    );

const rules: Readonly<Partial<Record<ScalarOp, Rule>>> = {
  neg: (_, __, [da]) => neg(da as Expr),
  abs: unary((_, a) => term('sign', [a])),
  exp: unary((e) => e),
  log: unary((_, a) => div(one, a)),
  sqrt: unary((e) => div(half, e)),
  sin: unary((_, a) => term('cos', [a])),
  cos: unary((_, a) => neg(term('sin', [a]))),
  tan: unary((e) => add(one, mul(e, e))),
  tanh: unary((e) => sub(one, mul(e, e))),
  atan: unary((_, a) => div(one, add(one, mul(a, a)))),
  erf: unary((_, a) => mul(constant(2 / Math.sqrt(Math.PI)), term('exp', [neg(mul(a, a))]))),
  add: (_, __, [da, db]) => add(da as Expr, db as Expr),
  sub: (_, __, [da, db]) => sub(da as Expr, db as Expr),
  mul: (_, [a, b], [da, db]) => add(mul(da as Expr, b as Expr), mul(a as Expr, db as Expr)),
  div: (e, [, b], [da, db]) => div(sub(da as Expr, mul(e, db as Expr)), b as Expr),
  mod: (_, [a, b], [da, db]) => sub(da as Expr, mul(term('trunc', [div(a as Expr, b as Expr)]), db as Expr)),
  pow: (e, [a, b], [da, db]) =>
    add(
      mul(mul(b as Expr, power(a as Expr, b as Expr)), da as Expr),
      // The slope in the exponent exists for positive bases only; elsewhere it is taken as 0, as PyTorch does at 0.
      db === zero ? zero : mul(select(lt(zero, a as Expr), mul(e, term('log', [a as Expr])), zero), db as Expr),
    ),
  min: extremum((a, b) => lt(a, b)),
  max: extremum((a, b) => lt(b, a)),
  select: (_, [condition], [, da, db]) => select(condition as Expr, da as Expr, db as Expr),
  // As a conversion between floats: its steps are of the size of rounding errors, and the slope is that of what is rounded.
  half: (_, __, [da]) => da as Expr,
  cast: (e, [a], [da]) => (a?.type === 'f32' && e.type === 'f32' ? (da as Expr) : zero),
};

/** a^(b - 1), with the common exponents spelled out. */
function power(a: Expr, b: Expr): Expr {
  if (b.op === 'constant') {
    if (b.value === 1) return one;
    if (b.value === 2) return a;
    if (b.value === 3) return mul(a, a);
  }
  return term('pow', [a, sub(b, one)]);
}

/** Step functions: their derivative is 0 wherever it exists. */
const flat: ReadonlySet<ScalarOp> = new Set(['sign', 'floor', 'ceil', 'round', 'trunc']);

/**
 * ∂expr/∂input(position), as a term over the same operands. Integer and boolean parts have derivative 0.
 */
export function differentiate(expr: Expr, position: number): Expr {
  const variable = input(position);
  const done = new Map<Expr, Expr>();
  const visit = (e: Expr): Expr => {
    if (e === variable) return one;
    if (e.type !== 'f32' || e.args.length === 0 || flat.has(e.op)) return zero;
    const known = done.get(e);
    if (known) return known;
    const rule = rules[e.op];
    if (!rule) throw new Error(`expr: '${e.op}' has no derivative`);
    const derivatives = e.args.map(visit);
    const result = derivatives.every((d) => d === zero) ? zero : rule(e, e.args, derivatives);
    done.set(e, result);
    return result;
  };
  return visit(expr);
}
