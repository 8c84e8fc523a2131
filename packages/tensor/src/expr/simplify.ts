/**
 * Simplification at construction: constants are folded, neutral elements vanish, and integer index arithmetic is kept
 * in linear normal form, so that chains of reshapes and permutations collapse to the plain strides that they are.
 */
import type { ScalarType } from '../dtype.ts';
import { evaluateScalar } from './evaluate.ts';
import { constant, type Expr, intern, type ScalarOp } from './expr.ts';

/** The interned, simplified term `op(args)` of scalar type `type`. */
export function simplify(op: ScalarOp, type: ScalarType, args: readonly Expr[]): Expr {
  if (args.every((arg) => arg.op === 'constant')) {
    const from = (args[0] as Expr).type;
    return constant(
      evaluateScalar(
        op,
        type,
        from,
        args.map((arg) => arg.value),
      ),
      type,
    );
  }
  const result =
    (type === 'i32' ? simplifyInteger(op, args) : undefined) ?? algebraic(op, type, args) ?? intern(op, type, args);
  if (type !== 'i32' || result.op === 'constant') return result;
  const { min, max } = range(result);
  return min === max ? constant(min, 'i32') : result;
}

const isConstant = (e: Expr | undefined, value: number): boolean => e?.op === 'constant' && e.value === value;

/** Neutral and absorbing elements. `x * 0` is 0 also for floats: an infinite x times a structural zero is meant as zero. */
function algebraic(op: ScalarOp, type: ScalarType, args: readonly Expr[]): Expr | undefined {
  const [a, b, c] = args as [Expr, Expr, Expr];
  switch (op) {
    case 'add':
      return isConstant(a, 0) ? b : isConstant(b, 0) ? a : undefined;
    case 'sub':
      return isConstant(b, 0) ? a : undefined;
    case 'mul':
      if (isConstant(a, 0) || isConstant(b, 0)) return constant(0, type);
      if (isConstant(a, 1)) return b;
      if (isConstant(b, 1)) return a;
      return undefined;
    case 'div':
      return isConstant(b, 1) ? a : undefined;
    case 'neg':
      return a.op === 'neg' ? a.args[0] : undefined;
    case 'and':
      if (type !== 'bool') return undefined;
      if (isConstant(a, 0) || isConstant(b, 0)) return constant(0, type);
      return isConstant(a, 1) ? b : isConstant(b, 1) ? a : a === b ? a : undefined;
    case 'or':
      if (type !== 'bool') return undefined;
      if (isConstant(a, 1) || isConstant(b, 1)) return constant(1, type);
      return isConstant(a, 0) ? b : isConstant(b, 0) ? a : a === b ? a : undefined;
    case 'not':
      return a.op === 'not' && a.type === type ? a.args[0] : undefined;
    case 'select':
      return a.op === 'constant' ? (a.value ? b : c) : b === c ? b : undefined;
    case 'half':
      return a.op === 'half' ? a : undefined;
    case 'cast':
      return a.type === type ? a : undefined;
    case 'lt':
    case 'le':
      return decided(op, a, b);
    case 'eq':
      return a === b && a.type !== 'f32' ? constant(1, 'bool') : disjoint(a, b) ? constant(0, 'bool') : undefined;
    case 'ne':
      return a === b && a.type !== 'f32' ? constant(0, 'bool') : disjoint(a, b) ? constant(1, 'bool') : undefined;
    default:
      return undefined;
  }
}

function decided(op: 'lt' | 'le', a: Expr, b: Expr): Expr | undefined {
  if (a.type !== 'i32') return undefined;
  const left = range(a);
  const right = range(b);
  if (op === 'lt') {
    if (left.max < right.min) return constant(1, 'bool');
    if (left.min >= right.max) return constant(0, 'bool');
  } else {
    if (left.max <= right.min) return constant(1, 'bool');
    if (left.min > right.max) return constant(0, 'bool');
  }
  return undefined;
}

function disjoint(a: Expr, b: Expr): boolean {
  if (a.type !== 'i32') return false;
  const left = range(a);
  const right = range(b);
  return left.max < right.min || right.max < left.min;
}

// ---- Linear normal form of i32 terms ------------------------------------------------------------------------------

/** A sum of terms with integer coefficients and a constant. */
export interface Linear {
  readonly terms: ReadonlyMap<Expr, number>;
  readonly constant: number;
}

/** `expr` (i32) as a linear combination of terms that are not themselves sums or constant multiples. */
export function linear(expr: Expr): Linear {
  const terms = new Map<Expr, number>();
  let offset = 0;
  const collect = (e: Expr, factor: number): void => {
    const [a, b] = e.args as [Expr, Expr];
    if (e.op === 'constant') offset += e.value * factor;
    else if (e.op === 'add') {
      collect(a, factor);
      collect(b, factor);
    } else if (e.op === 'sub') {
      collect(a, factor);
      collect(b, -factor);
    } else if (e.op === 'neg') collect(a, -factor);
    else if (e.op === 'mul' && b.op === 'constant') collect(a, factor * b.value);
    else terms.set(e, (terms.get(e) ?? 0) + factor);
  };
  collect(expr, 1);
  for (const [e, factor] of terms) if (factor === 0) terms.delete(e);
  return rejoin(terms, offset);
}

/** Joins `(x div n)·(c·n) + (x mod n)·c` into `x·c`. */
function rejoin(terms: Map<Expr, number>, offset: number): Linear {
  for (const [e, factor] of terms) {
    if (e.op !== 'mod') continue;
    const [x, n] = e.args as [Expr, Expr];
    if (n.op !== 'constant') continue;
    const quotient = simplify('div', 'i32', [x, n]);
    if (terms.get(quotient) !== factor * n.value) continue;
    terms.delete(e);
    terms.delete(quotient);
    const joined = linear(scaled(x, factor));
    for (const [t, c] of joined.terms) {
      const sum = (terms.get(t) ?? 0) + c;
      if (sum === 0) terms.delete(t);
      else terms.set(t, sum);
    }
    return rejoin(terms, offset + joined.constant);
  }
  return { terms, constant: offset };
}

const scaled = (e: Expr, factor: number): Expr =>
  factor === 1
    ? e
    : e.op === 'constant'
      ? constant(e.value * factor, 'i32')
      : intern('mul', 'i32', [e, constant(factor, 'i32')]);

/** The term of a linear combination: largest coefficient first, then in order of creation; the constant last. */
function rebuild({ terms, constant: offset }: Linear): Expr {
  const sorted = [...terms].sort(([a, x], [b, y]) => Math.abs(y) - Math.abs(x) || a.id - b.id);
  let sum: Expr | undefined;
  for (const [e, factor] of sorted) {
    const next = scaled(e, factor);
    sum = sum === undefined ? next : intern('add', 'i32', [sum, next]);
  }
  if (sum === undefined) return constant(offset, 'i32');
  return offset === 0 ? sum : intern('add', 'i32', [sum, constant(offset, 'i32')]);
}

function simplifyInteger(op: ScalarOp, args: readonly Expr[]): Expr | undefined {
  const [a, b] = args as [Expr, Expr];
  switch (op) {
    case 'add':
    case 'sub':
    case 'neg':
      return rebuild(linear(intern(op, 'i32', args)));
    case 'mul': {
      const [x, c] = a.op === 'constant' ? [b, a] : [a, b];
      if (c.op !== 'constant') return undefined;
      if (c.value === 0) return c;
      return rebuild(linear(scaled(x, c.value)));
    }
    case 'div':
    case 'mod':
      return b.op === 'constant' && b.value > 0 ? divide(op, a, b.value) : undefined;
    default:
      return undefined;
  }
}

/** `a div n` or `a mod n` for a constant n > 0: multiples of n leave the remainder when the rest stays within [0, n). */
function divide(op: 'div' | 'mod', a: Expr, n: number): Expr | undefined {
  if (n === 1) return op === 'div' ? a : constant(0, 'i32');
  const bounds = range(a);
  if (bounds.min < 0) return undefined;
  if (bounds.max < n) return op === 'div' ? constant(0, 'i32') : a;
  const form = linear(a);
  // Tried first with n itself, then with each divisor of n that it shares with a coefficient: with g of them,
  // (g·q + r) div n = q div (n/g) and (g·q + r) mod n = g·(q mod n/g) + r when r stays within [0, g).
  const divisors = new Set([n, ...[...form.terms.values()].map((factor) => gcd(Math.abs(factor), n))]);
  for (const g of [...divisors].sort((x, y) => y - x)) {
    const parts = split(form, g);
    if (parts === undefined || g === 1) continue;
    const whole = n / g;
    if (op === 'div') return simplify('div', 'i32', [parts.quotient, constant(whole, 'i32')]);
    const kept = simplify('mod', 'i32', [parts.quotient, constant(whole, 'i32')]);
    return rebuild(linear(intern('add', 'i32', [scaled(kept, g), parts.rest])));
  }
  // (x div m) div n = x div (m·n);  (x mod m) mod n = x mod n when n divides m.
  const [x, m] = a.args as [Expr, Expr];
  if (a.op === 'div' && op === 'div' && m.op === 'constant' && range(x).min >= 0) {
    return simplify('div', 'i32', [x, constant(m.value * n, 'i32')]);
  }
  if (a.op === 'mod' && op === 'mod' && m.op === 'constant' && m.value % n === 0 && range(x).min >= 0) {
    return simplify('mod', 'i32', [x, constant(n, 'i32')]);
  }
  return undefined;
}

const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b));

/** The form as g · quotient + rest with the rest in [0, g), where its terms show that; undefined elsewhere. */
function split(form: Linear, g: number): { quotient: Expr; rest: Expr } | undefined {
  const multiples = new Map<Expr, number>();
  const others = new Map<Expr, number>();
  for (const [e, factor] of form.terms) {
    if (factor % g === 0) multiples.set(e, factor / g);
    else others.set(e, factor);
  }
  const offset = ((form.constant % g) + g) % g;
  const rest = rebuild({ terms: others, constant: offset });
  const bounds = range(rest);
  if (bounds.min < 0 || bounds.max >= g) return undefined;
  return { quotient: rebuild({ terms: multiples, constant: (form.constant - offset) / g }), rest };
}

// ---- Ranges -------------------------------------------------------------------------------------------------------

interface Range {
  readonly min: number;
  readonly max: number;
}

const everything: Range = { min: -(2 ** 31), max: 2 ** 31 - 1 };
const ranges = new WeakMap<Expr, Range>();

/** Bounds on an i32 term, from the extents of its axes; everything when nothing is known. */
export function range(e: Expr): Range {
  const known = ranges.get(e);
  if (known) return known;
  const result = computeRange(e);
  ranges.set(e, result);
  return result;
}

function computeRange(e: Expr): Range {
  const [a, b, c] = e.args as [Expr, Expr, Expr];
  switch (e.op) {
    case 'constant':
      return { min: e.value, max: e.value };
    case 'axis':
      return { min: 0, max: Math.max(0, e.extent - 1) };
    case 'add': {
      const [x, y] = [range(a), range(b)];
      return { min: x.min + y.min, max: x.max + y.max };
    }
    case 'mul': {
      const [x, y] = [range(a), range(b)];
      const products = [x.min * y.min, x.min * y.max, x.max * y.min, x.max * y.max];
      return { min: Math.min(...products), max: Math.max(...products) };
    }
    case 'div': {
      const x = range(a);
      if (b.op !== 'constant' || b.value <= 0) return everything;
      return { min: Math.trunc(x.min / b.value), max: Math.trunc(x.max / b.value) };
    }
    case 'mod': {
      const x = range(a);
      if (b.op !== 'constant' || b.value <= 0) return everything;
      return { min: x.min < 0 ? 1 - b.value : 0, max: Math.min(Math.max(x.max, 0), b.value - 1) };
    }
    case 'min': {
      const [x, y] = [range(a), range(b)];
      return { min: Math.min(x.min, y.min), max: Math.min(x.max, y.max) };
    }
    case 'max': {
      const [x, y] = [range(a), range(b)];
      return { min: Math.max(x.min, y.min), max: Math.max(x.max, y.max) };
    }
    case 'select': {
      const [x, y] = [range(b), range(c)];
      return { min: Math.min(x.min, y.min), max: Math.max(x.max, y.max) };
    }
    default:
      return everything;
  }
}

/**
 * The strides of an index term over loop variables 0 to `axes` - 1, when it is affine in them alone;
 * undefined when it is not (it divides, selects or depends on loaded data).
 */
export function affine(expr: Expr, axes: number): { strides: number[]; offset: number } | undefined {
  const form = linear(expr);
  const strides = new Array<number>(axes).fill(0);
  for (const [e, factor] of form.terms) {
    if (e.op !== 'axis' || e.value >= axes) return undefined;
    strides[e.value] = factor;
  }
  return { strides, offset: form.constant };
}
