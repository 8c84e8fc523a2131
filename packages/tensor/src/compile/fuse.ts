/**
 * Fusion: which nodes get a buffer of their own. Everything else is computed inside the kernels that use it. One
 * greedy pass over the graph, operands first; it looks at dataflow and cost alone, never at names or at the order in
 * which the user built the graph.
 */
import { cost } from '../expr/cost.ts';
import { type Node, topological } from '../graph.ts';
import { type MapAttributes, mapOp } from '../ops/map.ts';
import { sizeOf } from '../shape.ts';

export interface FusionLimits {
  /** Most distinct buffers that one kernel may touch, outputs included. */
  readonly buffersPerKernel: number;
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
/** Terms beyond this size are cut, so that kernels stay compilable. */
const longest = 256;

/** A composite stands for its definition; the others for themselves. */
export function resolve(node: Node): Node {
  let current = node;
  while (current.op.kind === 'composite' && current.storage === undefined) current = current.define();
  return current;
}

/** The nodes whose values `node` is computed from, composites replaced by their definitions. */
export function operandsOf(node: Node): readonly Node[] {
  return node.storage !== undefined ? [] : node.inputs.map(resolve);
}

/** What a node costs where it is inlined. */
interface Inlined {
  readonly cost: number;
  /** Buffers that computing it reads. */
  readonly buffers: ReadonlySet<Node>;
  /** A reduction or contraction that it carries, evaluated at the node's own index. */
  readonly reduction: Node | undefined;
}

export function fuse(outputs: readonly Node[], limits: FusionLimits): Fusion {
  const targets = outputs.map(resolve);
  const order = topological(targets, operandsOf);
  const consumers = countConsumers(order);
  const stored = new Set<Node>();
  const inlined = new Map<Node, Inlined>();
  const isTarget = new Set(targets);
  const roots = new Set<Node>();

  const store = (node: Node): Inlined => {
    const known = inlined.get(node);
    if (stored.has(node) && known) return known;
    // A view of a buffer gains nothing from being stored: what it views is.
    stored.add(node);
    if (node.storage === undefined) roots.add(node);
    const result: Inlined = { cost: 0, buffers: new Set([node]), reduction: undefined };
    inlined.set(node, result);
    return result;
  };
  const of = (node: Node): Inlined => inlined.get(node) as Inlined;
  const mostReads = limits.buffersPerKernel - 1;

  for (const node of order) {
    if (node.storage !== undefined || node.op.kind === 'leaf' || node.op.kind === 'scatter') {
      if (node.op.kind === 'scatter') operandsOf(node).forEach(store);
      store(node);
      continue;
    }
    const operands = [...new Set(operandsOf(node))];
    for (const operand of operands) if (mustStore(node, operand, of(operand))) store(operand);
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
    const own = node.op === mapOp ? cost((node.attributes as MapAttributes).expr) : 0;
    const carries = operands.map((operand) => of(operand).reduction).find((carried) => carried !== undefined);
    const entry: Inlined = {
      cost: node.op.kind === 'pointwise' ? operands.reduce((sum, operand) => sum + of(operand).cost, own) : 0,
      buffers: union(operands.map(of)),
      reduction: node.op.kind === 'reduce' || node.op.kind === 'contract' ? node : carries,
    };
    inlined.set(node, entry);
    const shared = (consumers.get(node) ?? 0) > 1;
    const tooDear = entry.cost > longest || (shared && (entry.reduction !== undefined || entry.cost > cheapTwice));
    if (isTarget.has(node) || tooDear) store(node);
  }
  return { roots: order.filter((node) => roots.has(node)), stored };
}

/** Whether `node` must read `operand` from a buffer rather than compute it in place. */
function mustStore(node: Node, operand: Node, entry: Inlined): boolean {
  const { kind, reads, sameIndex } = node.op;
  if (kind === 'contract') return entry.reduction !== undefined || entry.cost > cheapOften;
  if (kind === 'reduce') return entry.reduction !== undefined;
  if (reads === 'many') return entry.reduction !== undefined || entry.cost > cheapOften;
  if (entry.reduction === undefined || sameIndex) return false;
  // A view reads a reduction through another index: fine where it reads no more points than there are.
  return entry.reduction.op.kind === 'contract' || node.inputs.length > 1 || sizeOf(node.shape) > sizeOf(operand.shape);
}

function union(entries: readonly Inlined[]): Set<Node> {
  const all = new Set<Node>();
  for (const { buffers } of entries) for (const buffer of buffers) all.add(buffer);
  return all;
}

function countConsumers(order: readonly Node[]): Map<Node, number> {
  const counts = new Map<Node, number>();
  for (const node of order) {
    for (const operand of new Set(operandsOf(node))) counts.set(operand, (counts.get(operand) ?? 0) + 1);
  }
  return counts;
}
