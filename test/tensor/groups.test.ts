/** Groups of kernels: what is joined stays in an order in which every buffer is written before it is read. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Groups } from '../../packages/tensor/src/compile/groups.ts';
import type { LoopKernel } from '../../packages/tensor/src/compile/kernel.ts';

/** Kernel k writes buffer k and reads the given earlier ones. */
const kernels = (reads: readonly (readonly number[])[]): LoopKernel[] =>
  reads.map((sources, k) => ({
    kind: 'loop',
    name: `${k}`,
    shape: [1],
    inputs: sources.map((buffer) => ({ buffer, dtype: 'f32' as const })),
    outputs: [{ buffer: k, dtype: 'f32' as const, value: undefined as never }],
  }));

/** Whether groups of a graph can all run one after the other. */
function isAcyclic(reads: readonly (readonly number[])[], groupOf: (k: number) => number): boolean {
  const done = new Set<number>();
  const open = new Set<number>();
  const visit = (group: number): boolean => {
    if (done.has(group)) return true;
    if (open.has(group)) return false;
    open.add(group);
    const fine = reads.every(
      (sources, k) =>
        groupOf(k) !== group || sources.every((source) => groupOf(source) === group || visit(groupOf(source))),
    );
    open.delete(group);
    done.add(group);
    return fine;
  };
  return reads.every((_, k) => visit(groupOf(k)));
}

const graphs = fc
  .integer({ min: 2, max: 14 })
  .chain((size) =>
    fc.tuple(
      ...Array.from({ length: size }, (_, k) =>
        k === 0 ? fc.constant([]) : fc.uniqueArray(fc.nat(k - 1), { maxLength: 3 }),
      ),
    ),
  );

describe('groups of kernels', () => {
  it('join wherever no cycle results, and only there, and keep an order to run in', () => {
    fc.assert(
      fc.property(graphs, fc.array(fc.tuple(fc.nat(13), fc.nat(13)), { maxLength: 12 }), (reads, pairs) => {
        const groups = new Groups(kernels(reads));
        for (const [i, j] of pairs) {
          const [a, b] = [i % reads.length, j % reads.length];
          if (groups.of(a) === groups.of(b)) continue;
          const [first, second] = [groups.of(a), groups.of(b)];
          const joined = (k: number): number =>
            first.includes(k) || second.includes(k) ? (first[0] as number) : (groups.of(k)[0] as number);
          expect(groups.canJoin(a, b)).toBe(isAcyclic(reads, joined));
          if (groups.canJoin(a, b)) groups.join(a, b);
        }
        const order = groups.inOrder();
        expect(order.flat().sort((x, y) => x - y)).toEqual(reads.map((_, k) => k));
        const written = new Set<number>();
        for (const group of order) {
          for (const member of group) {
            for (const source of reads[member] ?? []) expect(written.has(source) || group.includes(source)).toBe(true);
          }
          for (const member of group) written.add(member);
        }
      }),
      { numRuns: 300 },
    );
  });
});
