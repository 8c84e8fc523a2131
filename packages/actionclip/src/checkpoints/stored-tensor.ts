/**
 * Tensors that are still in their file: listed, checked and not read. They are read whole, or piece by piece into memory
 * that is used again, and can be joined and rearranged before that. Runs in browsers.
 */
import {
  bytesToHostArray,
  elementCount,
  HOST_DTYPES,
  type HostArray,
  type HostDtype,
  type HostTensor,
} from '@actionclip/tensor';
import type { ByteSource } from './byte-source.ts';
import { concatenateRows, requireEqualParts, requireMatrix, transpose } from './rearrange.ts';

export interface StoredTensor {
  readonly dtype: HostDtype;
  readonly shape: readonly number[];
  /** Reads all of it. */
  read(): Promise<HostTensor>;
  /** Reads it in row-major order, in pieces that may lie in `memory`: each is valid until the next one is asked for. */
  pieces(memory: Uint8Array): AsyncIterable<HostArray>;
  /** Reads its bytes as the file has them into memory of as many bytes; absent where they lie otherwise in the file. */
  readonly readInto?: (memory: Uint8Array) => Promise<void>;
}

/** The largest piece, in bytes of the file: it stays in a processor's cache between reading and writing. */
export const PIECE_BYTES = 2 ** 20;

/** The bytes that a tensor takes in memory, in its own dtype. */
export const storedBytes = ({ dtype, shape }: Pick<StoredTensor, 'dtype' | 'shape'>): number =>
  elementCount(shape) * HOST_DTYPES[dtype].bytes;

/** A tensor whose elements lie in row-major order from byte `begin` of a source on. */
export function tensorAt(
  bytes: ByteSource,
  { dtype, shape, begin }: { dtype: HostDtype; shape: readonly number[]; begin: () => Promise<number> | number },
): StoredTensor {
  const length = storedBytes({ dtype, shape });
  return {
    dtype,
    shape,
    async read() {
      return { dtype, shape, data: bytesToHostArray(dtype, await bytes.read(await begin(), length)) };
    },
    async *pieces(memory) {
      const start = await begin();
      const step = memory.byteLength - (memory.byteLength % HOST_DTYPES[dtype].bytes);
      for (let done = 0; done < length; done += step) {
        yield bytesToHostArray(dtype, await bytes.read(start + done, Math.min(step, length - done), memory));
      }
    },
    async readInto(memory) {
      const found = await bytes.read(await begin(), length, memory);
      if (found.buffer !== memory.buffer) memory.set(found);
    },
  };
}

/** A tensor that can only be read as a whole. */
export function wholeTensor(
  { dtype, shape }: Pick<StoredTensor, 'dtype' | 'shape'>,
  read: () => Promise<HostTensor>,
): StoredTensor {
  return {
    dtype,
    shape,
    read,
    async *pieces() {
      yield (await read()).data;
    },
  };
}

/** A tensor that is in memory. */
export const tensorInMemory = (tensor: HostTensor): StoredTensor => wholeTensor(tensor, async () => tensor);

/** The transposed matrix; `where` is named in errors. */
export function transposeStored(tensor: StoredTensor, where: string): StoredTensor {
  const [rows, columns] = requireMatrix(tensor.shape, where);
  return wholeTensor({ dtype: tensor.dtype, shape: [columns, rows] }, async () =>
    transpose(await tensor.read(), where),
  );
}

/** Tensors of one shape joined along their first axis; `where` is named in errors. */
export function concatenateStored(parts: readonly (StoredTensor | undefined)[], where: string): StoredTensor {
  const present = requireEqualParts(parts, where);
  const [{ dtype, shape }] = present;
  const [rows = 1, ...others] = shape;
  return {
    dtype,
    shape: [rows * parts.length, ...others],
    read: async () => concatenateRows(await Promise.all(present.map((part) => part.read())), where),
    async *pieces(memory) {
      for (const part of present) yield* part.pieces(memory);
    },
    ...(present.every(({ readInto }) => readInto !== undefined)
      ? {
          async readInto(memory) {
            const step = memory.length / present.length;
            for (const [at, part] of present.entries()) {
              await part.readInto?.(memory.subarray(at * step, (at + 1) * step));
            }
          },
        }
      : {}),
  };
}
