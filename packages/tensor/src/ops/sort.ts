/**
 * Order and running sums, from views and comparisons alone. Sorting is Batcher's bitonic network: log² n passes of
 * compare-and-exchange between the halves of reshaped blocks, so that it runs on every device.
 */
import { dtypes } from '../dtype.ts';
import { printShape, ShapeError } from '../errors.ts';
import type { Node } from '../graph.ts';
import { sizeOf } from '../shape.ts';
import { apply, cast, where } from './elementwise.ts';
import { fill, iota } from './generate.ts';
import { gather } from './index.ts';
import { concat, flip, pad, permute, reshape, slice } from './view.ts';

export interface Sorted {
  readonly values: Node;
  /** Where each value stood, i32. */
  readonly indices: Node;
}

interface Pair {
  readonly key: Node;
  readonly position: Node;
}

/** `x` with `axis` moved to the end, and the order that moves it back. */
function toEnd(x: Node, axis: number): { moved: Node; back: number[] } {
  const order = x.shape.map((_, i) => i).filter((i) => i !== axis);
  order.push(axis);
  return { moved: permute(x, order), back: order.map((_, i) => order.indexOf(i)) };
}

/** Stable sort along `axis`. The gradient flows to the elements by their positions. */
export function sort(x: Node, axis: number, descending: boolean): Sorted {
  const indices = argsort(x, axis, descending);
  return { values: gather(x, indices, axis), indices };
}

/** The first k of the sorted elements. */
export function topk(x: Node, k: number, axis: number, largest: boolean): Sorted {
  const extent = x.shape[axis] as number;
  if (!Number.isInteger(k) || k < 0 || k > extent)
    throw new ShapeError(`topk: k = ${k} of ${extent} elements along axis ${axis} of ${printShape(x.shape)}`);
  const all = argsort(x, axis, largest);
  const indices = slice(
    all,
    all.shape.map(() => 0),
    all.shape.map((e, i) => (i === axis ? k : e)),
  );
  return { values: gather(x, indices, axis), indices };
}

/** The order of the elements along the last axis, i32. */
export function argsortLast(x: Node): Node {
  return argsort(x, x.shape.length - 1, false);
}

function argsort(x: Node, axis: number, descending: boolean): Node {
  const { moved, back } = toEnd(x, axis);
  const rank = moved.shape.length;
  const extent = moved.shape[rank - 1] as number;
  if (extent <= 1) return iota(x.shape, axis, 'i32');
  let width = 1;
  while (width < extent) width *= 2;
  // All other axes are one, so that the network's own axes fit into the rank.
  const rows = [sizeOf(moved.shape.slice(0, -1))];
  const full = [...rows, width];
  const zeros = full.map(() => 0);
  const real = dtypes[x.dtype].floating;
  const flat = reshape(moved, [...rows, extent]);
  const ordered = real || x.dtype === 'i32' ? flat : cast(flat, x.dtype === 'u32' ? 'u32' : 'i32');
  // Padding has positions from `extent` on, which is what sorts it behind everything.
  const position = iota(full, 1, 'i32');
  let pair: Pair = { key: width === extent ? ordered : pad(ordered, zeros, full), position };
  for (let block = 2; block <= width; block *= 2) {
    for (let distance = block / 2; distance >= 1; distance /= 2)
      pair = exchange(pair, rows, width, distance, distance === block / 2, extent, descending);
  }
  const kept = slice(pair.position, zeros, [...rows, extent]);
  return permute(reshape(kept, moved.shape), back);
}

/**
 * One pass: partners at `distance` exchange so that the smaller comes first. The first pass of a block compares with
 * the mirrored second half, which makes all later passes run in one direction.
 */
function exchange(
  pair: Pair,
  rows: readonly number[],
  width: number,
  distance: number,
  mirrored: boolean,
  extent: number,
  descending: boolean,
): Pair {
  const shape = [...rows, width / (2 * distance), 2, distance];
  const side = rows.length + 1;
  const half = (x: Node, which: 0 | 1): Node => {
    const blocks = reshape(x, shape);
    const part = slice(
      blocks,
      shape.map((_, i) => (i === side ? which : 0)),
      shape.map((e, i) => (i === side ? 1 : e)),
    );
    return which === 1 && mirrored ? flip(part, [side + 1]) : part;
  };
  const [a, b] = [half(pair.key, 0), half(pair.key, 1)];
  const [p, q] = [half(pair.position, 0), half(pair.position, 1)];
  const padding = fill([], extent, 'i32');
  const before = descending ? apply('gt', b, a) : apply('lt', b, a);
  const tie = apply('logicalAnd', apply('eq', a, b), apply('lt', q, p));
  const real = apply('logicalAnd', apply('logicalOr', before, tie), apply('lt', q, padding));
  const swap = apply('logicalOr', real, apply('logicalAnd', apply('ge', p, padding), apply('lt', q, padding)));
  const keep = apply('logicalAnd', apply('lt', p, padding), apply('ge', q, padding));
  const exchanged = apply('logicalAnd', swap, apply('logicalNot', keep));
  const join = (first: Node, second: Node): Node => {
    const low = where(exchanged, second, first);
    const high = where(exchanged, first, second);
    return reshape(concat([low, mirrored ? flip(high, [side + 1]) : high], side), [...rows, width]);
  };
  return { key: join(a, b), position: join(p, q) };
}

/** Running sums along `axis`: log n passes, each adding the sums of twice as many elements. */
export function cumsum(x: Node, axis: number): Node {
  let sums = x.dtype === 'bool' || x.dtype === 'u8' ? cast(x, 'i32') : x;
  const extent = x.shape[axis] as number;
  for (let shift = 1; shift < extent; shift *= 2) {
    const shape = sums.shape.map((e, i) => (i === axis ? e - shift : e));
    const front = slice(
      sums,
      sums.shape.map(() => 0),
      shape,
    );
    sums = apply(
      'add',
      sums,
      pad(
        front,
        sums.shape.map((_, i) => (i === axis ? shift : 0)),
        sums.shape,
      ),
    );
  }
  return sums;
}
