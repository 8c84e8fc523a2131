/**
 * Memory: which buffers share a slot. Liveness over the straight line of kernels decides; a slot is a whole buffer,
 * since writable parts of one buffer may not be bound beside readable ones on every device.
 */
import { dtypes } from '../dtype.ts';
import { type Expr, walk } from '../expr/expr.ts';
import type { Node } from '../graph.ts';
import { sizeOf } from '../shape.ts';
import { pointIndex } from './collapse.ts';
import type { Kernel, Program } from './kernel.ts';

export interface Plan {
  readonly program: Program;
  /** For each binding, the node whose elements it holds. */
  readonly bindings: readonly Node[];
  /** Results that are written over a donated input: binding of the result to binding of the input. */
  readonly inPlace: ReadonlyMap<Node, Node>;
}

export const bytesOf = (node: Node): number =>
  Math.max(4, Math.ceil((sizeOf(node.shape) * dtypes[node.dtype].bytes) / 4) * 4);

/**
 * @param leaves stored nodes that the kernels read, @param outputs nodes that the caller keeps,
 * @param donations results whose old value the caller gives up: a result may be written over it.
 */
export function plan(
  { kernels: unordered, nodes }: { readonly kernels: readonly Kernel[]; readonly nodes: readonly Node[] },
  leaves: readonly Node[],
  outputs: readonly Node[],
  donations: ReadonlyMap<Node, Node>,
): Plan {
  const kernels = updatesLast(unordered, nodes, new Set(donations.keys()));
  const inPlace = new Map<Node, Node>();
  for (const [result, old] of donations) {
    if (canOverwrite(kernels, nodes, result, old)) inPlace.set(result, old);
  }
  const bindings = [...new Set([...leaves, ...outputs.filter((output) => !inPlace.has(output))])];
  const position = new Map(bindings.map((node, i) => [node, i] as const));
  const slots: { bytes: number; freeAfter: number }[] = [];
  const lastUse = lastUses(kernels);
  const numbers = new Map<number, number>();
  nodes.forEach((node, buffer) => {
    const bound = position.get(inPlace.get(node) ?? node);
    if (bound !== undefined) numbers.set(buffer, bound);
  });
  kernels.forEach((kernel, step) => {
    for (const { buffer } of kernel.outputs) {
      if (numbers.has(buffer)) continue;
      const bytes = bytesOf(nodes[buffer] as Node);
      numbers.set(buffer, bindings.length + takeSlot(slots, bytes, step, lastUse.get(buffer) ?? step));
    }
  });
  const number = (buffer: number): number => numbers.get(buffer) as number;
  const buffers = [...bindings.map((node) => ({ bytes: bytesOf(node) })), ...slots.map(({ bytes }) => ({ bytes }))];
  const program: Program = {
    buffers,
    bindings: bindings.length,
    kernels: kernels.map((kernel) => renumber(kernel, number)),
  };
  return { program, bindings, inPlace };
}

/** The kernel over other buffer numbers. */
function renumber(kernel: Kernel, number: (buffer: number) => number): Kernel {
  const move = <T extends { readonly buffer: number }>(use: T): T => ({ ...use, buffer: number(use.buffer) });
  if (kernel.kind === 'loop') return { ...kernel, inputs: kernel.inputs.map(move), outputs: kernel.outputs.map(move) };
  if (kernel.kind === 'attention')
    return { ...kernel, inputs: kernel.inputs.map(move), outputs: [move(kernel.outputs[0])] };
  if (kernel.kind === 'rows') return { ...kernel, inputs: kernel.inputs.map(move), outputs: kernel.outputs.map(move) };
  const [source, indices] = kernel.inputs;
  return { ...kernel, inputs: [move(source), move(indices)], outputs: [move(kernel.outputs[0])] };
}

/** The best-fitting slot that is free at `step`, at most twice as large as asked, or a fresh one. */
function takeSlot(
  slots: { bytes: number; freeAfter: number }[],
  bytes: number,
  step: number,
  freeAfter: number,
): number {
  let best = -1;
  slots.forEach((slot, i) => {
    if (slot.freeAfter >= step || slot.bytes < bytes || slot.bytes > 2 * bytes + 1024) return;
    if (best < 0 || slot.bytes < (slots[best] as { bytes: number }).bytes) best = i;
  });
  const taken = slots[best];
  if (taken) {
    taken.freeAfter = freeAfter;
    return best;
  }
  slots.push({ bytes, freeAfter });
  return slots.length - 1;
}

/** For each buffer, the last kernel that touches it. */
function lastUses(kernels: readonly Kernel[]): Map<number, number> {
  const last = new Map<number, number>();
  kernels.forEach((kernel, step) => {
    for (const { buffer } of [...kernel.inputs, ...kernel.outputs]) last.set(buffer, step);
  });
  return last;
}

/** Kernels that write over old values, and those that depend on them, moved behind all others. */
function updatesLast(kernels: readonly Kernel[], nodes: readonly Node[], updated: ReadonlySet<Node>): Kernel[] {
  const late = new Set<number>();
  const early: Kernel[] = [];
  const moved: Kernel[] = [];
  for (const kernel of kernels) {
    const isLate =
      kernel.outputs.some(({ buffer }) => updated.has(nodes[buffer] as Node)) ||
      kernel.inputs.some(({ buffer }) => late.has(buffer));
    if (isLate) for (const { buffer } of kernel.outputs) late.add(buffer);
    (isLate ? moved : early).push(kernel);
  }
  return [...early, ...moved];
}

/** Whether nothing reads the old value after it is overwritten, and the overwriting kernel reads it point by point. */
function canOverwrite(kernels: readonly Kernel[], nodes: readonly Node[], result: Node, old: Node): boolean {
  const writer = kernels.findIndex((kernel) => kernel.outputs.some(({ buffer }) => nodes[buffer] === result));
  const kernel = kernels[writer];
  if (kernel === undefined || bytesOf(result) !== bytesOf(old)) return false;
  for (const later of kernels.slice(writer + 1)) {
    if (later.inputs.some(({ buffer }) => nodes[buffer] === old)) return false;
  }
  const slot = kernel.inputs.findIndex(({ buffer }) => nodes[buffer] === old);
  if (slot < 0) return true;
  if (kernel.kind !== 'loop' || kernel.reduce || kernel.outputs.some(({ part }) => part)) return false;
  const point = pointIndex(kernel.shape);
  let pointwise = true;
  const check = (e: Expr): void => {
    if (e.op === 'load' && e.value === slot && e.args[0] !== point) pointwise = false;
  };
  for (const { value } of kernel.outputs) walk(value, check);
  return pointwise;
}
