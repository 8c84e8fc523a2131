/** The loop nest of a kernel in its simplest form: axes of extent 1 dropped, and neighbours that act as one joined. */
import type { LoopKernel, ReduceOp } from '../../compile/kernel.ts';
import type { DType } from '../../dtype.ts';
import { DeviceError } from '../../errors.ts';
import { add, axis, constant, div, type Expr, intern, mod, mul, substitute, walk } from '../../expr/expr.ts';
import { axisLimit } from './expression.ts';

export interface LoopNest {
  readonly name: string;
  /** Axes 0 to shape.length - 1 of the terms. */
  readonly shape: readonly number[];
  /** Element types of the buffers that loads name. */
  readonly inputs: readonly DType[];
  /** The reduction over the axes that follow those of the shape. */
  readonly reduce?: { readonly op: ReduceOp; readonly extent: readonly number[]; readonly body: Expr };
  readonly outputs: readonly { readonly dtype: DType; readonly value: Expr }[];
}

interface Nest {
  shape: number[];
  extent: number[];
  terms: Expr[];
}

/** `n` to the next multiple of `unit`. */
export const roundUp = (n: number, unit: number): number => Math.ceil(n / unit) * unit;

export const product = (extents: readonly number[]): number => extents.reduce((a, b) => a * b, 1);

/** The loop nest of `kernel`. Throws DeviceError past the limit on axes. */
export function loopNest(kernel: LoopKernel): LoopNest {
  const { reduce } = kernel;
  let nest: Nest = {
    shape: [...kernel.shape],
    extent: [...(reduce?.extent ?? [])],
    terms: [...(reduce ? [reduce.body] : []), ...kernel.outputs.map((output) => output.value)],
  };
  nest = joinAxes(dropUnitAxes(nest));
  if (nest.shape.length + nest.extent.length > axisLimit) {
    throw new DeviceError(`${kernel.name}: more than ${axisLimit} axes that do not join`, 'split the operation');
  }
  const [body, ...values] = reduce ? nest.terms : [undefined, ...nest.terms];
  // A reduction over one element is that element.
  const single = reduce && nest.extent.length === 0 ? body : undefined;
  return {
    name: kernel.name,
    shape: nest.shape,
    inputs: kernel.inputs.map((input) => input.dtype),
    ...(reduce && body && !single ? { reduce: { op: reduce.op, extent: nest.extent, body } } : {}),
    outputs: kernel.outputs.map(({ dtype }, i) => {
      const value = values[i] as Expr;
      return { dtype, value: single ? substitute(value, (e) => (e.op === 'accumulator' ? single : undefined)) : value };
    }),
  };
}

const replaceAxes = (terms: readonly Expr[], replacement: (position: number) => Expr): Expr[] =>
  terms.map((term) => substitute(term, (e) => (e.op === 'axis' ? replacement(e.value) : undefined)));

function dropUnitAxes({ shape, extent, terms }: Nest): Nest {
  const all = [...shape, ...extent];
  const kept = all.flatMap((n, position) => (n === 1 ? [] : [position]));
  if (kept.length === all.length) return { shape, extent, terms };
  const keep = (n: number): boolean => n !== 1;
  return {
    shape: shape.filter(keep),
    extent: extent.filter(keep),
    terms: replaceAxes(terms, (position) => {
      const to = kept.indexOf(position);
      return to < 0 ? constant(0, 'i32') : axis(to, all[position] as number);
    }),
  };
}

/** Joins neighbouring axes a, b of extents m, n into one of m·n wherever every term needs only a·n + b. */
function joinAxes(nest: Nest): Nest {
  const count = nest.shape.length + nest.extent.length;
  for (let position = count - 2; position >= 0; position--) {
    if (position === nest.shape.length - 1) continue; // the last axis of the shape and the first of the reduction
    const joined = join(nest, position);
    if (joined) return joinAxes(joined);
  }
  return nest;
}

function join({ shape, extent, terms }: Nest, position: number): Nest | undefined {
  const all = [...shape, ...extent];
  const [m, n] = [all[position] as number, all[position + 1] as number];
  if (m * n >= 2 ** 31) return undefined;
  const whole = axis(position, m * n);
  const [outer, inner] = [div(whole, constant(n, 'i32')), mod(whole, constant(n, 'i32'))];
  const replaced = replaceAxes(terms, (p) => {
    if (p === position) return outer;
    if (p === position + 1) return inner;
    return axis(p > position ? p - 1 : p, all[p] as number);
  });
  let separate = false;
  const seen = new Set<Expr>();
  for (const term of replaced) walk(term, (e) => (separate ||= e === outer || e === inner), seen);
  if (separate) return undefined;
  const merged = (list: readonly number[], at: number): number[] =>
    at < 0 || at >= list.length ? [...list] : [...list.slice(0, at), m * n, ...list.slice(at + 2)];
  const inShape = position < shape.length;
  return {
    shape: inShape ? merged(shape, position) : shape,
    extent: inShape ? extent : merged(extent, position - shape.length),
    terms: replaced,
  };
}

/** The row-major linear index of the axes from `first` on with these extents. */
export function linearIndex(extents: readonly number[], first = 0): Expr {
  return extents.reduce<Expr>(
    (index, n, i) => add(mul(index, constant(n, 'i32')), axis(first + i, n)),
    intern('constant', 'i32', [], 0),
  );
}
