import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Random } from '../../../packages/actionclip/src/data/random.ts';
import { sampleFrames } from '../../../packages/actionclip/src/data/sampling.ts';

const middle = (frames: number, segments: number): number[] =>
  sampleFrames(frames, { segments, randomShift: false }, new Random(0));
const drawn = (frames: number, segments: number, seed: number): number[] =>
  sampleFrames(frames, { segments, randomShift: true }, new Random(seed));

const counts = { frames: fc.integer({ min: 1, max: 2000 }), segments: fc.integer({ min: 1, max: 64 }), seed: fc.nat() };

describe('sampling for evaluation', () => {
  it.each([
    [8, 300, '19 56 94 131 169 206 244 281'],
    [8, 250, '16 47 78 109 141 172 203 234'],
    [8, 100, '6 19 31 44 56 69 81 94'],
    [8, 61, '4 11 19 27 34 42 50 57'],
    [8, 5, '1 1 2 2 3 4 4 5'],
    [1, 300, '151'],
    [16, 300, '9 28 47 66 84 103 122 141 159 178 197 216 234 253 272 291'],
  ])('takes of T=%i, n=%i the frames that the released code takes', (segments, frames, expected) => {
    expect(middle(frames, segments).join(' ')).toBe(expected);
  });

  it('does not depend on the random stream', () => {
    fc.assert(
      fc.property(counts.frames, counts.segments, counts.seed, (frames, segments, seed) => {
        const sampled = sampleFrames(frames, { segments, randomShift: false }, new Random(seed));
        expect(sampled).toEqual(middle(frames, segments));
      }),
    );
  });
});

describe('sampling for training', () => {
  it('takes one frame from each segment of a long clip', () => {
    fc.assert(
      fc.property(counts.frames, counts.segments, counts.seed, (frames, segments, seed) => {
        fc.pre(frames > segments);
        for (const [segment, number] of drawn(frames, segments, seed).entries()) {
          expect(number - 1).toBeGreaterThanOrEqual(Math.floor((segment * frames) / segments));
          expect(number - 1).toBeLessThan(Math.floor(((segment + 1) * frames) / segments));
        }
      }),
    );
  });

  it('takes every frame of a short clip at least once', () => {
    fc.assert(
      fc.property(counts.segments, counts.segments, counts.seed, (frames, segments, seed) => {
        fc.pre(frames <= segments);
        const every = Array.from({ length: frames }, (_, index) => index + 1);
        expect([...new Set(drawn(frames, segments, seed))]).toEqual(every);
      }),
    );
  });

  it('gives the same frames for the same seed and reaches every frame of a segment over seeds', () => {
    expect(drawn(100, 8, 7)).toEqual(drawn(100, 8, 7));
    const firsts = new Set(Array.from({ length: 300 }, (_, seed) => drawn(80, 8, seed)[0]));
    expect([...firsts].sort((a = 0, b = 0) => a - b)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  });
});

describe('sampling', () => {
  it('always gives T ascending numbers from 1 to n', () => {
    fc.assert(
      fc.property(counts.frames, counts.segments, counts.seed, fc.boolean(), (frames, segments, seed, randomShift) => {
        const sampled = sampleFrames(frames, { segments, randomShift }, new Random(seed));
        expect(sampled).toHaveLength(segments);
        expect(sampled).toEqual([...sampled].sort((a, b) => a - b));
        expect(sampled.every((number) => Number.isInteger(number) && number >= 1 && number <= frames)).toBe(true);
      }),
    );
  });

  it('refuses counts that are not whole numbers from 1', () => {
    expect(() => middle(0, 8)).toThrow('the number of frames is 0; expected a whole number from 1');
    expect(() => middle(10, 2.5)).toThrow('the number of segments is 2.5');
    expect(() => middle(Number.NaN, 8)).toThrow('the number of frames is NaN');
  });
});
