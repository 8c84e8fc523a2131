// Protocols of zero-shot evaluation on features that are made by hand, and by their laws on random ones.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { evaluateClassSets, evaluateFeatures, scoreClips } from '../../../packages/actionclip/src/evaluate/evaluate.ts';
import type { ClipFeatures, PromptFeatures } from '../../../packages/actionclip/src/evaluate/features.ts';
import { numpyPermutation } from '../../../packages/actionclip/src/evaluate/numpy-permutation.ts';
import {
  evaluateBaseToNovel,
  evaluateHalves,
  evaluateSplits,
  frequentHalf,
  halfOfClasses,
  spreadOf,
} from '../../../packages/actionclip/src/evaluate/protocols.ts';

/** Unit vectors of the plane at these angles, in turns. */
const at = (...turns: readonly number[]): Float32Array =>
  Float32Array.from(turns.flatMap((turn) => [Math.cos(2 * Math.PI * turn), Math.sin(2 * Math.PI * turn)]));

const clips = (turns: readonly number[], labels: readonly number[], views = 1): ClipFeatures => ({
  rows: at(...turns),
  width: 2,
  views,
  labels: Int32Array.from(labels),
  indices: Int32Array.from(labels.keys()),
});

const prompts = (turns: readonly number[], templates = 1): PromptFeatures => ({
  rows: at(...Array.from({ length: templates }, (_, t) => turns.map((turn) => turn + 0.01 * t)).flat()),
  width: 2,
  templates,
  classes: turns.length,
});

/** So many different angles of a tenth of a turn, where no softmax is exactly 0 or 1; `shift` of a step off the others. */
const angles = (count: number, seed: number, shift = 0): number[] =>
  numpyPermutation(997, seed)
    .slice(0, count)
    .map((i) => (i + shift) / 9970);

/** Clips of one or two views, and prompts of four classes. No clip is equally far from two prompts. */
const features = fc
  .record({
    views: fc.integer({ min: 1, max: 2 }),
    labels: fc.array(fc.nat(3), { minLength: 4, maxLength: 12 }),
    seed: fc.nat(),
  })
  .map(({ views, labels, seed }) => ({
    clips: clips(angles(labels.length * views, seed, 0.3), labels, views),
    prompts: prompts(angles(4, seed + 1), 2),
  }));

describe("NumPy's permutations", () => {
  it('are those that NumPy gives', () => {
    expect(numpyPermutation(10, 0)).toEqual([2, 8, 4, 9, 1, 6, 7, 3, 0, 5]);
    expect(numpyPermutation(51, 9).slice(0, 10)).toEqual([2, 30, 44, 7, 38, 15, 35, 31, 26, 14]);
    expect(numpyPermutation(101, 3).slice(-8)).toEqual([74, 19, 21, 0, 72, 56, 3, 24]);
    expect(numpyPermutation(400, 7).slice(0, 6)).toEqual([265, 65, 120, 132, 378, 26]);
  });

  it('hold every number once, of as many as there may be', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1500 }), fc.integer({ min: 0, max: 2 ** 32 - 1 }), (n, seed) => {
        expect(numpyPermutation(n, seed).sort((a, b) => a - b)).toEqual(Array.from({ length: n }, (_, i) => i));
      }),
      { numRuns: 30 },
    );
  });
});

describe('mean and deviation', () => {
  it('are those of a sample', () => {
    expect(spreadOf([0.2, 0.4, 0.9])).toMatchObject({ mean: 0.5, deviation: expect.closeTo(Math.sqrt(0.13), 12) });
    expect(spreadOf([0.3]).deviation).toBeNaN();
    expect(() => spreadOf([])).toThrow('There is no value');
  });

  it('of equal values are the value and 0', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1, noNaN: true }), fc.integer({ min: 2, max: 9 }), (value, count) => {
        expect(spreadOf(Array(count).fill(value))).toMatchObject({ mean: value, deviation: 0 });
      }),
    );
  });
});

describe('views', () => {
  it('are averaged after the softmax, together with the templates', () => {
    const two = scoreClips(clips([0.02, 0.07], [0], 2), prompts([0, 0.1])).scores;
    const one = (angle: number): number => scoreClips(clips([angle], [0]), prompts([0, 0.1])).scores[0] ?? 0;
    expect(two[0]).toBeCloseTo((one(0.02) + one(0.07)) / 2, 12);
    expect(() => scoreClips(clips([0.1, 0.2, 0.3], [0, 1], 2), prompts([0, 0.5]))).toThrow('2 clips of 2 views');
  });
});

describe('halves of the classes', () => {
  it('are half as many classes, rounded down, the same for the same seed', () => {
    expect(halfOfClasses(10, 0)).toEqual([1, 2, 4, 8, 9]);
    expect(halfOfClasses(51, 4)).toHaveLength(25);
    expect(() => halfOfClasses(1, 0)).toThrow('1 classes have no half');
  });

  it('let only their own classes compete and count only their own clips', () => {
    const halves = [0, 3].map((seed) => halfOfClasses(4, seed));
    expect(halves).toEqual([
      [2, 3],
      [1, 3],
    ]);
    // The clip of class 3 at 0.46 is nearest to class 2; where that does not compete, class 3 is nearer than class 1.
    const given = clips([0, 0.25, 0.5, 0.46], [0, 1, 2, 3]);
    const result = evaluateHalves(given, prompts([0, 0.2, 0.5, 0.7]), [0, 3]);
    expect(result.parts.map(({ seed, labels, top1 }) => [seed, labels.length, top1])).toEqual([
      [0, 2, 0.5],
      [3, 2, 1],
    ]);
    expect(result.top1).toEqual({ values: [0.5, 1], mean: 0.75, deviation: expect.closeTo(Math.SQRT1_2 / 2, 12) });
    expect([...(result.parts[1]?.indices ?? [])]).toEqual([1, 3]);
  });

  it('of all classes are the evaluation of all classes, and of any order of the classes the same', () => {
    fc.assert(
      fc.property(features, fc.shuffledSubarray([0, 1, 2, 3], { minLength: 4 }), (made, order) => {
        const full = evaluateFeatures(made.clips, made.prompts);
        const [same, permuted] = evaluateClassSets(made.clips, made.prompts, [[0, 1, 2, 3], order]);
        expect(same).toEqual(full);
        expect(permuted?.top1).toBe(full.top1);
        expect(permuted?.meanClassAccuracy).toBeCloseTo(full.meanClassAccuracy, 12);
      }),
    );
  });

  it('never make a clip wrong that is right among all', () => {
    fc.assert(
      fc.property(features, fc.nat(50), (made, seed) => {
        const chosen = halfOfClasses(4, seed);
        fc.pre(made.clips.labels.some((label) => chosen.includes(label)));
        // One template and one view, where the order of the classes does not depend on who else competes.
        const single = { ...made.prompts, rows: made.prompts.rows.slice(0, 8), templates: 1 };
        const own = { ...made.clips, views: 1, rows: made.clips.rows.slice(0, made.clips.labels.length * 2) };
        const among = evaluateHalves(own, single, [seed]).parts[0];
        const all = evaluateFeatures(own, single);
        const right = [...own.labels].filter((label, row) => chosen.includes(label) && isRight(all.scores, row, label));
        expect((among?.top1 ?? 0) * (among?.labels.length ?? 0)).toBeGreaterThanOrEqual(right.length - 1e-9);
      }),
    );
  });

  it('without any clip are refused', () => {
    expect(() => evaluateHalves(clips([0], [0]), prompts([0, 0.2, 0.5, 0.7]), [0])).toThrow(
      'The half of seed 0 has no clip',
    );
  });
});

function isRight(
  { scores, classes }: { scores: ArrayLike<number>; classes: number },
  row: number,
  label: number,
): boolean {
  const own = Array.from({ length: classes }, (_, c) => scores[row * classes + c] ?? 0);
  return own.indexOf(Math.max(...own)) === label;
}

describe('splits of the clips', () => {
  const given = clips([0, 0.3, 0.5, 0.02], [0, 0, 1, 1]);
  const classes = prompts([0, 0.5]);

  it('are counted each for itself, against all classes', () => {
    const { parts, top1 } = evaluateSplits(given, classes, [
      [0, 2],
      [0, 1, 3],
      [1, 2],
    ]);
    expect(parts.map(({ labels }) => labels.length)).toEqual([2, 3, 2]);
    expect(top1.values).toEqual([1, 1 / 3, 0.5]);
    expect(top1.mean).toBeCloseTo(11 / 18, 12);
    expect(top1.deviation).toBeCloseTo(Math.sqrt(((7 / 18) ** 2 + (5 / 18) ** 2 + (2 / 18) ** 2) / 2), 12);
  });

  it('that are equal deviate by 0, and all clips together are the whole evaluation', () => {
    fc.assert(
      fc.property(features, (made) => {
        const all = [...made.clips.indices];
        const { parts, top1 } = evaluateSplits(made.clips, made.prompts, [all, all, all]);
        expect(parts[0]).toEqual(evaluateFeatures(made.clips, made.prompts));
        expect(top1.deviation).toBe(0);
      }),
    );
  });

  it('leave out clips that could not be read, and refuse a clip named twice', () => {
    expect(evaluateSplits(given, classes, [[0, 99]]).parts[0]?.labels).toHaveLength(1);
    expect(() => evaluateSplits(given, classes, [[0], [2, 2]])).toThrow('Split 2 names a clip twice');
  });
});

describe('base to novel', () => {
  it('takes the more frequent half, rounded up, the lower index first among equals', () => {
    expect(frequentHalf([4, 4, 1, 1, 3], 5)).toEqual({ base: [1, 3, 4], novel: [0, 2] });
    expect(frequentHalf([], 4)).toEqual({ base: [0, 1], novel: [2, 3] });
  });

  it('gives each half among its own classes, and their harmonic mean', () => {
    const given = clips([0, 0.26, 0.5, 0.51, 0.7, 0.52], [0, 1, 2, 2, 3, 3]);
    const result = evaluateBaseToNovel(given, prompts([0, 0.25, 0.5, 0.75]), { base: [0, 1], novel: [2, 3] });
    expect([result.base.top1, result.novel.top1]).toEqual([1, 0.75]);
    expect(result.harmonicMean).toBeCloseTo(2 / (1 / 1 + 1 / 0.75), 12);
  });

  it('is 0 where one half is all wrong, and refuses a half without clips', () => {
    const halves = { base: [0], novel: [1, 2] };
    const wrong = evaluateBaseToNovel(clips([0, 0.5], [0, 1]), prompts([0, 0.25, 0.5]), halves);
    expect([wrong.base.top1, wrong.novel.top1, wrong.harmonicMean]).toEqual([1, 0, 0]);
    expect(() => evaluateBaseToNovel(clips([0], [0]), prompts([0, 0.25, 0.5]), halves)).toThrow(
      'The novel classes have no clip',
    );
  });
});
