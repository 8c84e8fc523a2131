/** Small products, arrangements and comparisons of tensors, as functions with PyTorch's names. */
import { printShape, ShapeError } from './errors.ts';
import { logaddexp as logaddexpNode } from './ops/activation.ts';
import { broadcast } from './ops/elementwise.ts';
import { resolveAxis } from './shape.ts';
import { Tensor } from './tensor.ts';

function expectRank(op: string, x: Tensor, rank: number): void {
  if (x.rank !== rank) throw new ShapeError(`${op}: ${printShape(x.shape)} has rank ${x.rank}, not ${rank}`);
}

/** Σ a · b of two vectors of one length. */
export function dot(a: Tensor, b: Tensor): Tensor {
  expectRank('dot', a, 1);
  expectRank('dot', b, 1);
  return a.matmul(b);
}
/** [n] and [m] to [n, m]. */
export function outer(a: Tensor, b: Tensor): Tensor {
  expectRank('outer', a, 1);
  expectRank('outer', b, 1);
  return a.unsqueeze(1).mul(b);
}
/** A matrix times a vector: [n, m] by [m] to [n]. */
export function mv(matrix: Tensor, vector: Tensor): Tensor {
  expectRank('mv', matrix, 2);
  expectRank('mv', vector, 1);
  return matrix.matmul(vector);
}
/** Products of equally many matrices: [batch, n, k] by [batch, k, m] to [batch, n, m]. */
export function bmm(a: Tensor, b: Tensor): Tensor {
  expectRank('bmm', a, 3);
  expectRank('bmm', b, 3);
  if (a.shape[0] !== b.shape[0]) {
    throw new ShapeError(
      `bmm: ${printShape(a.shape)} x ${printShape(b.shape)}: batches ${a.shape[0]} and ${b.shape[0]} differ (axis 0)`,
      'use matmul() to broadcast',
    );
  }
  return a.matmul(b);
}
/** The sum of a matrix's diagonal. */
export function trace(x: Tensor): Tensor {
  expectRank('trace', x, 2);
  return x.diagonal().sum();
}

/** Vectors spread over the grid of all of them; `xy` exchanges the first two axes, as NumPy's default does. */
export function meshgrid(vectors: readonly Tensor[], indexing: 'ij' | 'xy' = 'ij'): Tensor[] {
  vectors.forEach((vector) => {
    expectRank('meshgrid', vector, 1);
  });
  const shape = vectors.map(({ size }) => size);
  return vectors.map((vector, i) => {
    const grid = vector.reshape(shape.map((_, axis) => (axis === i ? -1 : 1))).expand(...shape);
    return indexing === 'xy' && shape.length > 1 ? grid.transpose(0, 1) : grid;
  });
}
/** Repeats the whole tensor; missing counts are 1. */
export function tile(x: Tensor, counts: readonly number[]): Tensor {
  const missing = Math.max(0, x.rank - counts.length);
  return x.repeat(...new Array<number>(missing).fill(1), ...counts);
}
/** Two axes exchanged. */
export function swapaxes(x: Tensor, first: number, second: number): Tensor {
  return x.transpose(first, second);
}
/** One axis moved to another place; the others keep their order. */
export function moveaxis(x: Tensor, from: number, to: number): Tensor {
  const [source, target] = [resolveAxis('moveaxis', from, x.rank), resolveAxis('moveaxis', to, x.rank)];
  const order = x.shape.flatMap((_, i) => (i === source ? [] : [i]));
  order.splice(target, 0, source);
  return x.permute(...order);
}
/** The slices along an axis, which disappears. */
export function unbind(x: Tensor, axis = 0): Tensor[] {
  const resolved = resolveAxis('unbind', axis, x.rank);
  return Array.from({ length: x.shape[resolved] as number }, (_, i) => x.select(resolved, i));
}
/** At least one axis: a scalar becomes [1]. */
export function atleast1d(x: Tensor): Tensor {
  return x.rank >= 1 ? x : x.reshape([1]);
}
/** At least two axes, the missing ones in front. */
export function atleast2d(x: Tensor): Tensor {
  return x.rank >= 2 ? x : x.reshape([1, ...atleast1d(x).shape]);
}
/** At least three axes: a missing one in front of a vector, one behind a matrix, as NumPy has it. */
export function atleast3d(x: Tensor): Tensor {
  return x.rank >= 3 ? x : x.rank === 2 ? x.unsqueeze(2) : atleast2d(x).unsqueeze(2);
}

/** start + weight · (end - start). */
export function lerp(start: Tensor, end: Tensor, weight: Tensor | number): Tensor {
  return start.add(end.sub(start).mul(weight));
}
/** log(e^a + e^b) without overflow. */
export function logaddexp(a: Tensor, b: Tensor): Tensor {
  return new Tensor(logaddexpNode(a.node, b.node));
}
/** All tensors at the shape to which they broadcast. */
export function broadcastTensors(tensors: readonly Tensor[]): Tensor[] {
  return broadcast(
    'broadcastTensors',
    tensors.map(({ node }) => node),
  ).map((node) => new Tensor(node));
}

export interface Tolerance {
  /** 1e-5 if absent. */
  readonly rtol?: number;
  /** 1e-8 if absent. */
  readonly atol?: number;
  /** Whether NaN is close to NaN; no if absent. */
  readonly equalNan?: boolean;
}

/** Whether |a - b| is at most atol + rtol · |b|, element by element; equal infinities are close. */
export function isclose(a: Tensor, b: Tensor, { rtol = 1e-5, atol = 1e-8, equalNan = false }: Tolerance = {}): Tensor {
  const near = a.sub(b).abs().le(b.abs().mul(rtol).add(atol)).logicalAnd(b.isfinite());
  const close = near.logicalOr(a.eq(b));
  return equalNan ? close.logicalOr(a.isnan().logicalAnd(b.isnan())) : close;
}
/** Whether all elements of a and b are close, computed now. */
export async function allclose(a: Tensor, b: Tensor, tolerance: Tolerance = {}): Promise<boolean> {
  return (await isclose(a, b, tolerance).eq(0).sum().item()) === 0;
}
