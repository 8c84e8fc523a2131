/** Rearrangements of stored tensors in any dtype, for checkpoints that lay parameters out differently. */
import { allocateHostArray, type HostTensor } from '@actionclip/tensor';
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
