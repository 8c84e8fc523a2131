/** The graph: every operation appends a node, and nothing runs until a value is asked for. */
import type { Template } from './backends/backend.ts';
import type { DType } from './dtype.ts';
import { DeviceError } from './errors.ts';
import type { Expr } from './expr/expr.ts';
import type { Device } from './runtime/device.ts';
import type { Storage } from './runtime/storage.ts';
import { checkShape, type Shape } from './shape.ts';

/** Reads operand `position` at an index (one i32 term for each of the operand's axes). */
export type Read = (position: number, index: readonly Expr[]) => Expr;

/**
 * A row of the op table. What a row says about its operation is said nowhere else.
 *
 * - `leaf`: has no operands; its elements are in storage.
 * - `pointwise`: an output element is a term over operand elements (`at`). Elementwise operations (`sameIndex`), views,
 *   gathers and constants are all of this kind.
 * - `reduce`: folds axes away, keeping them with size 1.
 * - `contract`: batched matrix product.
 * - `scatter`: the adjoint of a gather.
 * - `assemble`: operands end to end, each written there by its own kernel. The compiler makes it of a concatenation.
 * - `composite`: `define` gives its meaning in other operations.
 */
export interface Op {
  readonly name: string;
  readonly kind: 'leaf' | 'pointwise' | 'reduce' | 'contract' | 'scatter' | 'assemble' | 'composite';
  /** The element at `index` (terms for each output axis). */
  at?(node: Node, index: readonly Expr[], read: Read): Expr;
  /** Every operand is read once, at the output's own index. */
  readonly sameIndex?: boolean;
  /** The operand's elements in the same row-major order, under another shape. */
  readonly rowMajor?: boolean;
  /** The most often that one operand element is read: 'once' for injective views, 'many' for broadcasts and gathers. */
  readonly reads?: 'once' | 'many';
  /** Only the first operand is read; the others are waited for: they are computed before. */
  readonly waits?: true;
  /** The kernel that may compute a composite as a whole, on backends that have it, and the nodes that it takes. */
  readonly template?: { readonly kind: Template; readonly takes: (node: Node) => boolean };
  /** The meaning of a composite, in other operations. */
  define?(node: Node): Node;
  /**
   * Gradients of the operands from the gradient of the output; undefined where there is none. A composite without it
   * is differentiated through its definition.
   */
  vjp?(node: Node, gradient: Node): readonly (Node | undefined)[];
}

let nextId = 1;

/** The id of the node made last: ids rise. */
export const newestNode = (): number => nextId - 1;

export class Node {
  readonly id: number;
  readonly op: Op;
  inputs: readonly Node[];
  readonly attributes: unknown;
  readonly shape: Shape;
  readonly dtype: DType;
  /** Where it is computed; undefined for constants, which are at home everywhere. */
  readonly device: Device | undefined;
  /** The elements, for leaves and for nodes that have been computed. */
  storage: Storage | undefined;
  private definition: Node | undefined;

  constructor(op: Op, inputs: readonly Node[], attributes: unknown, shape: Shape, dtype: DType, device?: Device) {
    checkShape(op.name, shape);
    this.id = nextId++;
    this.op = op;
    this.inputs = inputs;
    this.attributes = attributes;
    this.shape = shape;
    this.dtype = dtype;
    this.device = device ?? commonDevice(op, inputs);
  }

  /** Gives the node its elements. Operands that no gradient flows to are forgotten, so that no history piles up. */
  fulfil(storage: Storage): void {
    this.storage = storage;
    if (!this.op.vjp && this.op.kind !== 'composite') this.inputs = [];
  }

  /** A composite's meaning, built once. */
  define(): Node {
    if (this.definition === undefined) {
      if (!this.op.define) throw new Error(`${this.op.name} has no definition`);
      this.definition = this.op.define(this);
    }
    return this.definition;
  }
}

function commonDevice(op: Op, inputs: readonly Node[]): Device | undefined {
  let device: Device | undefined;
  for (const input of inputs) {
    if (input.device === undefined || input.device === device) continue;
    if (device !== undefined) {
      throw new DeviceError(
        `${op.name}: operands are on different devices, ${device.name} and ${input.device.name}`,
        'move one with to(device)',
      );
    }
    device = input.device;
  }
  return device;
}

/**
 * All nodes that `roots` depend on, operands first, each once. `operands` says which edges to follow.
 * Iterative, since graphs are deeper than the call stack.
 */
export function topological(roots: readonly Node[], operands: (node: Node) => readonly Node[]): Node[] {
  const order: Node[] = [];
  const done = new Set<Node>();
  const stack: { node: Node; next: number; operands: readonly Node[] }[] = [];
  const enter = (node: Node): void => {
    if (done.has(node)) return;
    done.add(node);
    stack.push({ node, next: 0, operands: operands(node) });
  };
  for (const root of roots) {
    enter(root);
    for (let top = stack[stack.length - 1]; top !== undefined; top = stack[stack.length - 1]) {
      const child = top.operands[top.next++];
      if (child !== undefined) enter(child);
      else {
        order.push(top.node);
        stack.pop();
      }
    }
  }
  return order;
}
