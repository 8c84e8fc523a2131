/** What every tensor has, whatever its operations: a graph node, a value that can be read and replaced, and a gradient. */
import { reverse } from './autograd/reverse.ts';
import { type DType, dtypes, type TypedArray } from './dtype.ts';
import { DTypeError, printShape, ShapeError, TensorError } from './errors.ts';
import { type Node, topological } from './graph.ts';
import { apply, cast, constantLike } from './ops/elementwise.ts';
import { fill } from './ops/generate.ts';
import { stopGradient } from './ops/map.ts';
import { concat, reshape, slice } from './ops/view.ts';
import type { Device } from './runtime/device.ts';
import { realize as realizeNodes } from './runtime/realize.ts';
import { activeTrace, forbidInTrace } from './runtime/trace.ts';
import { type Shape, sameShape, sizeOf } from './shape.ts';
import type { Tensor } from './tensor.ts';

/** Leaves whose gradients `backward` collects. */
const variables = new WeakMap<Node, Tensor>();

/** Tensors by the stored nodes that were their values: a captured function that read one reads the tensor's value of now. */
const owners = new WeakMap<Node, Tensor>();

export const ownerOf = (node: Node): Tensor | undefined => owners.get(node);

/** Whether `backward` collects a gradient at this node. */
export const isVariable = (node: Node): boolean => variables.has(node);

/** Where the elements of a tensor are that is kept in a larger one. */
interface Home {
  /** One axis of elements. */
  readonly flat: Tensor;
  readonly offset: number;
  readonly shape: Shape;
  /** The stored node that was the value before, to be given up as soon as the flat tensor is computed. */
  left: Node | undefined;
  /** The view of the flat tensor's node of now. */
  shown: { readonly flat: Node; readonly view: Node } | undefined;
}

const moved = 'moved into the flat storage of an optimizer';

export abstract class TensorValue<S extends Shape = Shape> {
  /** The gradient that `backward` collected, if any. */
  grad: Tensor<S> | undefined;
  /** The losses (and norms) that `grad` came from: an update computes them along, since they need the old values. */
  gradientSources: readonly Tensor[] = [];
  /** The stored node whose memory the next value may take over. */
  private committed: Node | undefined;
  private wantsGradient = false;
  private own: Node;
  private home: Home | undefined;

  constructor(node: Node) {
    this.own = node;
    if (node.storage !== undefined) this.committed = node;
  }

  /** A tensor on another node. */
  derive<T extends Shape>(node: Node): Tensor<T> {
    return new (this.constructor as new (node: Node) => Tensor<T>)(node);
  }

  /** The graph node whose value this is. */
  get node(): Node {
    return this.home ? this.view(this.home) : this.own;
  }
  get shape(): S {
    return (this.home?.shape ?? this.own.shape) as S;
  }
  get dtype(): DType {
    return this.node.dtype;
  }
  get device(): Device | undefined {
    return this.node.device;
  }
  get rank(): number {
    return this.shape.length;
  }
  /** Number of elements. */
  get size(): number {
    return sizeOf(this.shape);
  }

  // ---- Values -----------------------------------------------------------------------------------------------------

  /** The elements, row-major. On the reference backend floating elements come in 64 bits. */
  data(): Promise<TypedArray> {
    forbidInTrace('reading a tensor', 'return it from the function and read it there');
    return this.read();
  }

  private async read(): Promise<TypedArray> {
    await computeTogether([this as unknown as Tensor]);
    const { storage } = (this.home?.flat ?? this).node;
    if (!storage) throw new Error('data: the tensor was not computed');
    return storage.read(this.home?.offset, this.size);
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
    this.writePiece(data, 0);
  }

  /** Replaces as many elements as there are in `data`, from element `offset` on (at a whole word), at once. */
  writePiece(data: TypedArray, offset: number): void {
    if (offset + data.length > this.size)
      throw new ShapeError(`write: ${data.length} elements from ${offset} on for ${printShape(this.shape)}`);
    const { storage } = (this.home?.flat ?? this).node;
    if (!storage) throw new DTypeError('write: the tensor is not computed yet', 'realize() it first, or use assign()');
    storage.write(data, (this.home?.offset ?? 0) + offset);
  }

  /**
   * Makes this tensor a view of `flat` [n] for good: its elements are those from `offset` on, which the caller has laid
   * there. Every later value goes there.
   */
  moveInto(flat: Tensor, offset: number): void {
    if (this.home)
      throw new TensorError(
        'a parameter lives in the flat storage of an optimizer already',
        'use that one, or another model',
      );
    const { own, shape } = this;
    this.home = { flat, offset, shape, left: own.storage ? own : undefined, shown: undefined };
  }

  /** The tensor that holds the elements: the one that this tensor was moved into, or itself. */
  holder(): Tensor {
    return this.home?.flat ?? (this as unknown as Tensor);
  }

  /** Gives up the memory that the elements were in before they were moved. */
  leaveBehind(): void {
    if (!this.home?.left) return;
    this.home.left.storage?.dispose(moved);
    this.home.left = undefined;
  }

  private view(home: Home): Node {
    const { flat, offset, shape } = home;
    const { node } = flat;
    if (home.shown?.flat !== node) {
      const view = reshape(slice(node, [offset], [sizeOf(shape)]), shape);
      home.shown = { flat: node, view };
      if (this.wantsGradient) variables.set(view, this as unknown as Tensor);
    }
    return home.shown.view;
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
    if (this.home) {
      const { flat, offset } = this.home;
      const after = offset + this.size;
      const rest = slice(flat.node, [after], [flat.size - after]);
      flat.assign(flat.derive(concat([slice(flat.node, [0], [offset]), reshape(value.node, [-1]), rest], 0)));
      return;
    }
    const trace = activeTrace();
    if (trace && !trace.assigned.has(this as unknown as Tensor))
      trace.assigned.set(this as unknown as Tensor, this.node);
    if (this.committed) owners.set(this.committed, this as unknown as Tensor);
    this.own = stopGradient(value.node);
    if (this.wantsGradient) variables.set(this.own, this as unknown as Tensor);
  }

  /** The stored node that the pending value replaces, if there is one. */
  replaces(): Node | undefined {
    return this.committed !== undefined && this.committed !== this.own ? this.committed : undefined;
  }

  /** Declares `node`, which is stored, the value; the next `assign` takes over its memory. */
  commit(node: Node = this.own): void {
    if (this.home) throw new TensorError('commit: the tensor is a part of a flat one', 'use write() or assign()');
    if (this.committed && this.committed !== node) {
      owners.set(this.committed, this as unknown as Tensor);
      owners.set(node, this as unknown as Tensor);
    }
    this.own = node;
    this.committed = node;
    if (this.wantsGradient) variables.set(node, this as unknown as Tensor);
  }

  /** Gives the memory back now rather than when the tensor is collected. */
  dispose(): void {
    if (this.home)
      throw new TensorError('dispose: the tensor lives in the flat storage of an optimizer', 'it goes with the model');
    this.own.storage?.dispose('disposed');
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
      variable.grad = variable.derive(variable.grad ? apply('add', variable.grad.node, gradient) : gradient);
      variable.gradientSources = [...variable.gradientSources, this as unknown as Tensor];
      activeTrace()?.differentiated.add(variable);
    });
  }

  /** The same values, through which no gradient flows. */
  detach(): Tensor<S> {
    return this.derive(stopGradient(this.node));
  }
  /** A copy that later updates of this tensor do not touch, once it has been computed. */
  clone(): Tensor<S> {
    return this.derive(apply('add', this.node, constantLike(this.node, 0)));
  }
  /** The same values in another dtype. */
  to(dtype: DType): Tensor<S> {
    return this.derive(cast(this.node, dtype));
  }
}

/** Computes tensors together, so that they share their work; pending `assign`s take over the old memory. */
export function realize(tensors: readonly Tensor[]): Promise<void> {
  forbidInTrace('computing a tensor', 'return it from the function');
  return computeTogether(tensors);
}

async function computeTogether(tensors: readonly Tensor[]): Promise<void> {
  const pending = [...new Set(tensors.map((tensor) => tensor.holder()))].filter(
    (tensor) => tensor.node.storage === undefined,
  );
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
  for (const tensor of tensors) tensor.leaveBehind();
}
