import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { interpolatedPositions } from '../../../packages/actionclip/src/checkpoints/rearrange.ts';

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

  it('of a ramp lie on the ramp, and beyond the outer centres at its ends', () => {
    const result = interpolatedPositions(
      grid(2, (_, x) => x),
      [17, 1],
    );
    expect([...(result?.data ?? [])].slice(1, 5)).toEqual([0, 0.25, 0.75, 1]);
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
