import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { calibrationOf } from '../../../packages/actionclip/src/evaluate/calibration.ts';
import { calibrationTables } from '../../../packages/actionclip/src/evaluate/calibration-tables.ts';
import { MetricError } from '../../../packages/actionclip/src/evaluate/metrics.ts';

/** Rows of probabilities from any positive numbers. */
const normalised = (rows: readonly (readonly number[])[]): number[] =>
  rows.flatMap((row) => {
    const sum = row.reduce((a, b) => a + b, 0);
    return row.map((value) => value / sum);
  });

/** Clips of four classes without ties within a row, and their labels. */
const clips = fc.array(
  fc.record({
    row: fc.uniqueArray(fc.integer({ min: 1, max: 1000 }), { minLength: 4, maxLength: 4 }),
    label: fc.integer({ min: 0, max: 3 }),
  }),
  { minLength: 1, maxLength: 40 },
);

/** Figures that an order of clips or classes must not change. */
const figuresOf = ({ equalWidth, equalCount, ...others }: ReturnType<typeof calibrationOf>): number[] => [
  equalWidth.expectedCalibrationError,
  equalCount.expectedCalibrationError,
  ...Object.values(others),
];

const expectClose = (found: readonly number[], expected: readonly number[]): void => {
  for (const [at, value] of expected.entries()) {
    if (Number.isNaN(value)) expect(found[at]).toBeNaN();
    else expect(Math.abs((found[at] ?? Number.NaN) - value)).toBeLessThanOrEqual(1e-8 * Math.max(1, Math.abs(value)));
  }
};

describe('calibration', () => {
  it('is what a hand computes for four clips of two classes', () => {
    // Confidences 0.9 right, 0.9 wrong, 0.6 right, 0.7 right.
    const matrix = { scores: [0.9, 0.1, 0.9, 0.1, 0.4, 0.6, 0.3, 0.7], classes: 2 };
    const found = calibrationOf(matrix, [0, 1, 1, 1]);
    const filled = found.equalWidth.bins.filter((bin) => bin.clips > 0);
    expect(filled.map(({ clips: count, accuracy }) => [count, accuracy])).toEqual([
      [1, 1],
      [1, 1],
      [2, 0.5],
    ]);
    // (0.4 + 0.3 + 2 * 0.4) / 4
    expect(found.equalWidth.expectedCalibrationError).toBeCloseTo(0.375, 12);
    // A clip to each bin, and of the two with 0.9 each is half right.
    expect(found.equalCount.bins).toHaveLength(4);
    expect(found.equalCount.expectedCalibrationError).toBeCloseTo((0.4 + 0.3 + 0.4 + 0.4) / 4, 12);
    expect(found.negativeLogLikelihood).toBeCloseTo(-Math.log(0.9 * 0.1 * 0.6 * 0.7) / 4, 12);
    expect(found.brierScore).toBeCloseTo((0.02 + 1.62 + 0.32 + 0.18) / 4, 12);
  });

  it('counts a confidence that is a bound in the bin below, and certainty in the last', () => {
    const found = calibrationOf({ scores: [0.6, 0.4, 1, 0], classes: 2 }, [0, 0], 5);
    expect(found.equalWidth.bins.map((bin) => bin.clips)).toEqual([0, 0, 1, 0, 1]);
  });

  it('finds the temperature that undoes one', () => {
    // Three of four clips with 3 : 1 are right, which is calibrated; sharpened by 2 they stand 9 : 1.
    const sharpened = { scores: Array.from({ length: 4 }, () => [0.9, 0.1]).flat(), classes: 2 };
    const found = calibrationOf(sharpened, [0, 0, 0, 1]);
    expect(found.bestTemperature).toBeCloseTo(2, 9);
    expect(found.bestNegativeLogLikelihood).toBeCloseTo(-(3 * Math.log(0.75) + Math.log(0.25)) / 4, 9);
  });

  it('has no best temperature where every clip is right, and shows none', () => {
    const sure = { scores: { length: 4, 0: 0.9, 1: 0.1, 2: 0.2, 3: 0.8 }, classes: 2 };
    expect(calibrationOf(sure, [0, 1]).bestTemperature).toBeNaN();
    const [table] = calibrationTables({ scores: sure, labels: Int32Array.of(0, 1) });
    expect(table?.rows).toContainEqual(['best temperature on these clips', '–']);
  });

  it('stays finite where a clip has probability zero', () => {
    const found = calibrationOf({ scores: [1, 0, 1, 0], classes: 2 }, [0, 1]);
    expect(found.negativeLogLikelihood).toBeCloseTo(26 * Math.log(2), 12);
    expect(found.brierScore).toBe(1);
  });

  it('is near zero for scores that hold what they promise', () => {
    const rows: number[][] = [];
    const labels: number[] = [];
    // Of 100 clips with the confidence c / 100, c are right.
    for (let percent = 51; percent < 100; percent += 2) {
      for (let clip = 0; clip < 100; clip++) {
        rows.push([percent / 100, 1 - percent / 100]);
        labels.push(clip < percent ? 0 : 1);
      }
    }
    const found = calibrationOf({ scores: rows.flat(), classes: 2 }, labels);
    expect(found.equalWidth.expectedCalibrationError).toBeLessThan(1e-9);
    expect(found.equalCount.expectedCalibrationError).toBeLessThan(1e-9);
    expect(found.bestTemperature).toBeCloseTo(1, 9);
  });

  it('does not depend on the order of clips and classes', () => {
    fc.assert(
      fc.property(clips, fc.constantFrom<number[][]>([1, 0, 3, 2], [3, 2, 1, 0], [1, 2, 3, 0]), (given, order) => {
        const plain = calibrationOf(
          { scores: normalised(given.map(({ row }) => row)), classes: 4 },
          given.map(({ label }) => label),
        );
        const moved = [...given].reverse();
        const rows = normalised(moved.map(({ row }) => order.map((from) => row[from] ?? 0)));
        const permuted = calibrationOf(
          { scores: rows, classes: 4 },
          moved.map(({ label }) => order.indexOf(label)),
        );
        expectClose(figuresOf(permuted), figuresOf(plain));
      }),
    );
  });

  it('is nowhere better than at the best temperature', () => {
    fc.assert(
      fc.property(clips, fc.double({ min: 0.02, max: 50, noNaN: true }), (given, temperature) => {
        const labels = given.map(({ label }) => label);
        const found = calibrationOf({ scores: normalised(given.map(({ row }) => row)), classes: 4 }, labels);
        fc.pre(!Number.isNaN(found.bestTemperature));
        const tempered = normalised(
          given.map(({ row }) => row.map((value) => (value / Math.max(...row)) ** (1 / temperature))),
        );
        const other = calibrationOf({ scores: tempered, classes: 4 }, labels).negativeLogLikelihood;
        expect(found.bestNegativeLogLikelihood).toBeLessThanOrEqual(found.negativeLogLikelihood + 1e-12);
        // Probabilities below the least one would be counted as it.
        if (tempered.every((p) => p > Number.EPSILON)) {
          expect(found.bestNegativeLogLikelihood).toBeLessThanOrEqual(other + 1e-12);
        }
      }),
    );
  });

  it('refuses labels that do not belong to the scores', () => {
    expect(() => calibrationOf({ scores: [0.5, 0.5], classes: 2 }, [2])).toThrow(MetricError);
    expect(() => calibrationOf({ scores: [], classes: 2 }, [])).toThrow(MetricError);
  });
});
