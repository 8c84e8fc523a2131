/**
 * Epilogues: an elementwise kernel that reads a reduction's results at its own point, or computes what the reduction's
 * outputs load there, becomes part of it. Results that others want too are further outputs of the one kernel.
 */
import type { Node } from '../graph.ts';
import { sizeOf } from '../shape.ts';
import type { Assembly } from './assemble.ts';
import { mergingOf } from './groups.ts';
import { join } from './join.ts';
import type { Kernel, LoopKernel } from './kernel.ts';
import type { Lowered } from './lower.ts';

/**
 * Joins elementwise kernels with matrix products and other reductions. `kept` are nodes whose elements the caller wants,
 * `updates` those written over old values, which no reduction does.
 */
export function mergeEpilogues(
  lowered: Lowered,
  kept: ReadonlySet<Node>,
  updates: ReadonlySet<Node>,
  buffersPerKernel: number,
): Lowered {
  const { kernels, nodes, stages } = lowered;
  const { groups, wanted, isUpdate, stageOf } = mergingOf(lowered, kept, updates);
  /** What each group has become so far. */
  const merged = kernels.map((kernel) => {
    const joins = kernel.kind === 'loop' && !kernel.outputs.some(isUpdate);
    return joins ? kernel : undefined;
  });

  /** Joins the groups of a kernel and of one that it reads from, if one of them reduces. */
  const tryJoin = (reader: number, source: number): void => {
    const [second, first] = [merged[reader], merged[source]];
    if (!first || !second || groups.of(source) === groups.of(reader) || stageOf(source) !== stageOf(reader)) return;
    if (!first.reduce === !second.reduce || sizeOf(first.shape) !== sizeOf(second.shape)) return;
    const members = [...groups.of(source), ...groups.of(reader)].sort((a, b) => a - b);
    const { inputs, outputs } = groups.boundary(members, wanted);
    if (inputs.length + outputs.length > buffersPerKernel) return;
    const parts = members.map((k) => kernels[k] as LoopKernel);
    const joined = join(parts, inputs, outputs, [(first.reduce ? first : second).shape]);
    if (!joined || !groups.canJoin(source, reader)) return;
    groups.join(source, reader);
    for (const member of members) merged[member] = joined;
  };

  kernels.forEach((_, k) => {
    // Of several reductions, it joins the one that comes last: the others' results are there by then.
    for (const source of [...groups.sources(k)].sort((a, b) => b - a)) tryJoin(k, source);
  });
  return {
    nodes,
    stages,
    kernels: groups.inOrder().map(([k]) => merged[k as number] ?? (kernels[k as number] as Kernel | Assembly)),
  };
}
