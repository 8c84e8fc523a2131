/** Rearrangements of stored tensors in any dtype, for checkpoints that lay parameters out differently. */
import { allocateHostArray, elementCount, type HostTensor } from '@actionclip/tensor';
import { CheckpointError } from './errors.ts';

/** @throws CheckpointError where a shape is not that of a matrix. */
export function requireMatrix(shape: readonly number[], where: string): [rows: number, columns: number] {
  const [rows, columns] = shape;
  if (rows === undefined || columns === undefined || shape.length !== 2) {
    throw new CheckpointError(
      `${where}: shape [${shape}] where a matrix was expected`,
      'the file is not what it seems',
    );
  }
  return [rows, columns];
}

/**
 * [rows, columns] to [columns, rows].
 * @throws CheckpointError where the tensor is no matrix.
 */
export function transpose({ dtype, shape, data }: HostTensor, where: string): HostTensor {
  const [rows, columns] = requireMatrix(shape, where);
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

/** @throws CheckpointError where one of the parts (query, key, value) is absent, or dtypes or shapes differ. */
export function requireEqualParts<Part extends Pick<HostTensor, 'dtype' | 'shape'>>(
  parts: readonly (Part | undefined)[],
  where: string,
): [Part, ...Part[]] {
  const [first, ...others] = parts.filter((part) => part !== undefined);
  if (first === undefined || 1 + others.length !== parts.length) {
    const found = first === undefined ? 0 : 1 + others.length;
    throw new CheckpointError(
      `${where}: ${found} of its ${parts.length} parts (query, key, value) are there`,
      'the file is incomplete',
    );
  }
  if (others.some(({ dtype, shape }) => dtype !== first.dtype || shape.join() !== first.shape.join())) {
    const shapes = [first, ...others].map(({ dtype, shape }) => `${dtype} [${shape}]`).join(', ');
    throw new CheckpointError(`${where}: query, key and value differ: ${shapes}`, 'the file is not what it seems');
  }
  return [first, ...others];
}

/**
 * Joins tensors of one shape along their first axis.
 * @throws CheckpointError where one is absent, or dtypes or shapes differ.
 */
export function concatenateRows(parts: readonly (HostTensor | undefined)[], where: string): HostTensor {
  const present = requireEqualParts(parts, where);
  const [first] = present;
  const data = allocateHostArray(first.dtype, first.data.length * parts.length);
  present.forEach((part, index) => {
    data.set(part.data as never, index * first.data.length);
  });
  const [rows = 1, ...others] = first.shape;
  return { dtype: first.dtype, shape: [rows * parts.length, ...others], data };
}
