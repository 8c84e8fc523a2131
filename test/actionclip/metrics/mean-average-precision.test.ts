// Mean average precision by hand-computed values and laws, and the measures of clips with several classes.
import { tensor } from '@actionclip/tensor';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { evaluateEntries } from '../../../packages/actionclip/src/evaluate/evaluate.ts';
import { precisionTable } from '../../../packages/actionclip/src/evaluate/figures.ts';
import {
  averagePrecision,
  averagePrecisions,
  meanAveragePrecision,
} from '../../../packages/actionclip/src/evaluate/metrics.ts';
import { confusionOf, precisionFigure } from '../../../packages/actionclip/src/evaluate/zero-shot-report.ts';
import { contrastiveTargets } from '../../../packages/actionclip/src/model/loss.ts';

describe('average precision', () => {
  it.each([
    ['right clips first', [0.9, 0.8, 0.1], [true, true, false], 1],
    ['right clips at ranks 1 and 3', [0.9, 0.8, 0.7, 0.1], [true, false, true, false], (1 + 2 / 3) / 2],
    ['the only one last', [0.9, 0.8, 0.7, 0.1], [false, false, false, true], 1 / 4],
    ['all scores equal: the part of right clips', [0.5, 0.5, 0.5, 0.5], [true, false, false, false], 1 / 4],
    ['a tie of a right and a wrong clip at rank 1', [0.9, 0.9, 0.2], [true, false, true], (1 / 2 + 2 / 3) / 2],
  ])('is by hand: %s', (_, scores, right, expected) => {
    expect(averagePrecision(scores, right)).toBeCloseTo(expected, 12);
  });

  it('has no value without right clips', () => expect(averagePrecision([0.1, 0.2], [false, false])).toBeNaN());

  it('does not depend on the order of clips, nor on what keeps the order of scores', () => {
    const rows = fc.array(fc.tuple(fc.integer({ min: 0, max: 5 }), fc.boolean()), { minLength: 1, maxLength: 20 });
    const of = (given: readonly (readonly [number, boolean])[]): number =>
      averagePrecision(
        given.map(([score]) => score),
        given.map(([, right]) => right),
      );
    fc.assert(
      fc.property(rows, (given) => {
        fc.pre(given.some(([, right]) => right));
        const plain = of(given);
        expect(of(given.toReversed())).toBeCloseTo(plain, 12);
        expect(of(given.map(([score, right]) => [Math.exp(score), right]))).toBeCloseTo(plain, 12);
        expect(plain).toBeLessThanOrEqual(1);
      }),
    );
  });
});

describe('mean average precision', () => {
  // Class 0: right clips at ranks 1 and 3, 5/6; class 1: at rank 2, 1/2; class 2: two of four with one score, 1/2.
  const scores = [0.9, 0.2, 0.1, 0.8, 0.9, 0.1, 0.7, 0.4, 0.1, 0.1, 0.3, 0.1];
  const sets = [[0], [2], [0, 1], [2]];

  it('is the mean over the classes with clips', () => {
    expect(meanAveragePrecision({ scores, classes: 3 }, sets)).toBeCloseTo((5 / 6 + 1 / 2 + 1 / 2) / 3, 12);
    const only = meanAveragePrecision({ scores: [0.9, 0.1, 0.3, 0.2], classes: 2 }, [[0], [0]]);
    expect(only).toBe(1);
    const [first, second, third] = averagePrecisions({ scores, classes: 3 }, sets);
    expect([first, second, third]).toEqual([5 / 6, 1 / 2, 1 / 2].map((value) => expect.closeTo(value, 12)));
  });

  it('refuses classes that are not there, and scores that are no numbers', () => {
    expect(() => meanAveragePrecision({ scores, classes: 3 }, [[0], [1], [3], [0]])).toThrow(/Clip 2 has class 3/);
    expect(() => meanAveragePrecision({ scores, classes: 3 }, [[0, 5], [1], [1], [0]])).toThrow(/Clip 0 has class 5/);
    expect(() => meanAveragePrecision({ scores: [Number.NaN, 1], classes: 2 }, [[0]])).toThrow(/NaN/);
    expect(() => meanAveragePrecision({ scores: [], classes: 2 }, [])).toThrow(/at least one clip/);
  });
});

describe('clips of several classes', () => {
  const prompts = { rows: Float32Array.of(1, 0, 0, 1), width: 2, templates: 1, classes: 2 };
  const clips = {
    rows: Float32Array.of(0, 1, 1, 0),
    width: 2,
    labels: Int32Array.of(0, 0),
    indices: Int32Array.of(1, 0),
  };

  it('count as right where the best class is any of their own, and have an mAP', () => {
    const entries = [
      { path: 'a', label: 0 },
      { path: 'b', label: 0, labels: [0, 1] },
    ];
    const several = evaluateEntries(clips, prompts, entries);
    expect([...several.labels]).toEqual([1, 0]);
    expect([several.top1, several.meanAveragePrecision]).toEqual([1, 1]);
    expect(precisionTable(several, ['one', 'two'], entries)?.rows).toEqual([
      ['one', '2', '100.0 %'],
      ['two', '1', '100.0 %'],
    ]);
    expect(precisionTable(several, ['one', 'two'], entries, 1)).toMatchObject({ title: 'Worst average precisions' });
    expect(precisionFigure(several)).toEqual([{ label: 'mAP', value: '100.0 %', note: 'over 2 classes with clips' }]);
    expect(confusionOf(several, ['one', 'two']).note).toMatch(/several classes/);
    const single = evaluateEntries(clips, prompts, [
      { path: 'a', label: 0 },
      { path: 'b', label: 0 },
    ]);
    expect([single.top1, single.meanAveragePrecision]).toEqual([0.5, undefined]);
  });

  it('share a target in the loss where their sets meet; sets of one are the plain classes', async () => {
    const members = tensor(Float32Array.of(1, 1, 0, 0, 1, 1, 1, 0, 0), { shape: [3, 3] });
    const rows = [...(await contrastiveTargets(members).data())];
    const [e, one] = [Math.exp(10), 1];
    const expected = [
      [e, e, e].map((x) => x / (3 * e)),
      [e, e, one].map((x) => x / (2 * e + 1)),
      [e, one, e].map((x) => x / (2 * e + 1)),
    ].flat();
    rows.forEach((row, cell) => {
      expect(row).toBeCloseTo(expected[cell] ?? Number.NaN, 6);
    });
    const single = tensor(Float32Array.of(0, 1, 0, 1, 0, 0, 0, 1, 0), { shape: [3, 3] });
    const plain = contrastiveTargets(tensor(Int32Array.of(1, 0, 1), { shape: [3] }));
    expect([...(await contrastiveTargets(single).data())]).toEqual([...(await plain.data())]);
  });
});
