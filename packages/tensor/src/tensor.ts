/** Tensors: handles on graph nodes, with PyTorch's methods. Nothing is computed until a value is asked for. */
import { gradientsOf } from './autograd/reverse.ts';
import { printShape, ShapeError } from './errors.ts';
import { floating, logSoftmax, softmax } from './ops/composite.ts';
import { matmul, transpose } from './ops/contract.ts';
import { apply } from './ops/elementwise.ts';
import { fill } from './ops/generate.ts';
import { gather, scatterAdd, take } from './ops/index.ts';
import * as rearrange from './ops/rearrange.ts';
import * as reductions from './ops/reduction.ts';
import { cumsum, sort, topk } from './ops/sort.ts';
import { flip, permute, reshape, unfold } from './ops/view.ts';
import { resolveAxes, resolveAxis, type Shape } from './shape.ts';
import type { CheckMatMul, CheckReshape, MatMul, Transpose } from './shape-types.ts';
import { type Axes, TensorElementwise } from './tensor-elementwise.ts';

export { type Axes, operand, type TensorLike } from './tensor-elementwise.ts';
export { ownerOf, realize } from './tensor-value.ts';

/** An array of numbers, or a computation that will give one. */
export class Tensor<S extends Shape = Shape> extends TensorElementwise<S> {
  // ---- Reductions -------------------------------------------------------------------------------------------------

  sum(axes?: Axes, keepdim = false): Tensor {
    return new Tensor(reductions.fold('sum', this.node, axes, keepdim));
  }
  prod(axes?: Axes, keepdim = false): Tensor {
    return new Tensor(reductions.fold('prod', this.node, axes, keepdim));
  }
  max(axes?: Axes, keepdim = false): Tensor {
    return new Tensor(reductions.fold('max', this.node, axes, keepdim));
  }
  min(axes?: Axes, keepdim = false): Tensor {
    return new Tensor(reductions.fold('min', this.node, axes, keepdim));
  }
  mean(axes?: Axes, keepdim = false): Tensor {
    return new Tensor(reductions.mean(this.node, axes, keepdim));
  }
  /** Variance; `correction` 1 divides by n - 1, as PyTorch does by default. */
  var(axes?: Axes, keepdim = false, correction = 1): Tensor {
    return new Tensor(reductions.variance(this.node, axes, keepdim, correction));
  }
  std(axes?: Axes, keepdim = false, correction = 1): Tensor {
    return this.var(axes, keepdim, correction).sqrt();
  }
  /** (Σ |x|^p)^(1/p). */
  norm(axes?: Axes, keepdim = false, p = 2): Tensor {
    return new Tensor(reductions.norm(this.node, axes, keepdim, p));
  }
  logsumexp(axis: number, keepdim = false): Tensor {
    return new Tensor(reductions.logsumexp(this.node, axis, keepdim));
  }
  any(axes?: Axes, keepdim = false): Tensor {
    return this.ne(0).sum(axes, keepdim).ne(0);
  }
  all(axes?: Axes, keepdim = false): Tensor {
    return this.eq(0).sum(axes, keepdim).eq(0);
  }
  /** Position of the first largest element along `axis`, as i32; of the flattened tensor without an axis. */
  argmax(axis?: number, keepdim = false): Tensor {
    return new Tensor(reductions.argExtremum('max', this.node, axis, keepdim));
  }
  argmin(axis?: number, keepdim = false): Tensor {
    return new Tensor(reductions.argExtremum('min', this.node, axis, keepdim));
  }
  softmax(axis = -1): Tensor<S> {
    return new Tensor(softmax([floating(this.node)], { axis: resolveAxis('softmax', axis, this.rank) }));
  }
  logSoftmax(axis = -1): Tensor<S> {
    return new Tensor(logSoftmax([floating(this.node)], { axis: resolveAxis('logSoftmax', axis, this.rank) }));
  }
  cumsum(axis: number): Tensor<S> {
    return new Tensor(cumsum(this.node, resolveAxis('cumsum', axis, this.rank)));
  }

  // ---- Products ---------------------------------------------------------------------------------------------------

  /** The matrix product, with PyTorch's rules for vectors and batches. */
  matmul<A extends Shape, B extends Shape>(
    this: Tensor<A>,
    other: Tensor<B> & CheckMatMul<A, B>,
  ): Tensor<MatMul<A, B>> {
    return new Tensor(matmul(this.node, other.node));
  }

  // ---- Views and rearrangement ------------------------------------------------------------------------------------

  reshape<A extends Shape, const B extends Shape>(this: Tensor<A>, shape: B & CheckReshape<A, B>): Tensor<B> {
    return new Tensor(reshape(this.node, shape as Shape));
  }
  /** Axes in the given order. */
  permute(...order: readonly number[]): Tensor {
    return new Tensor(
      permute(
        this.node,
        order.map((axis) => resolveAxis('permute', axis, this.rank)),
      ),
    );
  }
  /** Two axes exchanged; the last two by default. */
  transpose(first = -2, second = -1): Tensor {
    const [a, b] = [resolveAxis('transpose', first, this.rank), resolveAxis('transpose', second, this.rank)];
    return this.permute(...this.shape.map((_, i) => (i === a ? b : i === b ? a : i)));
  }
  /** The last two axes exchanged. */
  get T(): Tensor<Transpose<S>> {
    return new Tensor(transpose(this.node));
  }
  /** Axes of size 1 repeated; -1 keeps a size; more axes may be added in front. */
  expand(...shape: readonly number[]): Tensor {
    return new Tensor(rearrange.expandTo(this.node, shape));
  }
  flatten(start = 0, end = -1): Tensor {
    return new Tensor(rearrange.flatten(this.node, start, end));
  }
  unsqueeze(axis: number): Tensor {
    return new Tensor(rearrange.unsqueeze(this.node, axis));
  }
  squeeze(axis?: number): Tensor {
    return new Tensor(rearrange.squeeze(this.node, axis));
  }
  /** Elements [start, end) of one axis, every `step`-th; negative bounds count from the end, a negative step walks back. */
  slice(axis: number, start?: number, end?: number, step = 1): Tensor {
    return new Tensor(rearrange.sliceAxis(this.node, axis, start, end, step));
  }
  /** Element `index` of one axis, which disappears. */
  select(axis: number, index: number): Tensor {
    return new Tensor(rearrange.select(this.node, axis, index));
  }
  /** `length` elements of one axis from `start`. */
  narrow(axis: number, start: number, length: number): Tensor {
    return this.slice(axis, start, start + length);
  }
  /** Pieces of `size` (the last may be shorter), or of the sizes listed. */
  split(size: number | readonly number[], axis = 0): Tensor[] {
    return rearrange.split(this.node, size, axis).map((node) => new Tensor(node));
  }
  chunk(count: number, axis = 0): Tensor[] {
    return this.split(Math.ceil((this.shape[resolveAxis('chunk', axis, this.rank)] as number) / count) || 1, axis);
  }
  /** [before, after] for each of the last axes, outermost first; filled with `value`. */
  pad(widths: readonly (readonly [number, number])[], value = 0): Tensor {
    return new Tensor(rearrange.padAxes(this.node, widths, value));
  }
  flip(axes: Axes): Tensor<S> {
    return new Tensor(flip(this.node, resolveAxes('flip', axes, this.rank)));
  }
  roll(shift: number, axis: number): Tensor<S> {
    return new Tensor(rearrange.roll(this.node, shift, axis));
  }
  repeat(...counts: readonly number[]): Tensor {
    return new Tensor(rearrange.repeat(this.node, counts));
  }
  /** The lower triangle of the last two axes, up to `diagonal`. */
  tril(diagonal = 0): Tensor<S> {
    return new Tensor(rearrange.triangle(this.node, 'lower', diagonal));
  }
  triu(diagonal = 0): Tensor<S> {
    return new Tensor(rearrange.triangle(this.node, 'upper', diagonal));
  }
  diagonal(): Tensor {
    return new Tensor(rearrange.diagonal(this.node));
  }
  /** Sliding windows along `axis`, positions within each along a last axis. */
  unfold(axis: number, size: number, step = 1): Tensor {
    return new Tensor(unfold(this.node, resolveAxis('unfold', axis, this.rank), size, step, 1));
  }

  // ---- Elements chosen by data ------------------------------------------------------------------------------------

  /** Slices along `axis` chosen by whole numbers of any shape, whose axes replace it. */
  indexSelect(axis: number, index: Tensor): Tensor {
    return new Tensor(take(this.node, index.node, resolveAxis('indexSelect', axis, this.rank)));
  }
  gather(axis: number, index: Tensor): Tensor {
    return new Tensor(gather(this.node, index.node, resolveAxis('gather', axis, this.rank)));
  }
  /** This tensor plus `source` at the places that `index` names along `axis`. */
  scatterAdd(axis: number, index: Tensor, source: Tensor): Tensor {
    const resolved = resolveAxis('scatterAdd', axis, this.rank);
    return new Tensor(apply('add', this.node, scatterAdd(source.node, index.node, this.shape, resolved, true)));
  }
  sort(axis = -1, descending = false): { values: Tensor<S>; indices: Tensor<S> } {
    const { values, indices } = sort(this.node, resolveAxis('sort', axis, this.rank), descending);
    return { values: new Tensor(values), indices: new Tensor(indices) };
  }
  argsort(axis = -1, descending = false): Tensor<S> {
    return this.sort(axis, descending).indices;
  }
  /** The k largest elements along `axis`, largest first, and where they are. */
  topk(k: number, axis = -1, largest = true): { values: Tensor; indices: Tensor } {
    const { values, indices } = topk(this.node, k, resolveAxis('topk', axis, this.rank), largest);
    return { values: new Tensor(values), indices: new Tensor(indices) };
  }
}

/** Gradients of Σ output · seed with respect to `wrt`, as tensors that can be differentiated again. */
export function gradients(output: Tensor, wrt: readonly Tensor[], seed?: Tensor): Tensor[] {
  if (!seed && output.size !== 1)
    throw new ShapeError(`grad: the output ${printShape(output.shape)} is not a scalar`, 'reduce it, or give a seed');
  const start = seed?.node ?? fill(output.shape, 1, output.dtype);
  return gradientsOf(
    output.node,
    start,
    wrt.map(({ node }) => node),
  ).map((node) => new Tensor(node));
}
