/**
 * Siblings: elementwise kernels over the same points, of which one reads what the other writes at its own point, or
 * which read the same elements there, become one kernel of several outputs that passes over memory once.
 */
import { type Expr, walk } from '../expr/expr.ts';
import type { Node } from '../graph.ts';
import { sizeOf } from '../shape.ts';
import type { Assembly } from './assemble.ts';
import { pointIndex } from './collapse.ts';
import { mergingOf } from './groups.ts';
import { join } from './join.ts';
import type { BufferUse, Kernel, LoopKernel } from './kernel.ts';
import type { Lowered } from './lower.ts';

/** Kernels that merely read the same are joined when they stand at most this far apart: moved further, results live longer. */
const nearby = 8;

/** Joins elementwise kernels. `kept` are nodes whose elements the caller wants, `updates` those written over old values. */
export function mergeSiblings(
  lowered: Lowered,
  kept: ReadonlySet<Node>,
  updates: ReadonlySet<Node>,
  buffersPerKernel: number,
): Lowered {
  const { kernels, nodes, stages } = lowered;
  const { groups, wanted, isUpdate, stageOf } = mergingOf(lowered, kept, updates);
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
