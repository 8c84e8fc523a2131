/**
 * Fewer, longer axes: neighbouring axes that every index walks as one are merged, and axes of size 1 disappear, so
 * that backends see the longest contiguous runs there are.
 */
import { add, axis, constant, div, type Expr, mod, mul, substitute, walk } from '../expr/expr.ts';
import type { LoopKernel } from './kernel.ts';

/** An equal kernel with as few axes as its index terms allow. */
export function collapse(kernel: LoopKernel): LoopKernel {
  let result = renumber(kernel);
  // The contraction template needs its last two axes as they are.
  const fixed = result.reduce?.factors ? 2 : 0;
  for (let i = result.shape.length - 2 - fixed; i >= 0; i--) result = merge(result, i) ?? result;
  const outer = result.shape.length;
  for (let i = (result.reduce?.extent.length ?? 0) - 2; i >= 0; i--) result = merge(result, outer + i) ?? result;
  return result;
}

const extentsOf = (kernel: LoopKernel): number[] => [...kernel.shape, ...(kernel.reduce?.extent ?? [])];

/** The kernel with `replacement(i)` for axis i, over other extents. */
function rewrite(
  kernel: LoopKernel,
  shape: readonly number[],
  extent: readonly number[],
  replacement: (position: number) => Expr,
): LoopKernel {
  const swap = (e: Expr): Expr => substitute(e, (leaf) => (leaf.op === 'axis' ? replacement(leaf.value) : undefined));
  const { reduce } = kernel;
  const factors = reduce?.factors;
  return {
    ...kernel,
    shape,
    ...(reduce
      ? {
          reduce: {
            op: reduce.op,
            extent,
            body: swap(reduce.body),
            ...(factors ? { factors: [swap(factors[0]), swap(factors[1])] as const } : {}),
          },
        }
      : {}),
    outputs: kernel.outputs.map((output) => ({ ...output, value: swap(output.value) })),
  };
}

/** Axes of size 1 dropped: their variables are already the constant 0. A contraction keeps its rows and columns. */
function renumber(kernel: LoopKernel): LoopKernel {
  const rank = kernel.shape.length;
  const kept = kernel.shape.flatMap((extent, i) =>
    extent !== 1 || (kernel.reduce?.factors && i >= rank - 2) ? [i] : [],
  );
  const reduced = kernel.reduce?.extent ?? [];
  const keptReduced = reduced.flatMap((extent, i) => (extent !== 1 || (kernel.reduce?.factors && i === 0) ? [i] : []));
  if (kernel.reduce && keptReduced.length === 0) keptReduced.push(0);
  const positions = [...kept, ...keptReduced.map((i) => rank + i)];
  if (positions.every((position, i) => position === i) && positions.length === rank + reduced.length) return kernel;
  const extents = extentsOf(kernel);
  return rewrite(
    kernel,
    kept.map((i) => kernel.shape[i] as number),
    keptReduced.map((i) => reduced[i] as number),
    (position) => axis(positions.indexOf(position), extents[position] as number),
  );
}

/** Axes i and i + 1 as one, or undefined where an index tells them apart. */
function merge(kernel: LoopKernel, i: number): LoopKernel | undefined {
  const extents = extentsOf(kernel);
  const [first, second] = [extents[i] as number, extents[i + 1] as number];
  const joined = axis(i, first * second);
  const replacement = (position: number): Expr => {
    const extent = extents[position] as number;
    if (position === i) return div(joined, constant(second, 'i32'));
    if (position === i + 1) return mod(joined, constant(second, 'i32'));
    return axis(position > i ? position - 1 : position, extent);
  };
  const rank = kernel.shape.length;
  const shape = i < rank ? [...kernel.shape.slice(0, i), first * second, ...kernel.shape.slice(i + 2)] : kernel.shape;
  const at = i - rank;
  const reduced = kernel.reduce?.extent ?? [];
  const extent = i < rank ? reduced : [...reduced.slice(0, at), first * second, ...reduced.slice(at + 2)];
  const result = rewrite(kernel, shape, extent, replacement);
  return divisions(result) > divisions(kernel) ? undefined : result;
}

/** Index divisions that a kernel's terms contain: a merge that adds one has not worked. */
export function divisions(kernel: LoopKernel): number {
  let count = 0;
  const seen = new Set<Expr>();
  const tally = (e: Expr): void =>
    walk(
      e,
      (part) => {
        if (part.type === 'i32' && (part.op === 'div' || part.op === 'mod')) count++;
      },
      seen,
    );
  if (kernel.reduce) tally(kernel.reduce.body);
  for (const output of kernel.outputs) tally(output.value);
  return count;
}

/** The linear, row-major index over `shape` in terms of its axes. */
export function pointIndex(shape: readonly number[]): Expr {
  let index = constant(0, 'i32');
  shape.forEach((extent, i) => {
    index = add(mul(index, constant(extent, 'i32')), axis(i, extent));
  });
  return index;
}
