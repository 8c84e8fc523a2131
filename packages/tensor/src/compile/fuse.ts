/**
 * Fusion: which nodes get a buffer of their own. Everything else is computed inside the kernels that use it. One
 * greedy pass over the graph, operands first; it looks at dataflow and cost alone, never at names or at the order in
 * which the user built the graph.
 */
import { dtypes } from '../dtype.ts';
import { cost } from '../expr/cost.ts';
import { axis, constant, type Expr, half } from '../expr/expr.ts';
import { affine } from '../expr/simplify.ts';
import { type Node, topological } from '../graph.ts';
import { type MapAttributes, mapOp } from '../ops/map.ts';
import { flatten } from '../ops/view.ts';
import { sizeOf } from '../shape.ts';
import { isComposite, type Resolution } from './resolution.ts';
import { viewOf } from './view.ts';

export interface FusionLimits {
  /** Most distinct buffers that one kernel may touch, outputs included. */
  readonly buffersPerKernel: number;
  /** Most that an element of a matrix product's operand may cost where it is read from narrower elements; 0 if absent. */
  readonly loaderCost?: number;
}

export interface Fusion {
  /** Nodes that kernels are made for, operands first. */
  readonly roots: readonly Node[];
  /** Nodes that are read from a buffer: roots and stored leaves. */
  readonly stored: ReadonlySet<Node>;
}

/** Recomputing up to this much is cheaper than a store and two loads. */
const cheapTwice = 12;
/** The same where a broadcast would recompute it many times. */
const cheapOften = 2;
/** What it costs to choose among operands by index, and to follow an index that is data. */
const choosing = 13;
const following = 16;
/** Terms beyond this size are cut, so that kernels stay compilable. */
const longest = 256;

/** What a node costs where it is inlined. */
interface Inlined {
  readonly cost: number;
  /** Buffers that computing it reads. */
  readonly buffers: ReadonlySet<Node>;
  /** A reduction or contraction that it carries, evaluated at the node's own index. */
  readonly reduction: Node | undefined;
}

export function fuse(outputs: readonly Node[], limits: FusionLimits, seen: Resolution): Fusion {
  const { resolve, operandsOf, readBy } = seen;
  const targets = outputs.map(resolve);
  const order = topological(targets, operandsOf);
  const consumers = countConsumers(order, seen);
  const stored = new Set<Node>();
  const inlined = new Map<Node, Inlined>();
  const isTarget = new Set(targets);
  const roots = new Set<Node>();

  const own = (node: Node): Inlined => {
    const known = inlined.get(node);
    if (stored.has(node) && known) return known;
    stored.add(node);
    if (node.storage === undefined) roots.add(node);
    const result: Inlined = { cost: 0, buffers: new Set([node]), reduction: undefined };
    inlined.set(node, result);
    return result;
  };
  /** Gives `node` a buffer, or what it shows in another shape: the elements lie in order there as well. */
  const store = (node: Node): void => {
    const below = isTarget.has(node) ? node : unshaped(node, seen);
    const entry = own(below);
    for (let shown = node; shown !== below && !stored.has(shown); shown = operandsOf(shown)[0] as Node)
      inlined.set(shown, entry);
  };
  const of = (node: Node): Inlined => inlined.get(node) as Inlined;
  const mostReads = limits.buffersPerKernel - 1;

  for (const node of order) {
    if (node.storage !== undefined || node.op.kind === 'leaf' || isWhole(node)) {
      if (isWhole(node)) for (const operand of operandsOf(node)) store(operand);
      store(node);
      continue;
    }
    if (isComposite(node)) {
      // A template reads rows of neighbours by strides; anything else is laid out for it first.
      for (const operand of operandsOf(node)) if (!readsAsRows(operand, stored, seen)) store(operand);
      store(node);
      continue;
    }
    const operands = [...new Set(readBy(node))];
    for (const operand of operands) {
      // A matrix product reads its operands by strides; anything else is laid out for it first.
      const irregular = node.op.kind === 'contract' && !readsByStrides(operand, stored, seen);
      if (node.op.kind === 'contract' && widens(operand, of(operand), limits.loaderCost ?? 0)) continue;
      if (irregular || mustStore(node, operand, of(operand))) store(operand);
    }
    let reduction: Node | undefined;
    for (const operand of operands) {
      const carried = of(operand).reduction;
      if (carried === undefined || carried === reduction) continue;
      if (reduction === undefined && node.op.kind === 'pointwise') reduction = carried;
      else store(operand);
    }
    for (let buffers = union(operands.map(of)); buffers.size > mostReads; buffers = union(operands.map(of))) {
      const widest = operands.reduce((a, b) => (of(a).buffers.size >= of(b).buffers.size ? a : b));
      if (of(widest).buffers.size <= 1) break;
      store(widest);
    }
    const carries = operands.map((operand) => of(operand).reduction).find((carried) => carried !== undefined);
    const entry: Inlined = {
      cost: node.op.kind === 'pointwise' ? operands.reduce((sum, operand) => sum + of(operand).cost, ownCost(node)) : 0,
      buffers: union(operands.map(of)),
      reduction: node.op.kind === 'reduce' || node.op.kind === 'contract' ? node : carries,
    };
    inlined.set(node, entry);
    const shared = (consumers.get(node) ?? 0) > 1;
    const again =
      entry.reduction !== undefined || entry.cost > cheapTwice || (entry.cost > 0 && fullReads(node, entry) > 1);
    const tooDear = entry.cost > longest || (shared && again);
    if (isTarget.has(node) || tooDear) store(node);
  }
  return { roots: order.filter((node) => roots.has(node)), stored };
}

/** Whether `node` is computed by a kernel of its own from buffers. */
const isWhole = ({ op, storage }: Node): boolean =>
  storage === undefined && (op.kind === 'scatter' || op.kind === 'assemble');

function ownCost(node: Node): number {
  if (node.op === mapOp) {
    const value = (node.attributes as MapAttributes).expr;
    return cost(node.dtype === 'f16' ? half(value) : value);
  }
  if (node.inputs.length < 2 || node.op.waits) return 0;
  return node.op.reads === 'many' ? following : choosing;
}

/** Buffers of about the node's own size that computing it reads: more than one makes reading its stored value cheaper. */
function fullReads(node: Node, { buffers }: Inlined): number {
  let count = 0;
  for (const buffer of buffers) if (2 * sizeOf(buffer.shape) > sizeOf(node.shape)) count++;
  return count;
}

/** The node whose elements `node` shows under another shape. */
export function unshaped(node: Node, { resolve }: Resolution): Node {
  let current = node;
  while (current.op.rowMajor && current.storage === undefined) current = resolve(current.inputs[0] as Node);
  return current;
}

/** Whether every buffer behind `node` is read at an index that is affine in the node's own. */
function readsByStrides(node: Node, stored: ReadonlySet<Node>, { resolve }: Resolution): boolean {
  let regular = true;
  const rank = node.shape.length;
  const visit = (current: Node, index: readonly Expr[]): Expr => {
    if (stored.has(current) || current.storage !== undefined) {
      if (!affine(flatten(index, current.shape), rank)) regular = false;
    } else if (current.op.at) current.op.at(current, index, (k, at) => visit(resolve(current.inputs[k] as Node), at));
    return constant(0, dtypes[current.dtype].scalar);
  };
  visit(
    node,
    node.shape.map((extent, i) => axis(i, extent)),
  );
  return regular;
}

/** Whether the elements of `node` lie in one buffer, those along its last axis side by side. */
function readsAsRows(node: Node, stored: ReadonlySet<Node>, seen: Resolution): boolean {
  const view = viewOf(node, stored, seen);
  return view !== undefined && (node.shape[node.shape.length - 1] === 1 || view.strides.at(-1) === 1);
}

/** Whether storing `operand` would widen what it is computed from, for no more than `most` per element. */
function widens(operand: Node, { cost: own, buffers, reduction }: Inlined, most: number): boolean {
  if (reduction !== undefined || own > most || buffers.has(operand)) return false;
  // A broadcast takes more bytes than its source, too: only buffers of about the operand's own size count.
  const full = [...buffers].filter(({ shape }) => 2 * sizeOf(shape) > sizeOf(operand.shape));
  return full.length > 0 && full.every(({ dtype }) => 2 * dtypes[dtype].bytes <= dtypes[operand.dtype].bytes);
}

/** Whether `node` must read `operand` from a buffer rather than compute it in place. */
function mustStore(node: Node, operand: Node, entry: Inlined): boolean {
  const { kind, reads, sameIndex } = node.op;
  if (kind === 'contract') return entry.reduction !== undefined || entry.cost > cheapOften;
  if (kind === 'reduce') return entry.reduction !== undefined;
  if (reads === 'many') return entry.reduction !== undefined || entry.cost > cheapOften;
  if (entry.reduction === undefined || sameIndex) return false;
  // A view reads a reduction through another index: fine where it reads no more points than there are.
  if (entry.reduction.op.kind === 'contract') return !node.op.rowMajor;
  return node.inputs.length > 1 || sizeOf(node.shape) > sizeOf(operand.shape);
}

function union(entries: readonly Inlined[]): Set<Node> {
  const all = new Set<Node>();
  for (const { buffers } of entries) for (const buffer of buffers) all.add(buffer);
  return all;
}

function countConsumers(order: readonly Node[], { operandsOf }: Resolution): Map<Node, number> {
  const counts = new Map<Node, number>();
  for (const node of order) {
    for (const operand of new Set(operandsOf(node))) counts.set(operand, (counts.get(operand) ?? 0) + 1);
  }
  return counts;
}
