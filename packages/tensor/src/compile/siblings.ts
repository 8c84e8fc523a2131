/**
 * Siblings: elementwise kernels over the same points, of which one reads what the other writes at its own point, or
 * which read the same elements there, become one kernel of several outputs that passes over memory once.
 */
import { type Expr, half, load, substitute, walk } from '../expr/expr.ts';
import { linear } from '../expr/simplify.ts';
import type { Node } from '../graph.ts';
import { unflatten } from '../ops/view.ts';
import { sizeOf } from '../shape.ts';
import type { Assembly } from './assemble.ts';
import { collapse, divisions, pointIndex } from './collapse.ts';
import { Groups } from './groups.ts';
import type { BufferUse, Kernel, LoopKernel, Output } from './kernel.ts';
import type { Lowered } from './lower.ts';

/** Kernels that merely read the same are joined when they stand at most this far apart: moved further, results live longer. */
const nearby = 8;
/** Terms larger than this together need more registers than there are. */
const mostTerms = 200;

/** Joins elementwise kernels. `kept` are nodes whose elements the caller wants, `updates` those written over old values. */
export function mergeSiblings(
  lowered: Lowered,
  kept: ReadonlySet<Node>,
  updates: ReadonlySet<Node>,
  buffersPerKernel: number,
): Lowered {
  const { kernels, nodes, stages } = lowered;
  const groups = new Groups(kernels);
  const wanted = new Set(nodes.flatMap((node, buffer) => (kept.has(node) ? [buffer] : [])));
  const isUpdate = ({ buffer }: BufferUse): boolean => updates.has(nodes[buffer] as Node);
  const stageOf = (k: number): number | undefined => stages[kernels[k]?.outputs[0]?.buffer ?? -1];
  /** What each group has become so far. */
  const merged = kernels.map((kernel) => (isElementwise(kernel) ? kernel : undefined));

  const tryJoin = (a: number, b: number, apart: boolean): void => {
    const [first, second] = [merged[a], merged[b]];
    if (
      groups.of(a) === groups.of(b) ||
      stageOf(a) !== stageOf(b) ||
      !first ||
      !second ||
      sizeOf(first.shape) !== sizeOf(second.shape)
    )
      return;
    const members = [...groups.of(a), ...groups.of(b)].sort((x, y) => x - y);
    const { inputs, outputs } = groups.boundary(members, wanted);
    if (inputs.length + outputs.length > buffersPerKernel) return;
    // An update waits for all who read the old value: nobody may wait for the kernel that makes it.
    if (outputs.some(isUpdate) && !outputs.every(isUpdate)) return;
    if (apart && outputs.some(isUpdate)) return;
    const joined = join(
      members.map((k) => kernels[k] as LoopKernel),
      inputs,
      outputs,
      [first.shape, second.shape],
    );
    if (!joined || !groups.canJoin(a, b)) return;
    groups.join(a, b);
    for (const member of members) merged[member] = joined;
  };

  kernels.forEach((_, k) => {
    if (!merged[k]) return;
    for (const source of groups.sources(k)) tryJoin(k, source, false);
  });
  kernels.forEach((kernel, k) => {
    if (!merged[k]) return;
    const reads = new Set(kernel.inputs.flatMap(({ buffer }) => groups.readers(buffer)));
    for (const other of [...reads].sort((a, b) => b - a)) {
      if (other >= k || k - other > nearby) continue;
      // `k` moves up to `other`: all that it reads must be there by then.
      const ready = groups
        .of(k)
        .every((member) =>
          groups.sources(member).every((source) => groups.of(source) === groups.of(k) || source < other),
        );
      if (ready && sharesElements(merged[k], merged[other])) tryJoin(k, other, true);
    }
  });
  return {
    nodes,
    stages,
    kernels: groups.inOrder().map(([k]) => merged[k as number] ?? (kernels[k as number] as Kernel | Assembly)),
  };
}

const isElementwise = (kernel: Kernel | Assembly): kernel is LoopKernel => kernel.kind === 'loop' && !kernel.reduce;

/** Whether two kernels load elements of the same buffer, one for every point. */
function sharesElements(a: LoopKernel | undefined, b: LoopKernel | undefined): boolean {
  if (!a || !b) return false;
  const own = ownLoads(a);
  return [...ownLoads(b)].some((buffer) => own.has(buffer));
}

function ownLoads({ shape, inputs, outputs }: LoopKernel): Set<number> {
  const point = pointIndex(shape);
  const found = new Set<number>();
  const seen = new Set<Expr>();
  for (const { value } of outputs) {
    walk(
      value,
      (e) => e.op === 'load' && e.args[0] === point && found.add((inputs[e.value] as BufferUse).buffer),
      seen,
    );
  }
  return found;
}

/** One kernel over whichever of `shapes` needs no more index divisions than the parts; undefined where there is none. */
function join(
  parts: readonly LoopKernel[],
  inputs: readonly BufferUse[],
  wanted: readonly BufferUse[],
  shapes: readonly (readonly number[])[],
): LoopKernel | undefined {
  const most = parts.reduce((sum, part) => sum + divisions(part), 0);
  for (const shape of shapes) {
    const kernel = over(shape, parts, inputs, new Set(wanted.map(({ buffer }) => buffer)));
    if (kernel && divisions(kernel) <= most) return kernel;
  }
  return undefined;
}

/** One kernel over `shape`; undefined where a part reads another one elsewhere than at its own point. */
function over(
  shape: readonly number[],
  parts: readonly LoopKernel[],
  inputs: readonly BufferUse[],
  wanted: ReadonlySet<number>,
): LoopKernel | undefined {
  const slots = new Map(inputs.map(({ buffer }, slot) => [buffer, slot] as const));
  const point = pointIndex(shape);
  const known = new Map<number, { readonly value: Expr; readonly dtype: BufferUse['dtype'] }>();
  const outputs: Output[] = [];
  let legal = true;
  for (const part of parts) {
    const axes = unflatten(point, part.shape);
    const swap = (e: Expr): Expr =>
      substitute(e, (leaf) => {
        if (leaf.op === 'axis') return axes[leaf.value];
        if (leaf.op !== 'load') return undefined;
        const { buffer, dtype } = part.inputs[leaf.value] as BufferUse;
        const index = swap(leaf.args[0] as Expr);
        const inside = known.get(buffer);
        if (!inside) return load(slots.get(buffer) as number, index, leaf.type);
        // A narrow type rounds what goes through its buffer.
        legal &&= index === point && dtype !== 'u8';
        return dtype === 'f16' ? half(inside.value) : inside.value;
      });
    for (const { buffer, dtype, value } of part.outputs) {
      const result = swap(value);
      known.set(buffer, { value: result, dtype });
      if (wanted.has(buffer)) outputs.push({ buffer, dtype, value: result });
    }
  }
  if (!legal) return undefined;
  const seen = new Set<Expr>();
  const last = shape.length - 1;
  for (const { value } of outputs) walk(value, (e) => (legal &&= e.op !== 'load' || isContiguous(e, last)), seen);
  if (!legal || seen.size > mostTerms) return undefined;
  const name = [...new Set(parts.flatMap((part) => part.name.split('+')))].join('+');
  return collapse({ kind: 'loop', name, shape, inputs, outputs });
}

/** Whether a load's elements along axis `last` are neighbours, or one and the same. */
function isContiguous({ args }: Expr, last: number): boolean {
  for (const [part, factor] of linear(args[0] as Expr).terms) {
    if (part.op === 'axis' && part.value === last && factor !== 1) return false;
  }
  return true;
}
