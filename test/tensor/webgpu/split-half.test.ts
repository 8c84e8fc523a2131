// The arithmetic of three products of halves for one of f32, computed here as the shaders compute it, against f64: the
// error that `products: 'split-half'` promises, at any magnitude.

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { inverseOf, scaleOf } from '../../../packages/tensor/src/backends/webgpu/gemm/matrix-stages.ts';
import { restScale } from '../../../packages/tensor/src/backends/webgpu/gemm/matrix-strips.ts';
import { roundToHalf } from '../../../packages/tensor/src/dtype.ts';
import { constant } from '../../../packages/tensor/src/expr/expr.ts';

const f32 = Math.fround;
/** The sizes of k that a fragment adds up before its sum is rounded. */
const fragmentK = 16;

const scaleFor = (row: readonly number[]): number => scaleOf(constant(Math.max(...row.map(Math.abs)))).value;
const inverse = (scale: number): number => inverseOf(constant(scale)).value;

interface Split {
  readonly halves: readonly number[];
  readonly rests: readonly number[];
  readonly scale: number;
}

function split(row: readonly number[]): Split {
  const scale = scaleFor(row);
  const scaled = row.map((x) => f32(x * scale));
  const halves = scaled.map(roundToHalf);
  const rests = scaled.map((x, i) => roundToHalf(f32(f32(x - (halves[i] as number)) * restScale)));
  return { halves, rests, scale };
}

/** The sum rounded to f32 after every fragment; products of halves are exact in f64 and nearly so in hardware. */
function accumulate(pairs: readonly (readonly [readonly number[], readonly number[]])[], length: number): number {
  let sum = 0;
  for (let start = 0; start < length; start += fragmentK) {
    for (const [a, b] of pairs) {
      let part = 0;
      for (let k = start; k < Math.min(length, start + fragmentK); k++) part += (a[k] as number) * (b[k] as number);
      sum = f32(sum + part);
    }
  }
  return sum;
}

/** The product of a row and a column by three products of halves. */
function byThree(left: readonly number[], right: readonly number[]): number {
  const [a, b] = [split(left), split(right)];
  const sum = accumulate([[a.halves, b.halves]], left.length);
  const cross = accumulate(
    [
      [a.halves, b.rests],
      [a.rests, b.halves],
    ],
    left.length,
  );
  const [small, large] = [inverse(a.scale), inverse(b.scale)].sort((x, y) => x - y) as [number, number];
  return f32(f32(f32(sum + f32(cross / restScale)) * small) * large);
}

const exact = (left: readonly number[], right: readonly number[]): number =>
  left.reduce((sum, a, k) => sum + a * (right[k] as number), 0);
const largest = (row: readonly number[]): number => Math.max(...row.map(Math.abs));

/** What the option promises, with the rounding of `steps` additions in f32 and of results too small for f32 beside it. */
function bound(left: readonly number[], right: readonly number[]): number {
  const magnitudes = exact(left.map(Math.abs), right.map(Math.abs));
  const steps = Math.ceil(left.length / fragmentK);
  const least = left.length * largest(left) * largest(right);
  return magnitudes * (2 ** -21 + steps * 2 ** -24) + least * 2 ** -49 + 2 ** -149;
}

/** Numbers in f32 of magnitudes within `spread` powers of two of 2^exponent. */
const row = (length: number, exponent: number, spread: number): fc.Arbitrary<number[]> =>
  fc.array(
    fc
      .tuple(fc.integer({ min: -(2 ** 24), max: 2 ** 24 }), fc.integer({ min: -spread, max: 0 }))
      .map(([mantissa, shift]) => f32(mantissa * 2 ** (exponent + shift - 24))),
    { minLength: length, maxLength: length },
  );

const pair = (low: number, high: number, spread: number): fc.Arbitrary<[number[], number[]]> =>
  fc
    .tuple(fc.integer({ min: 1, max: 200 }), fc.integer({ min: low, max: high }), fc.integer({ min: low, max: high }))
    .chain(([length, a, b]) => fc.tuple(row(length, a, spread), row(length, b, spread)));

const holds = ([left, right]: readonly [number[], number[]]): void => {
  expect(Math.abs(byThree(left, right) - exact(left, right))).toBeLessThanOrEqual(bound(left, right));
};

it('rows of like magnitudes have nearly the accuracy of f32', () => {
  fc.assert(fc.property(pair(-8, 8, 4), holds), { numRuns: 300 });
});

it('rows far beyond the range of halves, either way, have the same', () => {
  fc.assert(fc.property(pair(-60, 60, 4), holds), { numRuns: 300 });
});

it('rows of very different magnitudes lose only what is small beside their largest elements', () => {
  fc.assert(fc.property(pair(-30, 30, 40), holds), { numRuns: 300 });
});

it('one half for a factor would not do', () => {
  const [left, right] = [
    [1 + 2 ** -12, 3],
    [1, -1],
  ] as const;
  const rounded = exact(left.map(roundToHalf), right.map(roundToHalf));
  expect(Math.abs(rounded - exact(left, right))).toBeGreaterThan(bound(left, right));
});

it('results are finite where those of f32 are, and zero where a factor is', () => {
  expect(byThree([2 ** 127, 2 ** 127], [2 ** -100, -(2 ** -101)])).toBe(2 ** 26);
  expect(byThree([2 ** 120], [2 ** -120])).toBe(1);
  expect(byThree([2 ** -120, 2 ** -126], [2 ** 120, 2 ** 126])).toBe(2);
  expect(byThree([3e38, 0], [0, 3e38])).toBe(0);
  expect(byThree([0, 0], [3e38, 1])).toBe(0);
});

it('elements that are as nothing beside the largest one of their row are lost', () => {
  expect(byThree([2 ** 60, 1], [0, 1])).toBe(0);
  expect(byThree([2 ** 40, 1], [0, 1])).toBe(1);
});

it('scales are powers of two that bring any magnitude to 2^14 or a little more, and have exact inverses', () => {
  for (let exponent = -112; exponent < 128; exponent++) {
    for (const magnitude of [2 ** exponent, f32(1.9999999 * 2 ** exponent)]) {
      const scale = scaleFor([magnitude, -magnitude / 3]);
      expect(magnitude * scale).toBeGreaterThanOrEqual(2 ** 14);
      expect(magnitude * scale).toBeLessThan(2 ** 15);
      expect(scale * inverse(scale)).toBe(1);
    }
  }
  for (const magnitude of [0, 2 ** -149, 2 ** -113, Number.POSITIVE_INFINITY, Number.NaN]) {
    const scale = scaleFor([magnitude]);
    expect(Number.isFinite(scale) && scale > 0).toBe(true);
    expect(scale * inverse(scale)).toBe(1);
  }
});
