/** Tables of learned positions for another number of patches or frames than they were learned for. */
import type { HostTensor } from '@actionclip/tensor';

type Floats = HostTensor & { readonly data: Float32Array };

/** Where a value lies between others: their places and their shares. */
type Taps = readonly (readonly [place: number, share: number])[];

/** The steepness of the cubic convolution at its ends that PyTorch and OpenCV use. */
const CUBIC = -0.75;

/** The kernel of cubic convolution (Keys 1981) at a distance from its centre. */
function cubic(distance: number): number {
  const x = Math.abs(distance);
  if (x < 1) return ((CUBIC + 2) * x - (CUBIC + 3)) * x * x + 1;
  if (x < 2) return ((CUBIC * x - 5 * CUBIC) * x + 8 * CUBIC) * x - 4 * CUBIC;
  return 0;
}

const linear = (distance: number): number => Math.max(0, 1 - Math.abs(distance));

/** For each of `to` cells the `from` cells around its centre; beyond the border, the cell at the border. */
function tapsBetween(from: number, to: number, kernel: (distance: number) => number, reach: number): Taps[] {
  return Array.from({ length: to }, (_, cell) => {
    const centre = ((cell + 0.5) * from) / to - 0.5;
    const first = Math.floor(centre) - reach + 1;
    return Array.from({ length: 2 * reach }, (__, i) => {
      const place = first + i;
      return [Math.min(from - 1, Math.max(0, place)), kernel(centre - place)] as const;
    });
  });
}

/**
 * Positions of a square grid of patches, [1 + g², width] with the class token's first, for a grid of another size:
 * bicubic between the centres of patches without antialiasing, the border repeated beyond it. That is PyTorch's
 * `interpolate(mode='bicubic', align_corners=False)`, with which Vision Transformers since DeiT, and those of Hugging
 * Face, take their positions to another resolution. Undefined where a number of rows is no square and one.
 */
export function interpolatedPositions(given: Floats, shape: readonly number[]): HostTensor | undefined {
  const [rows = 0, width = 0] = given.shape;
  const from = Math.sqrt(rows - 1);
  const to = Math.sqrt((shape[0] ?? 0) - 1);
  if (!Number.isInteger(from) || !Number.isInteger(to) || from < 1) return undefined;
  const data = new Float32Array((1 + to * to) * width);
  data.set(given.data.subarray(0, width));
  const taps = tapsBetween(from, to, cubic, 2);
  const sums = new Float64Array(width);
  taps.forEach((vertical, row) => {
    taps.forEach((horizontal, column) => {
      sums.fill(0);
      for (const [y, ofRow] of vertical) {
        for (const [x, ofColumn] of horizontal) {
          const start = (1 + y * from + x) * width;
          for (let k = 0; k < width; k++) {
            sums[k] = (sums[k] as number) + ofRow * ofColumn * (given.data[start + k] as number);
          }
        }
      }
      data.set(sums, (1 + row * to + column) * width);
    });
  });
  return { dtype: 'f32', shape, data };
}

/**
 * Positions of frames, [T, width], for another number of frames: linear between the middles of T equal parts of the
 * clip, where the frames are sampled, and the outer ones as they are beyond those.
 */
export function interpolatedFrames(given: Float32Array, width: number, frames: number): Float32Array {
  const data = new Float32Array(frames * width);
  tapsBetween(given.length / width, frames, linear, 1).forEach((taps, frame) => {
    for (let k = 0; k < width; k++) {
      let sum = 0;
      for (const [place, share] of taps) sum += share * (given[place * width + k] as number);
      data[frame * width + k] = sum;
    }
  });
  return data;
}
