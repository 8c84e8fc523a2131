import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  confusionMatrix,
  confusionPairs,
  MetricError,
  meanClassAccuracy,
  perClassAccuracy,
  predictedClasses,
  scoreTemplates,
  topClasses,
  topKAccuracy,
} from '../../../packages/actionclip/src/evaluate/metrics.ts';

describe('scoring over templates', () => {
  it('is the mean of the softmaxes, which a mean of logits is not', () => {
    const probabilities = scoreTemplates([0.1, 0, 0, 0.02], { templates: 2, classes: 2 });
    const first = 1 / (1 + Math.exp(-10));
    const second = 1 / (1 + Math.exp(2));
    expect(probabilities[0]).toBeCloseTo((first + second) / 2, 12);
    expect(probabilities[1]).toBeCloseTo((2 - first - second) / 2, 12);
    expect(probabilities[0]).toBeLessThan(0.6);
  });

  it('gives each clip probabilities that sum to one, unmoved by a constant on a template', () => {
    const cosine = fc.double({ min: -1, max: 1, noNaN: true });
    fc.assert(
      fc.property(fc.array(cosine, { minLength: 12, maxLength: 12 }), cosine, (values, shift) => {
        const sizes = { templates: 3, classes: 2 };
        const plain = scoreTemplates(values, sizes);
        const moved = scoreTemplates(
          values.map((value, i) => (i % 6 < 2 ? value + shift : value)),
          sizes,
        );
        for (const clip of [0, 1]) expect((plain[clip * 2] ?? 0) + (plain[clip * 2 + 1] ?? 0)).toBeCloseTo(1, 12);
        plain.forEach((value, i) => {
          expect(moved[i]).toBeCloseTo(value, 9);
        });
      }),
    );
  });

  it('refuses a torn row', () => {
    expect(() => scoreTemplates([1, 2, 3], { templates: 2, classes: 2 })).toThrow(MetricError);
  });
});

describe('top-k', () => {
  const matrix = { scores: [0.1, 0.7, 0.2, 0.5, 0.5, 0, 0, 0.4, 0.6], classes: 3 };

  it('orders classes by score and, among equals, by index', () => {
    expect(topClasses(matrix, 0, 3)).toEqual([1, 2, 0]);
    expect(topClasses(matrix, 1, 2)).toEqual([0, 1]);
    expect(predictedClasses(matrix)).toEqual([1, 0, 2]);
  });

  it('counts a clip where its label is among the first k', () => {
    expect(topKAccuracy(matrix, [1, 1, 0])).toBeCloseTo(1 / 3);
    expect(topKAccuracy(matrix, [1, 1, 0], 2)).toBeCloseTo(2 / 3);
    expect(topKAccuracy(matrix, [1, 1, 0], 3)).toBe(1);
  });

  it('agrees with the sorted classes on random scores', () => {
    const scores = fc.array(fc.integer({ min: 0, max: 4 }), { minLength: 20, maxLength: 20 });
    const labels = fc.array(fc.nat({ max: 4 }), { minLength: 4, maxLength: 4 });
    fc.assert(
      fc.property(scores, labels, fc.integer({ min: 1, max: 5 }), (values, truth, k) => {
        const random = { scores: values, classes: 5 };
        const hits = truth.filter((label, row) => topClasses(random, row, k).includes(label)).length;
        expect(topKAccuracy(random, truth, k)).toBe(hits / 4);
      }),
    );
  });

  it('never counts a clip whose scores are not numbers', () => {
    expect(topKAccuracy({ scores: [Number.NaN, Number.NaN], classes: 2 }, [0])).toBe(0);
  });

  it('refuses a label out of range, a torn matrix and an empty one', () => {
    expect(() => topKAccuracy(matrix, [1, 3, 0])).toThrow('Clip 1 has class 3; classes go from 0 to 2');
    expect(() => topKAccuracy(matrix, [1, 1])).toThrow(MetricError);
    expect(() => topKAccuracy({ scores: [], classes: 3 }, [])).toThrow(MetricError);
  });
});

describe('the confusion matrix', () => {
  const matrix = confusionMatrix([0, 0, 0, 0, 1, 1], [0, 0, 0, 1, 2, 2], 4);

  it('counts true classes in rows and predictions in columns', () => {
    expect([...matrix.counts]).toEqual([3, 1, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
  });

  it('gives each class the same weight in the mean, leaving out classes without clips', () => {
    expect(perClassAccuracy(matrix).map(({ accuracy }) => accuracy)).toEqual([0.75, 0, Number.NaN, Number.NaN]);
    expect(meanClassAccuracy(matrix)).toBe(0.375);
  });

  it('lists the most frequent mistakes first', () => {
    expect(confusionPairs(matrix)).toEqual([
      { label: 1, predicted: 2, count: 2 },
      { label: 0, predicted: 1, count: 1 },
    ]);
    expect(confusionPairs(matrix, 1)).toHaveLength(1);
  });

  it('refuses lists of different lengths', () => {
    expect(() => confusionMatrix([0], [0, 1], 2)).toThrow('1 labels but 2 predictions');
  });
});
