/** Rearrangements of stored tensors in any dtype, for checkpoints that lay parameters out differently. */
import { allocateHostArray, elementCount, type HostTensor } from '@actionclip/tensor';
import { CheckpointError } from './errors.ts';

/**
 * [rows, columns] to [columns, rows].
 * @throws CheckpointError where the tensor is no matrix.
 */
export function transpose(tensor: HostTensor, where: string): HostTensor {
  const { dtype, shape, data } = tensor;
  const [rows, columns] = shape;
  if (rows === undefined || columns === undefined || shape.length !== 2) {
    throw new CheckpointError(
      `${where}: shape [${shape}] where a matrix was expected`,
      'the file is not what it seems',
    );
  }
  const out = allocateHostArray(dtype, data.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      // Both arrays have the element type of one dtype, which the union of all array types cannot say.
      out[column * rows + row] = data[row * columns + column] as never;
    }
  }
  return { dtype, shape: [columns, rows], data: out };
}

/** `count` rows from `first` on, as a view. */
export function rowsOf({ dtype, shape, data }: HostTensor, first: number, count: number): HostTensor {
  const [, ...others] = shape;
  const width = elementCount(others);
  return { dtype, shape: [count, ...others], data: data.subarray(first * width, (first + count) * width) };
}

/**
 * Joins tensors of one shape along their first axis.
 * @throws CheckpointError where one is absent, or dtypes or shapes differ.
 */
export function concatenateRows(parts: readonly (HostTensor | undefined)[], where: string): HostTensor {
  const present = parts.filter((part) => part !== undefined);
  const [first] = present;
  if (first === undefined || present.length !== parts.length) {
    throw new CheckpointError(
      `${where}: ${present.length} of its ${parts.length} parts (query, key, value) are there`,
      'the file is incomplete',
    );
  }
  if (present.some(({ dtype, shape }) => dtype !== first.dtype || shape.join() !== first.shape.join())) {
    const shapes = present.map(({ dtype, shape }) => `${dtype} [${shape}]`).join(', ');
    throw new CheckpointError(`${where}: query, key and value differ: ${shapes}`, 'the file is not what it seems');
  }
  const data = allocateHostArray(first.dtype, first.data.length * parts.length);
  present.forEach((part, index) => {
    data.set(part.data as never, index * first.data.length);
  });
  const [rows = 1, ...others] = first.shape;
  return { dtype: first.dtype, shape: [rows * parts.length, ...others], data };
}

/**
 * Positions of a square grid of patches, [1 + g², width] with the class token's first, for a grid of another size:
 * bilinear between the centres of patches, and those at the border as they are beyond it. Undefined where a number of
 * rows is no square and one.
 */
export function interpolatedPositions(
  given: HostTensor & { readonly data: Float32Array },
  shape: readonly number[],
): HostTensor | undefined {
  const [rows = 0, width = 0] = given.shape;
  const from = Math.sqrt(rows - 1);
  const to = Math.sqrt((shape[0] ?? 0) - 1);
  if (!Number.isInteger(from) || !Number.isInteger(to) || from < 1) return undefined;
  const data = new Float32Array((1 + to * to) * width);
  data.set(given.data.subarray(0, width));
  const place = (position: number): { low: number; high: number; share: number } => {
    const centre = Math.min(from - 1, Math.max(0, ((position + 0.5) * from) / to - 0.5));
    const low = Math.floor(centre);
    return { low, high: Math.min(from - 1, low + 1), share: centre - low };
  };
  const at = (y: number, x: number, column: number): number =>
    given.data[(1 + y * from + x) * width + column] as number;
  for (let row = 0; row < to; row++) {
    const y = place(row);
    for (let column = 0; column < to; column++) {
      const x = place(column);
      for (let k = 0; k < width; k++) {
        const top = at(y.low, x.low, k) * (1 - x.share) + at(y.low, x.high, k) * x.share;
        const bottom = at(y.high, x.low, k) * (1 - x.share) + at(y.high, x.high, k) * x.share;
        data[(1 + row * to + column) * width + k] = top * (1 - y.share) + bottom * y.share;
      }
    }
  }
  return { dtype: 'f32', shape, data };
}
