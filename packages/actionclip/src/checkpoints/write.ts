/** Writing weights as safetensors under the names of this package, of OpenAI's CLIP or of Hugging Face's CLIPModel. */
import { type HostTensor, planSafetensors, safetensorsValues, type TensorDescription } from '@actionclip/tensor';
import { throwIfInterrupted } from '../interrupted.ts';
import { writePartsAtomically } from './atomic-file.ts';
import { CheckpointError } from './errors.ts';
import { LAYOUTS, namesInLayout, type Renaming } from './names.ts';
import { dtypeInPrecision, type FloatDtype, inPrecision } from './precision.ts';
import { rowsOf, transpose } from './rearrange.ts';

/** A tensor whose values are read when asked for. */
export interface ReadableTensor extends TensorDescription {
  read(): Promise<HostTensor>;
}

/** Tensors by name, of which no more than one at a time need be in memory. */
export type ReadableTensors = ReadonlyMap<string, ReadableTensor>;

/** Tensors in memory, for functions that take them from anywhere. */
export function readable(tensors: ReadonlyMap<string, HostTensor>): ReadableTensors {
  return new Map(
    [...tensors].map(([name, tensor]) => [
      name,
      { dtype: tensor.dtype, shape: tensor.shape, read: async () => tensor },
    ]),
  );
}

export interface WriteOptions {
  readonly metadata?: ReadonlyMap<string, string>;
  /** Writing stops with an InterruptedError, and nothing is left of it. */
  readonly signal?: AbortSignal;
  /** Called after each tensor. */
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
}

/**
 * Writes a safetensors file tensor by tensor, atomically.
 * @throws what a tensor's `read` throws; then the path holds what it held before.
 */
export async function writeSafetensors(
  path: string,
  tensors: ReadableTensors,
  { metadata, signal, onProgress }: WriteOptions = {},
): Promise<void> {
  const { header, entries, fileBytes } = planSafetensors(tensors, metadata);
  await writePartsAtomically(path, async (append) => {
    await append(header);
    for (const entry of entries) {
      throwIfInterrupted(signal);
      const tensor = tensors.get(entry.name);
      if (tensor !== undefined) await append(safetensorsValues(entry, await tensor.read()));
      onProgress?.(header.byteLength + entry.end, fileBytes);
    }
  });
}

/** Tensors in a dtype, each rounded when it is read: see `inPrecision`. */
export function tensorsInPrecision(tensors: ReadableTensors, dtype: FloatDtype, source: string): ReadableTensors {
  return new Map(
    [...tensors].map(([name, tensor]) => [
      name,
      {
        dtype: dtypeInPrecision(tensor.dtype, dtype),
        shape: tensor.shape,
        read: async () => inPrecision(await tensor.read(), dtype, `${source}: ${name}`),
      },
    ]),
  );
}

/**
 * Parameters by this package's names under those of a layout: query, key and value apart and matrices transposed
 * where the layout has them so.
 * @throws CheckpointError that names what has no place in the layout.
 */
export function tensorsInLayout(
  tensors: ReadableTensors,
  name: 'openai' | 'huggingface',
  source: string,
): ReadableTensors {
  const layout = LAYOUTS.find((one) => one.name === name);
  const written = new Map<string, ReadableTensor>();
  const homeless: string[] = [];
  for (const [ours, tensor] of tensors) {
    const renamings = layout === undefined ? [] : namesInLayout(layout, ours);
    if (renamings.length === 0) homeless.push(ours);
    for (const renaming of renamings) written.set(renaming.name, rearranged(tensor, renaming, `${source}: ${ours}`));
  }
  const [first, ...others] = homeless;
  if (first === undefined) return written;
  throw new CheckpointError(
    `${source}: ${first}${others.length > 0 ? ` and ${others.length} others have` : ' has'} no place in the ${name} layout`,
    'write the actionclip layout, which holds every parameter',
  );
}

const PARTS = 3;

function rearranged(tensor: ReadableTensor, { third, transpose: turned }: Renaming, where: string): ReadableTensor {
  const { dtype, shape } = tensor;
  if (turned) {
    return { dtype, shape: [...shape].reverse(), read: async () => transpose(await tensor.read(), where) };
  }
  if (third === undefined) return tensor;
  const [rows = 0, ...others] = shape;
  if (shape.length === 0 || rows % PARTS !== 0) {
    throw new CheckpointError(
      `${where}: shape [${shape}] does not divide into query, key and value`,
      'the file is not what it seems',
    );
  }
  const count = rows / PARTS;
  return { dtype, shape: [count, ...others], read: async () => rowsOf(await tensor.read(), third * count, count) };
}
