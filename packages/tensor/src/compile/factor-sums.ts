/**
 * Sums of a factor beside the product: where a reduction adds up just those elements that a contraction takes in as one
 * of its factors, along the contraction's own steps, the contraction gives the sums too. The gradient of a bias is such
 * a sum beside the gradient of its weights. Only the flow of data decides.
 */
import { axis, type Expr, load, substitute } from '../expr/expr.ts';
import type { Node } from '../graph.ts';
import { unflatten } from '../ops/view.ts';
import { sizeOf } from '../shape.ts';
import type { Assembly } from './assemble.ts';
import { mergingOf } from './groups.ts';
import { multipliesHalves } from './halves.ts';
import { type BufferUse, type Contraction, isContraction, type Kernel, type LoopKernel } from './kernel.ts';
import type { Lowered } from './lower.ts';

/** Contractions with fewer rows, columns or steps than this are no work for tiles, which the sums come from. */
const smallest = 16;

type Reduction = LoopKernel & { readonly reduce: NonNullable<LoopKernel['reduce']> };

/** One of a contraction's factors, and the reduction that computes the same sums of it, over [...batch, M] or [...batch, N]. */
export interface FactorSum {
  readonly factor: 0 | 1;
  readonly kernel: Reduction;
}

/**
 * Joins sums with contractions of the same elements. `kept` are nodes whose elements the caller wants, `updates` those
 * written over old values. Products of halves keep their sums apart: hardware that multiplies them adds nothing else.
 */
export function mergeFactorSums(
  lowered: Lowered,
  kept: ReadonlySet<Node>,
  updates: ReadonlySet<Node>,
  buffersPerKernel: number,
): Lowered {
  const { kernels, nodes, stages } = lowered;
  const { groups, wanted, isUpdate, stageOf } = mergingOf(lowered, kept, updates);
  /** What each contraction has become so far. */
  const merged = [...kernels];

  const join = (k: number, sum: Reduction, other: number): boolean => {
    const contraction = merged[other];
    if (!contraction || !takesSums(contraction) || stageOf(k) !== stageOf(other)) return false;
    const [output] = sum.outputs as readonly [LoopKernel['outputs'][number]];
    if (contraction.inputs.some(({ buffer }) => buffer === output.buffer)) return false;
    const factorSum = ([0, 1] as const).find((i) => sums(sum, contraction, i));
    if (factorSum === undefined) return false;
    const outputs = [...contraction.outputs, { ...output, factorSum }];
    // An update waits for all who read the old value: nobody may wait for the kernel that makes it.
    if (outputs.some(isUpdate) && !outputs.every(isUpdate)) return false;
    const { inputs } = groups.boundary([...groups.of(k), ...groups.of(other)], wanted);
    if (inputs.length + outputs.length > buffersPerKernel || !groups.canJoin(k, other)) return false;
    groups.join(k, other);
    const name = [...new Set([contraction, sum].flatMap((kernel) => kernel.name.split('+')))].join('+');
    merged[other] = { ...contraction, name, outputs };
    return true;
  };

  kernels.forEach((kernel, k) => {
    if (!isPlainSum(kernel)) return;
    const readers = new Set(kernel.inputs.flatMap(({ buffer }) => groups.readers(buffer)));
    for (const other of readers) if (join(k, kernel, other)) return;
  });
  const own = (group: readonly number[]): number => group.find((k) => isContraction(merged[k])) ?? (group[0] as number);
  return { nodes, stages, kernels: groups.inOrder().map((group) => merged[own(group)] as Kernel | Assembly) };
}

/**
 * The kernels that compute the same as `kernel`, in this order, each with one value for every point: the sums of its
 * factors, then the product; or `kernel` itself, if it has no such sums. All have its inputs.
 */
export const separated = (kernel: LoopKernel): readonly LoopKernel[] => [
  ...factorSums(kernel).map((sum) => sum.kernel),
  withoutSums(kernel),
];

/** `kernel` without sums of its factors. */
export function withoutSums<K extends LoopKernel>(kernel: K): K {
  const outputs = kernel.outputs.filter(({ factorSum }) => factorSum === undefined);
  return outputs.length === kernel.outputs.length ? kernel : { ...kernel, outputs };
}

/** Which of its factors `kernel` sums. */
export function factorSums(kernel: LoopKernel): readonly FactorSum[] {
  const { name, shape, inputs, reduce } = kernel;
  const rank = shape.length;
  return ([0, 1] as const).flatMap((i) => {
    const outputs = kernel.outputs.filter(({ factorSum }) => factorSum === i);
    const term = reduce?.factors?.[i];
    if (outputs.length === 0 || !reduce || !term) return [];
    const free = rank - 2 + i;
    const moved = (e: Expr): Expr =>
      substitute(e, (leaf) => {
        if (leaf.op !== 'axis' || leaf.value < rank - 2) return undefined;
        return leaf.value === free
          ? axis(rank - 2, shape[free] as number)
          : axis(leaf.value - 1, reduce.extent[leaf.value - rank] as number);
      });
    const sum: Reduction = {
      kind: 'loop',
      name: `${name} factor sums`,
      shape: [...shape.slice(0, rank - 2), shape[free] as number],
      inputs,
      reduce: { op: 'sum', extent: reduce.extent, body: moved(term) },
      outputs: outputs.map(({ factorSum: _, ...output }) => ({ ...output, value: moved(output.value) })),
    };
    return [{ factor: i, kernel: sum }];
  });
}

/** Whether a contraction is computed by tiles of f32, which sums of its factors can come from. */
function takesSums(kernel: Kernel | Assembly): kernel is Contraction {
  if (!isContraction(kernel) || multipliesHalves(kernel)) return false;
  const extents = [...kernel.shape.slice(-2), ...kernel.reduce.extent];
  return extents.every((extent) => extent >= smallest);
}

/** Whether a kernel stores bare sums in f32. */
function isPlainSum(kernel: Kernel | Assembly): kernel is Reduction {
  if (kernel.kind !== 'loop' || kernel.reduce?.op !== 'sum' || kernel.reduce.factors) return false;
  return kernel.outputs.every(({ dtype, value }) => dtype === 'f32' && value.op === 'accumulator');
}

/** Whether `sum` adds up, for every row and column that a factor of `contraction` knows, the elements along its steps. */
function sums(sum: Reduction, contraction: Contraction, i: 0 | 1): boolean {
  const { shape, reduce } = contraction;
  const rank = shape.length;
  const own = [...shape.slice(0, rank - 2), shape[rank - 2 + i] as number];
  const [points, steps] = [sizeOf(own), sizeOf(reduce.extent)];
  if (sizeOf(sum.shape) !== points || sizeOf(sum.reduce.extent) !== steps) return false;
  const [point, step] = [axis(0, points), axis(1, steps)];
  const at = unflatten(point, own);
  const free = at.pop() as Expr;
  // The factor does not depend on the other one's axis, wherever that is.
  const axes = [...at, free, free, ...unflatten(step, reduce.extent)];
  const term = overBuffers(contraction, reduce.factors[i], axes);
  return (
    overBuffers(sum, sum.reduce.body, [...unflatten(point, sum.shape), ...unflatten(step, sum.reduce.extent)]) === term
  );
}

/** A kernel's term with `axes` in the place of its own, and with buffers for the inputs that it loads from. */
function overBuffers({ inputs }: LoopKernel, e: Expr, axes: readonly Expr[]): Expr {
  const swap = (part: Expr): Expr =>
    substitute(part, (leaf) => {
      if (leaf.op === 'axis') return axes[leaf.value];
      if (leaf.op !== 'load') return undefined;
      return load((inputs[leaf.value] as BufferUse).buffer, swap(leaf.args[0] as Expr), leaf.type);
    });
  return swap(e);
}
