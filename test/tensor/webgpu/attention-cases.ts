// Kernels of attention over buffers of random numbers, and what they mean: index by index, in 64 bits.

import type { AttentionKernel, MatrixUse } from '../../../packages/tensor/src/compile/attention-kernel.ts';
import type { BufferUse } from '../../../packages/tensor/src/compile/kernel.ts';
import { type Case, randomValues } from './interpret.ts';

export interface AttentionCase {
  readonly batch: readonly number[];
  readonly queries: number;
  readonly keys: number;
  readonly width: number;
  readonly valueWidth: number;
  readonly causal?: boolean;
  readonly mask?: 'f32' | 'bool';
  /** Queries that may look nowhere, by the mask. */
  readonly empty?: readonly number[];
  /** One buffer [..., length, 3, heads, width], with results like it; the number of queries is that of the keys. */
  readonly packed?: boolean;
  readonly backward?: boolean;
}

export interface Prepared extends Case {
  readonly kernel: AttentionKernel;
  /** The number of the buffer that the kernel writes. */
  readonly output: number;
}

const count = (extents: readonly number[]): number => extents.reduce((a, b) => a * b, 1);
const strides = (extents: readonly number[]): number[] => extents.map((_, i) => count(extents.slice(i + 1)));

/** Matrices [rows, columns] at every point, one after the other. */
const separate = (batch: readonly number[], rows: number, columns: number): Omit<MatrixUse, 'buffer'> => ({
  offset: 0,
  batch: strides([...batch, rows * columns]).slice(0, -1),
  row: columns,
});

/** Part `part` of `parts` in [..., length, parts, heads, width], the heads being the last batch axis. */
function sideBySide(
  batch: readonly number[],
  length: number,
  width: number,
  part: number,
  parts: number,
): Omit<MatrixUse, 'buffer'> {
  const heads = batch[batch.length - 1] as number;
  const outer = batch.slice(0, -1);
  const row = parts * heads * width;
  return { offset: part * heads * width, batch: [...strides([...outer, length * row]).slice(0, -1), width], row };
}

export function prepare(c: AttentionCase): Prepared {
  const { batch, queries, keys, width, valueWidth, causal = false, packed = false, backward = false } = c;
  const points = count(batch);
  const inputs: BufferUse[] = [];
  const buffers: { readonly dtype: 'f32' | 'bool'; readonly values: readonly number[] }[] = [];
  const hold = (values: readonly number[], dtype: 'f32' | 'bool' = 'f32'): number => {
    inputs.push({ buffer: buffers.push({ dtype, values }) - 1, dtype });
    return inputs.length - 1;
  };
  const random = (length: number, seed: number): number[] => randomValues(length, 'f32', seed);
  const matrices: MatrixUse[] = [];
  const shapes: readonly (readonly [number, number])[] = [
    [queries, width],
    [keys, width],
    [keys, valueWidth],
  ];
  if (packed) {
    const buffer = hold(random(points * queries * 3 * width, 1));
    for (const part of [0, 1, 2]) matrices.push({ buffer, ...sideBySide(batch, queries, width, part, 3) });
  } else {
    shapes.forEach(([rows, columns], i) => {
      matrices.push({ buffer: hold(random(points * rows * columns, i + 1)), ...separate(batch, rows, columns) });
    });
  }
  const [q, k, v] = matrices as [MatrixUse, MatrixUse, MatrixUse];
  let mask: MatrixUse | undefined;
  if (c.mask) {
    // One mask for all points of the first axis.
    const own = batch.map((extent, axis) => (axis === 0 ? 1 : extent));
    const values = random(count(own) * queries * keys, 7);
    const isEmpty = (i: number): boolean => c.empty?.includes(Math.floor(i / keys) % queries) ?? false;
    const seen = (x: number, i: number): boolean => !isEmpty(i) && (x > 0 || i % keys === 0);
    const buffer =
      c.mask === 'bool'
        ? hold(
            values.map((x, i) => (seen(x, i) ? 1 : 0)),
            'bool',
          )
        : hold(values.map((x, i) => (isEmpty(i) ? Number.NEGATIVE_INFINITY : x)));
    const { row, batch: along } = separate(own, queries, keys);
    mask = { buffer, offset: 0, row, batch: along.map((stride, axis) => (axis === 0 ? 0 : stride)) };
  }
  const gradient: MatrixUse | undefined = backward
    ? {
        buffer: hold(random(points * queries * valueWidth, 5)),
        ...(packed ? sideBySide(batch, queries, valueWidth, 0, 1) : separate(batch, queries, valueWidth)),
      }
    : undefined;
  let results: MatrixUse[];
  let length = points * queries * valueWidth;
  if (!backward) {
    const place = packed ? sideBySide(batch, queries, valueWidth, 0, 1) : separate(batch, queries, valueWidth);
    results = [{ buffer: 0, ...place }];
  } else if (packed) {
    results = matrices.map((matrix) => ({ ...matrix, buffer: 0 }));
    length = points * queries * 3 * width;
  } else {
    length = 0;
    results = shapes.map(([rows, columns]) => {
      const offset = length;
      length += points * rows * columns;
      return { buffer: 0, ...separate(batch, rows, columns), offset };
    });
  }
  const output = buffers.push({ dtype: 'f32', values: new Array<number>(length).fill(0) }) - 1;
  const kernel: AttentionKernel = {
    kind: 'attention',
    name: backward ? 'attentionBackward' : 'attention',
    batch,
    queries,
    keys,
    width,
    valueWidth,
    scale: 1 / Math.sqrt(width),
    causal,
    q,
    k,
    v,
    ...(mask ? { mask } : {}),
    ...(gradient ? { gradient } : {}),
    results,
    inputs,
    outputs: [{ buffer: output, dtype: 'f32' }],
  };
  return { name: kernel.name, kernel, kernels: [kernel], buffers, output };
}

/** What the kernel leaves in its output: the definition of attention and of its gradients, with NaN where it has them. */
export function meaning({ kernel, buffers, output }: Prepared): number[] {
  const { batch, queries, keys, width, valueWidth, scale, causal, gradient } = kernel;
  const result = [...(buffers[output]?.values ?? [])];
  const range = (length: number): number[] => Array.from({ length }, (_, i) => i);
  const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
  for (const point of range(count(batch))) {
    const index = batch.map((extent, axis) => Math.floor(point / count(batch.slice(axis + 1))) % extent);
    const place = (use: MatrixUse, i: number, j: number): number =>
      use.offset + sum(index.map((x, axis) => x * (use.batch[axis] as number))) + i * use.row + j;
    const at = (use: MatrixUse, i: number, j: number): number =>
      buffers[(kernel.inputs[use.buffer] as BufferUse).buffer]?.values[place(use, i, j)] as number;
    const dot = (a: MatrixUse, i: number, b: MatrixUse, j: number, length: number): number =>
      sum(range(length).map((d) => at(a, i, d) * at(b, j, d)));
    const { mask } = kernel;
    const adds = mask !== undefined && kernel.inputs[mask.buffer]?.dtype === 'f32';
    const hidden = (i: number, j: number): boolean =>
      (causal && j > i) || (mask !== undefined && !adds && at(mask, i, j) === 0);
    const weights = range(queries).map((i) => {
      const scores = range(keys).map((j) =>
        hidden(i, j)
          ? Number.NEGATIVE_INFINITY
          : scale * dot(kernel.q, i, kernel.k, j, width) + (adds ? at(mask, i, j) : 0),
      );
      const most = Math.max(...scores);
      const powers = scores.map((x) => Math.exp(x - most));
      return powers.map((x) => x / sum(powers));
    });
    const weight = (i: number, j: number): number => (weights[i] as number[])[j] as number;
    if (!gradient) {
      for (const i of range(queries)) {
        for (const d of range(valueWidth)) {
          const [to] = kernel.results as [MatrixUse];
          result[place(to, i, d)] = sum(range(keys).map((j) => weight(i, j) * at(kernel.v, j, d)));
        }
      }
      continue;
    }
    const slopes = range(queries).map((i) => {
      const own = range(keys).map((j) => dot(gradient, i, kernel.v, j, valueWidth));
      const mean = sum(own.map((x, j) => x * weight(i, j)));
      return own.map((x, j) => (hidden(i, j) ? 0 : weight(i, j) * (x - mean)));
    });
    const slope = (i: number, j: number): number => (slopes[i] as number[])[j] as number;
    const [ofQueries, ofKeys, ofValues] = kernel.results as [MatrixUse, MatrixUse, MatrixUse];
    for (const d of range(width)) {
      for (const i of range(queries)) {
        result[place(ofQueries, i, d)] = scale * sum(range(keys).map((j) => slope(i, j) * at(kernel.k, j, d)));
      }
      for (const j of range(keys)) {
        result[place(ofKeys, j, d)] = scale * sum(range(queries).map((i) => slope(i, j) * at(kernel.q, i, d)));
      }
    }
    for (const j of range(keys)) {
      for (const d of range(valueWidth)) {
        result[place(ofValues, j, d)] = sum(range(queries).map((i) => weight(i, j) * at(gradient, i, d)));
      }
    }
  }
  return result;
}
