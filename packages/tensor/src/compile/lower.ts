/** Lowering: a graph becomes a list of kernels, one for each node that fusion gives a buffer. */
import { dtypes } from '../dtype.ts';
import { accumulator, axis, cast, constant, type Expr, load, mul } from '../expr/expr.ts';
import { type Node, topological } from '../graph.ts';
import { precisionOf } from '../ops/contract.ts';
import type { ScatterAttributes } from '../ops/index.ts';
import { type MapAttributes, mapOp } from '../ops/map.ts';
import { type ReduceAttributes, reduceOp } from '../ops/reduce.ts';
import { flatten, unflatten } from '../ops/view.ts';
import { sizeOf, stridesOf } from '../shape.ts';
import { type Assembly, assembleOp } from './assemble.ts';
import { collapse, divisions } from './collapse.ts';
import { type Fusion, unshaped } from './fuse.ts';
import { beforeRounding, rounded } from './halves.ts';
import type { BufferUse, Kernel, LoopKernel, ScatterKernel } from './kernel.ts';
import { attentionKernel } from './lower-attention.ts';
import { isComposite, type Resolution } from './resolution.ts';

/** Kernels whose buffers are still the nodes that they hold: `nodes[buffer]`. */
export interface Lowered {
  readonly kernels: readonly (Kernel | Assembly)[];
  readonly nodes: readonly Node[];
  /** For each buffer, how many waits lie behind what is in it: kernels on both sides of a wait stay apart. */
  readonly stages: readonly number[];
}

/** The kernels of a fused graph, in an order in which every buffer is written before it is read. */
export function lower({ roots, stored }: Fusion, seen: Resolution): Lowered {
  const numbers = new Map<Node, number>();
  const nodes: Node[] = [];
  const bufferOf = (node: Node): number => {
    let number = numbers.get(node);
    if (number === undefined) {
      number = nodes.length;
      numbers.set(node, number);
      nodes.push(node);
    }
    return number;
  };
  const kernels: (Kernel | Assembly)[] = [];
  for (const root of roots) {
    if (sizeOf(root.shape) === 0) continue;
    kernels.push(kernelOf(root, { stored, bufferOf, seen }));
  }
  const stages = stagesOf(roots, seen);
  return { kernels, nodes, stages: nodes.map((node) => stages.get(node) ?? 0) };
}

/** How many waits lie behind each node, on the path with the most of them. */
function stagesOf(roots: readonly Node[], { operandsOf }: Resolution): ReadonlyMap<Node, number> {
  const stages = new Map<Node, number>();
  for (const node of topological(roots, operandsOf)) {
    const behind = operandsOf(node).map((operand) => stages.get(operand) as number);
    stages.set(node, Math.max(0, ...behind) + (node.op.waits ? 1 : 0));
  }
  return stages;
}

/** What lowering one root needs of the whole graph. */
export interface Surroundings {
  readonly stored: ReadonlySet<Node>;
  readonly bufferOf: (node: Node) => number;
  readonly seen: Resolution;
}

function kernelOf(root: Node, around: Surroundings): Kernel | Assembly {
  if (root.op === assembleOp) return assembly(root, around);
  if (root.op.kind === 'scatter') return scatterKernel(root, around);
  return isComposite(root) ? attentionKernel(root, around) : loopKernel(root, around);
}

interface Fold {
  op: 'sum' | 'prod' | 'max' | 'min';
  extent: number[];
  body: Expr;
  factors?: readonly [Expr, Expr];
}

/** The kernel of `root`, over the one of its possible iteration spaces whose indices need the fewest divisions. */
function loopKernel(root: Node, around: Surroundings): LoopKernel {
  // A matrix product is computed over its own rows and columns, also where the root shows it in another shape.
  const product = contractionBelow(root, root, around);
  if (product) return kernelOver(product.shape, root, around);
  let best: LoopKernel | undefined;
  for (const shape of spaces(root, around)) {
    const kernel = kernelOver(shape, root, around);
    if (best === undefined || divisions(kernel) < divisions(best)) best = kernel;
    if (divisions(best) === 0) break;
  }
  return best as LoopKernel;
}

/** Shapes over which `root` can be computed in row-major order: its own, and those that views below it show otherwise. */
function spaces(root: Node, { stored, seen }: Surroundings): readonly (readonly number[])[] {
  const found = new Map([[root.shape.join(), root.shape]]);
  const visit = (node: Node): void => {
    if ((node !== root && stored.has(node)) || !(node.op.rowMajor || node.op.sameIndex)) return;
    for (const operand of seen.readBy(node)) {
      found.set(operand.shape.join(), operand.shape);
      visit(operand);
    }
  };
  visit(root);
  return [...found.values()];
}

function kernelOver(shape: readonly number[], root: Node, { stored, bufferOf, seen }: Surroundings): LoopKernel {
  const inputs: BufferUse[] = [];
  const slots = new Map<Node, number>();
  const names: string[] = [];
  const rank = shape.length;
  let fold: Fold | undefined;

  const slotOf = (node: Node): number => {
    let slot = slots.get(node);
    if (slot === undefined) {
      slot = inputs.length;
      slots.set(node, slot);
      inputs.push({ buffer: bufferOf(node), dtype: node.dtype });
    }
    return slot;
  };

  const isStoredHalf = ({ value }: Expr): boolean => inputs[value]?.dtype === 'f16';
  const memo = new Map<string, Expr>();
  const visit = (node: Node, index: readonly Expr[]): Expr => {
    if (node !== root && stored.has(node)) {
      if (sizeOf(node.shape) === 0) return constant(0, dtypes[node.dtype].scalar);
      return load(slotOf(node), flatten(index, node.shape), dtypes[node.dtype].scalar);
    }
    const key = `${node.id} ${index.map((e) => e.id).join(' ')}`;
    const known = memo.get(key);
    if (known) return known;
    const read = (position: number, at: readonly Expr[]): Expr =>
      visit(seen.resolve(node.inputs[position] as Node), at);
    let value: Expr;
    if (node.op === reduceOp) value = reduction(node, index, read);
    else if (node.op.kind === 'contract') value = contraction(node, index, read);
    else if (node.op.at) value = node.op.at(node, index, read);
    else throw new Error(`lower: ${node.op.name} has no elements`);
    if (node.dtype === 'f16') value = rounded(value, isStoredHalf);
    names.push(node.op === mapOp ? (node.attributes as MapAttributes).name : node.op.name);
    memo.set(key, value);
    return value;
  };

  const reduction = (node: Node, index: readonly Expr[], read: (k: number, at: readonly Expr[]) => Expr): Expr => {
    const { op, axes } = node.attributes as ReduceAttributes;
    const shape = (node.inputs[0] as Node).shape;
    const extent = axes.map((a) => shape[a] as number);
    const inner = index.map((e, i) => {
      const position = axes.indexOf(i);
      return position < 0 ? e : axis(rank + position, extent[position] as number);
    });
    fold = { op, extent, body: read(0, inner) };
    return accumulator(dtypes[node.dtype].scalar);
  };

  const contraction = (node: Node, index: readonly Expr[], read: (k: number, at: readonly Expr[]) => Expr): Expr => {
    const inner = (node.inputs[0] as Node).shape[node.shape.length - 1] as number;
    const { scalar } = dtypes[node.dtype];
    if (inner === 0) return constant(0, scalar);
    const k = axis(rank, inner);
    const taken = (factor: Expr): Expr => (precisionOf(node) === 'half' ? rounded(factor, isStoredHalf) : factor);
    const a = taken(read(0, [...index.slice(0, -1), k]));
    const b = taken(read(1, [...index.slice(0, -2), k, index[index.length - 1] as Expr]));
    // The template takes rows and columns from the last two axes, which holds as views never come between.
    const ownIndex = rank >= 2 && shape === node.shape;
    fold = { op: 'sum', extent: [inner], body: mul(a, b) };
    if (ownIndex && scalar === 'f32') fold.factors = [a, b];
    return accumulator(scalar);
  };

  const point = shape.map((extent, i) => axis(i, extent));
  const index = shape === root.shape ? point : unflatten(flatten(point, shape), root.shape);
  const value = cast(visit(root, index), dtypes[root.dtype].scalar);
  const result = root.dtype === 'f16' ? beforeRounding(value) : value;
  const outputs = [{ buffer: bufferOf(root), dtype: root.dtype, value: result }];
  const name = [...new Set(names)].join('+');
  return collapse({
    kind: 'loop',
    name,
    shape,
    inputs,
    ...(fold ? { reduce: fold as Fold } : {}),
    outputs,
  });
}

/** The contraction that `node` computes in place, if there is one. */
function contractionBelow(node: Node, root: Node, around: Surroundings): Node | undefined {
  if (node !== root && around.stored.has(node)) return undefined;
  if (node.op.kind === 'contract') return node;
  if (node.op.kind !== 'pointwise') return undefined;
  for (const operand of around.seen.readBy(node)) {
    const found = contractionBelow(operand, root, around);
    if (found) return found;
  }
  return undefined;
}

function assembly(root: Node, { stored, bufferOf, seen }: Surroundings): Assembly {
  const buffers = seen.operandsOf(root).map((operand) => {
    let below = operand;
    while (!stored.has(below)) below = seen.resolve(below.inputs[0] as Node);
    return below;
  });
  const offsets = root.attributes as readonly number[];
  return {
    kind: 'assemble',
    name: root.op.name,
    inputs: buffers.map((node) => ({ buffer: bufferOf(node), dtype: node.dtype })),
    outputs: [{ buffer: bufferOf(root), dtype: root.dtype }],
    parts: buffers.map(({ shape }, i) => ({ offset: offsets[i] as number, length: sizeOf(shape) })),
  };
}

function scatterKernel(root: Node, { bufferOf, seen }: Surroundings): ScatterKernel {
  const { outer, count, inner, size, aligned } = root.attributes as ScatterAttributes;
  const [source, index] = root.inputs.map((input) => unshaped(seen.resolve(input), seen)) as [Node, Node];
  const strides = stridesOf([outer, count, inner]) as [number, number, number];
  return {
    kind: 'scatter',
    name: root.op.name,
    outer,
    count,
    inner,
    size,
    indexStrides: aligned
      ? { outer: strides[0], count: strides[1], inner: strides[2] }
      : { outer: 0, count: 1, inner: 0 },
    inputs: [
      { buffer: bufferOf(source), dtype: source.dtype },
      { buffer: bufferOf(index), dtype: index.dtype },
    ],
    outputs: [{ buffer: bufferOf(root), dtype: root.dtype }],
  };
}
