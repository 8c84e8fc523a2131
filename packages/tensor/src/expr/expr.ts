/**
 * Scalar terms: the one language in which the meaning of every elementwise operation, every index map and every
 * fused kernel is written. Backends print it (WGSL, WebAssembly, JavaScript) and the derivative is a fold over it.
 */
import type { ScalarType } from '../dtype.ts';
import { simplify } from './simplify.ts';

/** Leaves: a constant, the k-th operand of an operation, a loop variable, an element of a buffer, a reduction's result. */
export type LeafOp = 'constant' | 'input' | 'axis' | 'load' | 'accumulator';

export type UnaryOp =
  | 'neg'
  | 'abs'
  | 'sign'
  | 'floor'
  | 'ceil'
  | 'round'
  | 'trunc'
  | 'exp'
  | 'log'
  | 'sqrt'
  | 'sin'
  | 'cos'
  | 'tan'
  | 'tanh'
  | 'erf'
  | 'atan'
  | 'half'
  | 'not'
  | 'cast'
  | 'bitcast';

export type BinaryOp =
  | 'add'
  | 'sub'
  | 'mul'
  | 'div'
  | 'mod'
  | 'pow'
  | 'min'
  | 'max'
  | 'and'
  | 'or'
  | 'xor'
  | 'shl'
  | 'shr'
  | 'lt'
  | 'le'
  | 'eq'
  | 'ne';

export type ScalarOp = LeafOp | UnaryOp | BinaryOp | 'select';

/**
 * One scalar term. Terms are immutable and interned: structurally equal terms are the same object, so a term is a
 * graph whose shared parts are computed once.
 *
 * - `constant`: `value` is its value (booleans 0 or 1).
 * - `input`: `value` is the operand's position.
 * - `axis`: `value` is the loop variable's position, `extent` its number of steps; type i32, from 0 to extent - 1.
 * - `load`: `value` is the kernel's input slot, `args[0]` the element index (i32, always within the buffer).
 * - `accumulator`: a finished reduction; `value` is its stage in a kernel that has several (in output values, and in stages that follow).
 * - `cast` converts the value to `type`: float to integer truncates and saturates at the type's ends (NaN gives 0); to bool is `!= 0`.
 * - `bitcast` keeps the bits (f32, i32, u32).
 * - `select`: `args` = [condition, whenTrue, whenFalse]; the branch not taken may be evaluated, but its loads stay in bounds.
 * - integers: `add sub mul neg` wrap at 32 bits; `div` truncates; x div 0 = x, x mod 0 = 0; `mod` has the sign of the
 *   dividend (C's %, also for floats); shifts take the count modulo 32, `shr` is arithmetic for i32.
 * - `round` rounds half to even.
 * - `half` rounds to the nearest number of half precision, ties to even; beyond 65504 + 16 to infinity.
 */
export interface Expr {
  readonly op: ScalarOp;
  readonly type: ScalarType;
  readonly args: readonly Expr[];
  readonly value: number;
  readonly extent: number;
  /** Unique among live terms; equal terms have equal ids. */
  readonly id: number;
}

const interned = new Map<string, Expr>();
let nextId = 1;
/** The table of interned terms is emptied past this size; terms made before and after then merely do not share. */
const internedLimit = 1 << 18;

/** The interned term of exactly these parts, without any simplification. */
export function intern(op: ScalarOp, type: ScalarType, args: readonly Expr[], value = 0, extent = 0): Expr {
  let key = `${op} ${type} ${Object.is(value, -0) ? '-0' : value} ${extent}`;
  for (const arg of args) key += ` ${arg.id}`;
  const known = interned.get(key);
  if (known) return known;
  if (interned.size >= internedLimit) interned.clear();
  const expr: Expr = { op, type, args, value, extent, id: nextId++ };
  interned.set(key, expr);
  return expr;
}

export function constant(value: number, type: ScalarType = 'f32'): Expr {
  return intern('constant', type, [], value);
}
export function input(position: number, type: ScalarType = 'f32'): Expr {
  return intern('input', type, [], position);
}
export function axis(position: number, extent: number): Expr {
  return extent === 1 ? constant(0, 'i32') : intern('axis', 'i32', [], position, extent);
}
export function load(slot: number, index: Expr, type: ScalarType): Expr {
  return intern('load', type, [index], slot);
}
export function accumulator(type: ScalarType, stage = 0): Expr {
  return intern('accumulator', type, [], stage);
}

const comparisons: ReadonlySet<ScalarOp> = new Set(['lt', 'le', 'eq', 'ne', 'not']);

/** The simplified term `op(args)`. `type` is needed for `cast` and `bitcast` alone; elsewhere it follows from the operands. */
export function term(op: UnaryOp | BinaryOp | 'select', args: readonly Expr[], type?: ScalarType): Expr {
  const last = args[args.length - 1];
  if (last === undefined) throw new Error(`expr: ${op} has no operands`);
  const bitwiseNot = op === 'not' && last.type !== 'bool';
  const result = type ?? (comparisons.has(op) && !bitwiseNot ? 'bool' : last.type);
  return simplify(op, result, args);
}

export const add = (a: Expr, b: Expr): Expr => term('add', [a, b]);
export const sub = (a: Expr, b: Expr): Expr => term('sub', [a, b]);
export const mul = (a: Expr, b: Expr): Expr => term('mul', [a, b]);
export const div = (a: Expr, b: Expr): Expr => term('div', [a, b]);
export const mod = (a: Expr, b: Expr): Expr => term('mod', [a, b]);
export const neg = (a: Expr): Expr => term('neg', [a]);
export const and = (a: Expr, b: Expr): Expr => term('and', [a, b]);
export const lt = (a: Expr, b: Expr): Expr => term('lt', [a, b]);
export const le = (a: Expr, b: Expr): Expr => term('le', [a, b]);
export const eq = (a: Expr, b: Expr): Expr => term('eq', [a, b]);
export const select = (condition: Expr, whenTrue: Expr, whenFalse: Expr): Expr =>
  term('select', [condition, whenTrue, whenFalse]);
export const half = (a: Expr): Expr => term('half', [a]);
export const cast = (a: Expr, type: ScalarType): Expr => (a.type === type ? a : term('cast', [a], type));

/**
 * `expr` with every leaf for which `leaf` returns a term replaced by it. Shared parts are visited once.
 */
export function substitute(expr: Expr, leaf: (expr: Expr) => Expr | undefined): Expr {
  const done = new Map<Expr, Expr>();
  const visit = (e: Expr): Expr => {
    const known = done.get(e);
    if (known) return known;
    let result = leaf(e);
    if (result === undefined) {
      const args = e.args.map(visit);
      if (args.every((arg, i) => arg === e.args[i])) result = e;
      else if (e.op === 'load') result = load(e.value, args[0] as Expr, e.type);
      else result = term(e.op as UnaryOp, args, e.type);
    }
    done.set(e, result);
    return result;
  };
  return visit(expr);
}

/** Calls `visit` once for every distinct term of `expr`, operands first. */
export function walk(expr: Expr, visit: (expr: Expr) => void, seen: Set<Expr> = new Set()): void {
  if (seen.has(expr)) return;
  seen.add(expr);
  for (const arg of expr.args) walk(arg, visit, seen);
  visit(expr);
}

const printed = new WeakMap<Expr, string>();

/** The term as text, one numbered line for each distinct part: linear in the term's size, equal for equal terms. */
export function print(expr: Expr): string {
  const known = printed.get(expr);
  if (known !== undefined) return known;
  const names = new Map<Expr, number>();
  let text = '';
  walk(expr, (e) => {
    names.set(e, names.size);
    const args = e.args.map((arg) => `%${names.get(arg)}`).join(' ');
    text += `${e.op}:${e.type}${e.op === 'constant' || e.value !== 0 ? `#${e.value}` : ''}${e.extent ? `<${e.extent}` : ''}(${args});`;
  });
  printed.set(expr, text);
  return text;
}
