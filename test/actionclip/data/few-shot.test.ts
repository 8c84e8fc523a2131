import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { drawShots } from '../../../packages/actionclip/src/data/few-shot.ts';
import type { ClipEntry } from '../../../packages/actionclip/src/data/lists.ts';

const listOf = (labels: readonly number[]): ClipEntry[] =>
  labels.map((label, place) => ({ path: `clip-${place}.mp4`, label }));
const countsOf = (entries: readonly ClipEntry[], classes: number): number[] =>
  Array.from({ length: classes }, (_, c) => entries.filter(({ label }) => label === c).length);
const classes = 5;
const labels = fc.array(fc.integer({ min: 0, max: classes - 1 }), { minLength: 1, maxLength: 60 });
const paths = (entries: readonly ClipEntry[]): string[] => entries.map(({ path }) => path);

describe('shots', () => {
  it('are so many clips of each class, each once and in the order of the list', () => {
    fc.assert(
      fc.property(labels, fc.integer({ min: 1, max: 8 }), fc.nat(), (given, shots, seed) => {
        const entries = listOf(given);
        const drawn = drawShots(entries, { shots, seed, classes });
        expect(drawn).toEqual(entries.filter((entry) => drawn.includes(entry)));
        expect(countsOf(drawn, classes)).toEqual(countsOf(entries, classes).map((count) => Math.min(count, shots)));
      }),
    );
  });

  it('are the same for a seed, others for another, and fewer are a part of more', () => {
    const entries = listOf(Array.from({ length: 200 }, (_, i) => i % classes));
    const draw = (shots: number, seed: number): string[] => paths(drawShots(entries, { shots, seed, classes }));
    expect(draw(4, 1)).toEqual(draw(4, 1));
    expect(draw(4, 2)).not.toEqual(draw(4, 1));
    expect(draw(16, 1)).toEqual(expect.arrayContaining(draw(4, 1)));
  });

  it('of a class do not depend on the clips of another', () => {
    const entries = listOf(Array.from({ length: 60 }, (_, i) => i % 3));
    const without = entries.filter(({ label }) => label !== 0);
    const ofTwo = (from: readonly ClipEntry[]): ClipEntry[] =>
      drawShots(from, { shots: 4, seed: 3, classes: 3 }).filter(({ label }) => label === 2);
    expect(ofTwo(without)).toEqual(ofTwo(entries));
  });

  it('that a class cannot give are told', () => {
    const told: string[] = [];
    const onWarning = (message: string): number => told.push(message);
    drawShots(listOf([0, 0, 1, 2, 2, 2]), { shots: 2, seed: 0, classes: 4, onWarning });
    expect(told).toEqual(['2 of 4 classes have fewer than 2 clips to draw; all they have are taken']);
  });
});
