/** Rearrangements in PyTorch's terms, each made of the primitive views. */
import { printShape, ShapeError } from '../errors.ts';
import type { Node } from '../graph.ts';
import { resolveAxis, type Shape, sizeOf } from '../shape.ts';
import { apply, constantLike, where } from './elementwise.ts';
import { broadcastTo, fill, iota } from './generate.ts';
import { reduce } from './reduce.ts';
import { concat, flip, pad, reshape, slice } from './view.ts';

export function expandTo(x: Node, wanted: Shape): Node {
  const missing = wanted.length - x.shape.length;
  if (missing < 0) throw new ShapeError(`expand: ${printShape(x.shape)} has more axes than ${printShape(wanted)}`);
  return broadcastTo(
    x,
    wanted.map((extent, i) => (extent === -1 ? (x.shape[i - missing] ?? 1) : extent)),
  );
}

export function flatten(x: Node, start: number, end: number): Node {
  if (x.shape.length === 0) return reshape(x, [1]);
  const [first, last] = [resolveAxis('flatten', start, x.shape.length), resolveAxis('flatten', end, x.shape.length)];
  return reshape(x, [...x.shape.slice(0, first), sizeOf(x.shape.slice(first, last + 1)), ...x.shape.slice(last + 1)]);
}

export function unsqueeze(x: Node, axis: number): Node {
  const position = resolveAxis('unsqueeze', axis, x.shape.length + 1);
  return reshape(x, [...x.shape.slice(0, position), 1, ...x.shape.slice(position)]);
}

export function squeeze(x: Node, axis?: number): Node {
  const only = axis === undefined ? undefined : resolveAxis('squeeze', axis, x.shape.length);
  return reshape(
    x,
    x.shape.filter((extent, i) => extent !== 1 || (only !== undefined && i !== only)),
  );
}

/** Elements [start, end) of an axis, every `step`-th, with Python's rules for negative and absent bounds. */
export function sliceAxis(
  x: Node,
  axis: number,
  start: number | undefined,
  end: number | undefined,
  step: number,
): Node {
  const resolved = resolveAxis('slice', axis, x.shape.length);
  const extent = x.shape[resolved] as number;
  if (!Number.isInteger(step) || step === 0)
    throw new ShapeError(`slice: step ${step} leads nowhere`, 'use a whole number other than 0');
  if (step < 0) {
    // Walking back is walking forward through the reversed axis.
    const mirror = (bound: number | undefined): number | undefined => {
      if (bound === undefined) return undefined;
      const fromFront = bound < 0 ? Math.max(-1, bound + extent) : Math.min(bound, extent - 1);
      return extent - 1 - fromFront;
    };
    return sliceAxis(flip(x, [resolved]), resolved, mirror(start), mirror(end), -step);
  }
  const bound = (value: number): number => Math.min(extent, Math.max(0, value < 0 ? value + extent : value));
  const first = bound(start ?? 0);
  const length = Math.max(0, Math.ceil((bound(end ?? extent) - first) / step));
  const shape = x.shape.map((size, i) => (i === resolved ? length : size));
  return slice(
    x,
    x.shape.map((_, i) => (i === resolved && length > 0 ? first : 0)),
    shape,
    x.shape.map((_, i) => (i === resolved ? step : 1)),
  );
}

export function select(x: Node, axis: number, index: number): Node {
  const resolved = resolveAxis('select', axis, x.shape.length);
  const extent = x.shape[resolved] as number;
  const position = index < 0 ? index + extent : index;
  if (!Number.isInteger(index) || position < 0 || position >= extent) {
    throw new ShapeError(`select: index ${index} is outside of axis ${resolved} of ${printShape(x.shape)}`);
  }
  const taken = sliceAxis(x, resolved, position, position + 1, 1);
  return reshape(
    taken,
    x.shape.filter((_, i) => i !== resolved),
  );
}

export function split(x: Node, size: number | readonly number[], axis: number): Node[] {
  const resolved = resolveAxis('split', axis, x.shape.length);
  const extent = x.shape[resolved] as number;
  const sizes: number[] = typeof size === 'number' ? [] : [...size];
  if (typeof size === 'number') {
    if (size < 1) throw new ShapeError(`split: pieces of size ${size}`, 'use at least 1');
    for (let left = extent; left > 0; left -= size) sizes.push(Math.min(size, left));
  } else if (sizes.reduce((a, b) => a + b, 0) !== extent) {
    throw new ShapeError(
      `split: sizes [${sizes.join(', ')}] do not add up to ${extent}, axis ${resolved} of ${printShape(x.shape)}`,
    );
  }
  let start = 0;
  return sizes.map((length) => {
    start += length;
    return sliceAxis(x, resolved, start - length, start, 1);
  });
}

/** [before, after] for each of the last axes; negative widths cut. */
export function padAxes(x: Node, widths: readonly (readonly [number, number])[], value: number): Node {
  const missing = x.shape.length - widths.length;
  if (missing < 0) throw new ShapeError(`pad: ${widths.length} pairs of widths for ${printShape(x.shape)}`);
  let cut = x;
  const both = x.shape.map((_, i): readonly [number, number] => widths[i - missing] ?? [0, 0]);
  both.forEach(([before, after], i) => {
    if (before < 0 || after < 0)
      cut = sliceAxis(cut, i, Math.max(0, -before), (cut.shape[i] as number) - Math.max(0, -after), 1);
  });
  const starts = both.map(([before]) => Math.max(0, before));
  const shape = cut.shape.map((extent, i) => extent + (starts[i] as number) + Math.max(0, both[i]?.[1] ?? 0));
  const zeros = pad(cut, starts, shape);
  if (value === 0 || zeros === cut) return zeros;
  // Elsewhere than inside, the padded ones are 0: there `value` is added.
  const inside = pad(fill(cut.shape, 1, 'i32'), starts, shape);
  return where(apply('eq', inside, fill([], 1, 'i32')), zeros, constantLike(x, value));
}

export function roll(x: Node, shift: number, axis: number): Node {
  const resolved = resolveAxis('roll', axis, x.shape.length);
  const extent = x.shape[resolved] as number;
  if (extent === 0) return x;
  const by = ((shift % extent) + extent) % extent;
  if (by === 0) return x;
  return concat([sliceAxis(x, resolved, extent - by, extent, 1), sliceAxis(x, resolved, 0, extent - by, 1)], resolved);
}

export function repeat(x: Node, counts: readonly number[]): Node {
  const missing = counts.length - x.shape.length;
  if (missing < 0)
    throw new ShapeError(`repeat: ${counts.length} counts for ${printShape(x.shape)}`, 'give one for each axis');
  let result = reshape(x, [...new Array<number>(missing).fill(1), ...x.shape]);
  counts.forEach((count, axis) => {
    const { shape } = result;
    // Axes before and behind are merged, so that the rank stays small.
    const [before, behind] = [sizeOf(shape.slice(0, axis)), sizeOf(shape.slice(axis))];
    const spread = broadcastTo(reshape(result, [before, 1, behind]), [before, count, behind]);
    result = reshape(
      spread,
      shape.map((extent, i) => (i === axis ? extent * count : extent)),
    );
  });
  return result;
}

/** x where column - row is at most (lower) or at least (upper) `diagonal`, and 0 elsewhere. */
export function triangle(x: Node, part: 'lower' | 'upper', diagonal: number): Node {
  const rank = x.shape.length;
  if (rank < 2) throw new ShapeError(`${part === 'lower' ? 'tril' : 'triu'}: ${printShape(x.shape)} is not a matrix`);
  const matrix = x.shape.slice(-2);
  const offset = apply('sub', iota(matrix, 1, 'i32'), iota(matrix, 0, 'i32'));
  const kept = apply(part === 'lower' ? 'le' : 'ge', offset, fill([], diagonal, 'i32'));
  return where(kept, x, constantLike(x, 0));
}

/** The diagonal of the last two axes. */
export function diagonal(x: Node): Node {
  const rank = x.shape.length;
  if (rank < 2) throw new ShapeError(`diagonal: ${printShape(x.shape)} is not a matrix`);
  const matrix = x.shape.slice(-2);
  const onDiagonal = apply('eq', iota(matrix, 0, 'i32'), iota(matrix, 1, 'i32'));
  const length = Math.min(...matrix);
  const rows = reduce('sum', where(onDiagonal, x, constantLike(x, 0)), [rank - 1]);
  return sliceAxis(reshape(rows, x.shape.slice(0, -1)), rank - 2, 0, length, 1);
}
