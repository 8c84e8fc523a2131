import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { interpolatedFrames, interpolatedPositions } from '../../../packages/actionclip/src/checkpoints/positions.ts';

/** Positions whose class row is 9 and whose patch in row y and column x is `value(y, x)`. */
function grid(side: number, value: (y: number, x: number) => number): Parameters<typeof interpolatedPositions>[0] {
  const data = new Float32Array(1 + side * side);
  data[0] = 9;
  for (let y = 0; y < side; y++) for (let x = 0; x < side; x++) data[1 + y * side + x] = value(y, x);
  return { dtype: 'f32', shape: [1 + side * side, 1], data };
}

describe('positions for another resolution', () => {
  it('keep the class row and the shape that was asked for', () => {
    const result = interpolatedPositions(
      grid(4, (y, x) => y - x),
      [65, 1],
    );
    expect(result?.shape).toEqual([65, 1]);
    expect(result?.data[0]).toBe(9);
  });

  it('of an equal grid are the positions themselves', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 6 }),
        fc.array(fc.float({ noNaN: true, min: -5, max: 5 }), { minLength: 36, maxLength: 36 }),
        (side, values) => {
          const given = grid(side, (y, x) => (values[y * side + x] ?? 0) + 0);
          expect([...(interpolatedPositions(given, given.shape)?.data ?? [])]).toEqual([...given.data]);
        },
      ),
    );
  });

  it('are weighted by cubic convolution of steepness -0.75, the border repeated, as PyTorch does without antialiasing', () => {
    const result = interpolatedPositions(
      grid(2, (_, x) => x),
      [17, 1],
    );
    // Centres at -0.25, 0.25, 0.75 and 1.25: of the cells 1, 2, ... (all 1) the first takes k(1.25), the second
    // k(0.75) + k(1.75), where k(x) is 1.25 x³ - 2.25 x² + 1 up to 1 and -0.75 x³ + 3.75 x² - 6 x + 3 up to 2.
    const row = [-0.10546875, 0.26171875 - 0.03515625, 1 - 0.2265625, 1 + 0.10546875];
    expect([...(result?.data ?? [])].slice(1, 5)).toEqual(row);
  });

  it('of a larger grid are read at the centres alone', () => {
    const result = interpolatedPositions(
      grid(4, (_, x) => x * x),
      [5, 1],
    );
    // Centres at 0.5 and 2.5: k(0.5) = 0.59375 for both neighbours, k(1.5) = -0.09375 for both beyond.
    const row = [0.59375 * (0 + 1) - 0.09375 * (0 + 4), 0.59375 * (4 + 9) - 0.09375 * (1 + 9)];
    expect([...(result?.data ?? [])].slice(1, 3)).toEqual(row);
  });

  it('are refused for a grid that is no square', () => {
    expect(
      interpolatedPositions(
        grid(2, () => 0),
        [7, 1],
      ),
    ).toBeUndefined();
  });
});

describe('positions of frames for another number of frames', () => {
  it('lie between those at the middles of equal parts of the clip', () => {
    // Two frames at 1/4 and 3/4 of the clip; four at 1/8, 3/8, 5/8 and 7/8.
    expect([...interpolatedFrames(Float32Array.of(0, 10, 1, 20), 2, 4)]).toEqual([
      0, 10, 0.25, 12.5, 0.75, 17.5, 1, 20,
    ]);
    expect([...interpolatedFrames(Float32Array.of(0, 1, 2, 3), 1, 2)]).toEqual([0.5, 2.5]);
    expect([...interpolatedFrames(Float32Array.of(7), 1, 3)]).toEqual([7, 7, 7]);
  });

  it('of an equal number are the positions themselves', () => {
    const given = Float32Array.of(3, 1, 4, 1, 5, 9);
    expect(interpolatedFrames(given, 2, 3)).toEqual(given);
  });
});
