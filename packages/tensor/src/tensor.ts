/** Tensors: handles on graph nodes, with PyTorch's methods. Nothing is computed until a value is asked for. */
import { gradientsOf, reverse } from './autograd/reverse.ts';
import { type DType, dtypes, type TypedArray } from './dtype.ts';
import { DTypeError, printShape, ShapeError } from './errors.ts';
import { type Node, topological } from './graph.ts';
import { floating, logSoftmax, softmax } from './ops/composite.ts';
import { matmul, transpose } from './ops/contract.ts';
import { apply, cast, constantLike, type ElementwiseName, where } from './ops/elementwise.ts';
import { fill } from './ops/generate.ts';
import { gather, scatterAdd, take } from './ops/index.ts';
import { stopGradient } from './ops/map.ts';
import * as rearrange from './ops/rearrange.ts';
import * as reductions from './ops/reduction.ts';
import { cumsum, sort, topk } from './ops/sort.ts';
import { flip, permute, reshape, unfold } from './ops/view.ts';
import type { Device } from './runtime/device.ts';
import { realize as realizeNodes } from './runtime/realize.ts';
import { activeTrace, forbidInTrace } from './runtime/trace.ts';
import { resolveAxes, resolveAxis, type Shape, sameShape, sizeOf } from './shape.ts';
import type { Broadcast, CheckBroadcast, CheckMatMul, CheckReshape, MatMul, Transpose } from './shape-types.ts';

/** What stands for a tensor in an operation: numbers become constants of the other operand's dtype. */
export type TensorLike<S extends Shape = Shape> = Tensor<S> | number;

export type Axes = number | readonly number[];

/** Leaves whose gradients `backward` collects. */
const variables = new WeakMap<Node, Tensor>();

/** Tensors by the stored nodes that were their values: a captured function that read one reads the tensor's value of now. */
const owners = new WeakMap<Node, Tensor>();

export const ownerOf = (node: Node): Tensor | undefined => owners.get(node);

export class Tensor<S extends Shape = Shape> {
  /** The graph node whose value this is. */
  node: Node;
  /** The gradient that `backward` collected, if any. */
  grad: Tensor<S> | undefined;
  /** The losses (and norms) that `grad` came from: an update computes them along, since they need the old values. */
  gradientSources: readonly Tensor[] = [];
  /** The stored node whose memory the next value may take over. */
  private committed: Node | undefined;
  private wantsGradient = false;

  constructor(node: Node) {
    this.node = node;
    if (node.storage !== undefined) this.committed = node;
  }

  get shape(): S {
    return this.node.shape as S;
  }
  get dtype(): DType {
    return this.node.dtype;
  }
  get device(): Device | undefined {
    return this.node.device;
  }
  get rank(): number {
    return this.node.shape.length;
  }
  /** Number of elements. */
  get size(): number {
    return sizeOf(this.node.shape);
  }

  // ---- Values -----------------------------------------------------------------------------------------------------

  /** The elements, row-major. On the reference backend floating elements come in 64 bits. */
  data(): Promise<TypedArray> {
    forbidInTrace('reading a tensor', 'return it from the function and read it there');
    return this.read();
  }

  private async read(): Promise<TypedArray> {
    await realize([this as unknown as Tensor]);
    const { storage } = this.node;
    if (!storage) throw new Error('data: the tensor was not computed');
    return storage.read();
  }

  /** The value of a tensor with one element. */
  item(): Promise<number> {
    if (this.size !== 1)
      throw new ShapeError(`item: ${printShape(this.shape)} has ${this.size} elements`, 'use data()');
    return this.data().then(([value]) => value as number);
  }

  /** Replaces the elements by host data of the same length, at once. */
  write(data: TypedArray): void {
    if (data.length !== this.size) throw new ShapeError(`write: ${data.length} elements for ${printShape(this.shape)}`);
    if (!this.node.storage) throw new DTypeError('write: the tensor was computed, not given', 'use assign()');
    this.node.storage.write(data);
  }

  /**
   * Makes `value` this tensor's next value; its memory is reused where nothing reads the old one any more. Gradients do
   * not flow through.
   */
  assign(value: Tensor): void {
    if (!sameShape(value.shape, this.shape) || value.dtype !== this.dtype) {
      throw new ShapeError(
        `assign: ${value.dtype} ${printShape(value.shape)} to ${this.dtype} ${printShape(this.shape)}`,
        'shape and dtype stay as they are',
      );
    }
    const trace = activeTrace();
    if (trace && !trace.assigned.has(this as unknown as Tensor))
      trace.assigned.set(this as unknown as Tensor, this.node);
    if (this.committed) owners.set(this.committed, this as unknown as Tensor);
    this.node = stopGradient(value.node);
    if (this.wantsGradient) variables.set(this.node, this as unknown as Tensor);
  }

  /** The stored node that the pending value replaces, if there is one. */
  replaces(): Node | undefined {
    return this.committed !== undefined && this.committed !== this.node ? this.committed : undefined;
  }

  /** Declares `node`, which is stored, the value; the next `assign` takes over its memory. */
  commit(node: Node = this.node): void {
    if (this.committed && this.committed !== node) {
      owners.set(this.committed, this as unknown as Tensor);
      owners.set(node, this as unknown as Tensor);
    }
    this.node = node;
    this.committed = node;
    if (this.wantsGradient) variables.set(node, this as unknown as Tensor);
  }

  /** Gives the memory back now rather than when the tensor is collected. */
  dispose(): void {
    this.node.storage?.dispose('disposed');
  }

  // ---- Gradients --------------------------------------------------------------------------------------------------

  /** Whether `backward` collects a gradient here. */
  get requiresGrad(): boolean {
    return this.wantsGradient;
  }
  set requiresGrad(wanted: boolean) {
    if (wanted && !dtypes[this.dtype].floating)
      throw new DTypeError(`requiresGrad: dtype ${this.dtype} has no gradient`, 'use f32');
    this.wantsGradient = wanted;
    if (wanted) variables.set(this.node, this as unknown as Tensor);
    else variables.delete(this.node);
  }

  /**
   * Adds to `grad` of every tensor with `requiresGrad` that this one depends on the gradient of this tensor, a scalar,
   * or of Σ this · seed.
   */
  backward(seed?: Tensor): void {
    if (!seed && this.size !== 1)
      throw new ShapeError(
        `backward: ${printShape(this.shape)} is not a scalar`,
        'reduce it, or give a seed of its shape',
      );
    const order = topological([this.node], (node) => (variables.has(node) ? [] : node.inputs));
    const leaves = order.filter((node) => variables.has(node));
    const gradients = reverse(this.node, seed?.node ?? fill(this.shape, 1, this.dtype), leaves);
    leaves.forEach((leaf, i) => {
      const variable = variables.get(leaf) as Tensor;
      const gradient = gradients[i];
      if (gradient === undefined) return;
      variable.grad = new Tensor(variable.grad ? apply('add', variable.grad.node, gradient) : gradient);
      variable.gradientSources = [...variable.gradientSources, this as unknown as Tensor];
      activeTrace()?.differentiated.add(variable);
    });
  }

  /** The same values, through which no gradient flows. */
  detach(): Tensor<S> {
    return new Tensor(stopGradient(this.node));
  }
  /** A copy that later updates of this tensor do not touch, once it has been computed. */
  clone(): Tensor<S> {
    return this.add(0) as unknown as Tensor<S>;
  }
  /** The same values in another dtype. */
  to(dtype: DType): Tensor<S> {
    return new Tensor(cast(this.node, dtype));
  }

  // Methods that check shapes infer them from `this`, so that Tensor<[2, 3]> stays assignable to Tensor<Shape>.

  // ---- Elementwise ------------------------------------------------------------------------------------------------

  add<A extends Shape, B extends Shape>(
    this: Tensor<A>,
    other: (Tensor<B> & CheckBroadcast<A, B>) | number,
  ): Tensor<Broadcast<A, B>> {
    return binary('add', this.node, other);
  }
  sub<A extends Shape, B extends Shape>(
    this: Tensor<A>,
    other: (Tensor<B> & CheckBroadcast<A, B>) | number,
  ): Tensor<Broadcast<A, B>> {
    return binary('sub', this.node, other);
  }
  mul<A extends Shape, B extends Shape>(
    this: Tensor<A>,
    other: (Tensor<B> & CheckBroadcast<A, B>) | number,
  ): Tensor<Broadcast<A, B>> {
    return binary('mul', this.node, other);
  }
  div<A extends Shape, B extends Shape>(
    this: Tensor<A>,
    other: (Tensor<B> & CheckBroadcast<A, B>) | number,
  ): Tensor<Broadcast<A, B>> {
    return binary('div', this.node, other);
  }
  pow(other: TensorLike): Tensor {
    return binary('pow', this.node, other);
  }
  remainder(other: TensorLike): Tensor {
    return binary('remainder', this.node, other);
  }
  floorDivide(other: TensorLike): Tensor {
    return binary('floorDivide', this.node, other);
  }
  minimum(other: TensorLike): Tensor {
    return binary('minimum', this.node, other);
  }
  maximum(other: TensorLike): Tensor {
    return binary('maximum', this.node, other);
  }
  lt(other: TensorLike): Tensor {
    return binary('lt', this.node, other);
  }
  le(other: TensorLike): Tensor {
    return binary('le', this.node, other);
  }
  gt(other: TensorLike): Tensor {
    return binary('gt', this.node, other);
  }
  ge(other: TensorLike): Tensor {
    return binary('ge', this.node, other);
  }
  eq(other: TensorLike): Tensor {
    return binary('eq', this.node, other);
  }
  ne(other: TensorLike): Tensor {
    return binary('ne', this.node, other);
  }
  logicalAnd(other: Tensor): Tensor {
    return binary('logicalAnd', this.node, other);
  }
  logicalOr(other: Tensor): Tensor {
    return binary('logicalOr', this.node, other);
  }
  logicalXor(other: Tensor): Tensor {
    return binary('logicalXor', this.node, other);
  }
  bitwiseAnd(other: TensorLike): Tensor {
    return binary('bitwiseAnd', this.node, other);
  }
  bitwiseOr(other: TensorLike): Tensor {
    return binary('bitwiseOr', this.node, other);
  }
  bitwiseXor(other: TensorLike): Tensor {
    return binary('bitwiseXor', this.node, other);
  }
  shiftLeft(other: TensorLike): Tensor {
    return binary('shiftLeft', this.node, other);
  }
  shiftRight(other: TensorLike): Tensor {
    return binary('shiftRight', this.node, other);
  }
  logicalNot(): Tensor<S> {
    return unary(this.node, 'logicalNot');
  }
  bitwiseNot(): Tensor<S> {
    return unary(this.node, 'bitwiseNot');
  }
  neg(): Tensor<S> {
    return unary(this.node, 'neg');
  }
  abs(): Tensor<S> {
    return unary(this.node, 'abs');
  }
  sign(): Tensor<S> {
    return unary(this.node, 'sign');
  }
  floor(): Tensor<S> {
    return unary(this.node, 'floor');
  }
  ceil(): Tensor<S> {
    return unary(this.node, 'ceil');
  }
  round(): Tensor<S> {
    return unary(this.node, 'round');
  }
  trunc(): Tensor<S> {
    return unary(this.node, 'trunc');
  }
  exp(): Tensor<S> {
    return unary(this.node, 'exp');
  }
  log(): Tensor<S> {
    return unary(this.node, 'log');
  }
  log1p(): Tensor<S> {
    return unary(this.node, 'log1p');
  }
  sqrt(): Tensor<S> {
    return unary(this.node, 'sqrt');
  }
  rsqrt(): Tensor<S> {
    return unary(this.node, 'rsqrt');
  }
  reciprocal(): Tensor<S> {
    return unary(this.node, 'reciprocal');
  }
  square(): Tensor<S> {
    return unary(this.node, 'square');
  }
  sin(): Tensor<S> {
    return unary(this.node, 'sin');
  }
  cos(): Tensor<S> {
    return unary(this.node, 'cos');
  }
  tan(): Tensor<S> {
    return unary(this.node, 'tan');
  }
  atan(): Tensor<S> {
    return unary(this.node, 'atan');
  }
  tanh(): Tensor<S> {
    return unary(this.node, 'tanh');
  }
  erf(): Tensor<S> {
    return unary(this.node, 'erf');
  }
  sigmoid(): Tensor<S> {
    return unary(this.node, 'sigmoid');
  }
  logSigmoid(): Tensor<S> {
    return unary(this.node, 'logSigmoid');
  }
  softplus(): Tensor<S> {
    return unary(this.node, 'softplus');
  }
  relu(): Tensor<S> {
    return unary(this.node, 'relu');
  }
  silu(): Tensor<S> {
    return unary(this.node, 'silu');
  }
  quickGelu(): Tensor<S> {
    return unary(this.node, 'quickGelu');
  }
  isnan(): Tensor<S> {
    return unary(this.node, 'isnan');
  }
  isfinite(): Tensor<S> {
    return unary(this.node, 'isfinite');
  }
  /** x · Φ(x), exactly or by the tanh approximation. */
  gelu(approximate: 'none' | 'tanh' = 'none'): Tensor<S> {
    return unary(this.node, approximate === 'tanh' ? 'geluTanh' : 'gelu');
  }
  /** Values below `min` become `min`, above `max` become `max`. */
  clamp(min?: number, max?: number): Tensor<S> {
    let node = this.node;
    // Not maximum and minimum, which would halve the gradient at the bounds; PyTorch's clamp passes it.
    if (min !== undefined) node = cut('lt', node, min);
    if (max !== undefined) node = cut('gt', node, max);
    return new Tensor(node);
  }
  /** `value` where `mask` is true. */
  maskedFill(mask: Tensor, value: number): Tensor {
    return new Tensor(where(mask.node, constantLike(this.node, value), this.node));
  }

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

const unary = <S extends Shape>(x: Node, name: ElementwiseName): Tensor<S> => new Tensor(apply(name, x));
const binary = <S extends Shape>(name: ElementwiseName, x: Node, other: { readonly node: Node } | number): Tensor<S> =>
  new Tensor(apply(name, x, operand(x, other)));

/** `bound` where x is beyond it. */
function cut(beyond: 'lt' | 'gt', x: Node, bound: number): Node {
  const limit = constantLike(x, bound);
  return where(apply(beyond, x, limit), limit, x);
}

export function operand(like: Node, value: { readonly node: Node } | number): Node {
  return typeof value === 'number' ? constantLike(like, value) : value.node;
}

/** Computes tensors together, so that they share their work; pending `assign`s take over the old memory. */
export function realize(tensors: readonly Tensor[]): Promise<void> {
  forbidInTrace('computing a tensor', 'return it from the function');
  return computeTogether(tensors);
}

async function computeTogether(tensors: readonly Tensor[]): Promise<void> {
  const pending = [...new Set(tensors)].filter((tensor) => tensor.node.storage === undefined);
  const donations = new Map<Node, Node>();
  for (const tensor of pending) {
    const old = tensor.replaces();
    if (old?.storage && !old.storage.disposed) donations.set(tensor.node, old);
  }
  await realizeNodes(
    pending.map(({ node }) => node),
    donations,
  );
  for (const tensor of pending) tensor.commit();
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
