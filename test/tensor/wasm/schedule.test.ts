/** Phases of a program: every dependence is kept, and every unit of work is in exactly one chunk. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { schedule, type Work } from '../../../packages/tensor/src/backends/wasm/schedule.ts';

const memory = fc.array(fc.integer({ min: 0, max: 9 }), { maxLength: 3 });
const work: fc.Arbitrary<Work> = fc.record({
  units: fc.integer({ min: 1, max: 5000 }),
  cost: fc.integer({ min: 1, max: 50_000 }),
  reads: memory,
  writes: memory.filter((list) => list.length > 0),
});

const meets = (a: readonly number[], b: readonly number[]): boolean => a.some((x) => b.includes(x));

describe('schedule', () => {
  it('keeps every dependence between works, in order', () => {
    fc.assert(
      fc.property(fc.array(work, { maxLength: 30 }), (works) => {
        const place = new Map<number, { phase: number; position: number; chunks: number; firstChunk: number }>();
        for (const [phase, { steps }] of schedule(works).entries()) {
          for (const [position, step] of steps.entries()) place.set(step.work, { phase, position, ...step });
        }
        expect([...place.keys()]).toEqual(works.map((_, i) => i));
        for (const [j, later] of works.entries()) {
          for (const [i, earlier] of works.slice(0, j).entries()) {
            const depends =
              meets(earlier.writes, later.reads) ||
              meets(earlier.writes, later.writes) ||
              meets(earlier.reads, later.writes);
            if (!depends) continue;
            const [a, b] = [place.get(i), place.get(j)];
            if (!a || !b) throw new Error('a work has no place');
            const sameChunk = a.chunks === 1 && b.chunks === 1 && a.firstChunk === b.firstChunk;
            expect(a.phase < b.phase || (a.phase === b.phase && sameChunk && a.position < b.position)).toBe(true);
          }
        }
      }),
    );
  });

  it('gives every unit to one chunk, and no phase a chunk without work', () => {
    fc.assert(
      fc.property(fc.array(work, { maxLength: 20 }), (works) => {
        for (const { steps, chunks } of schedule(works)) {
          const used = new Set<number>();
          for (const { work: index, chunk, chunks: own, firstChunk } of steps) {
            const { units } = works[index] as Work;
            expect(own * chunk).toBeGreaterThanOrEqual(units);
            expect((own - 1) * chunk).toBeLessThan(units);
            for (let c = 0; c < own; c++) used.add(firstChunk + c);
          }
          expect([...used].sort((a, b) => a - b)).toEqual(Array.from({ length: chunks }, (_, i) => i));
        }
      }),
    );
  });

  it('lets independent works share a phase', () => {
    const updates = Array.from({ length: 100 }, (_, i) => ({ units: 500, cost: 1000, reads: [i], writes: [i] }));
    expect(schedule(updates)).toHaveLength(1);
  });
});
