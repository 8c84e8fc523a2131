/** Pooling: the largest or the mean element of each window, and means over a given number of windows. */
import { printShape, ShapeError } from '../errors.ts';
import type { Node } from '../graph.ts';
import { sizeOf } from '../shape.ts';
import { floating } from './composite.ts';
import { matmul, transpose } from './contract.ts';
import { apply, cast, constantLike, where } from './elementwise.ts';
import { fill, iota } from './generate.ts';
import { reduce } from './reduce.ts';
import { permute, reshape } from './view.ts';
import { perAxis, resolvePadding, type Window, windows } from './window.ts';

export interface PoolOptions {
  /** Step between windows; the window's size if absent. */
  readonly stride?: number | readonly number[];
  /** On both sides of every axis; 0 if absent. */
  readonly padding?: number | readonly number[];
}

export interface MaxPoolOptions extends PoolOptions {
  readonly dilation?: number | readonly number[];
}

export interface AveragePoolOptions extends PoolOptions {
  /** Whether padding counts as elements of value 0; yes if absent. */
  readonly countIncludePad?: boolean;
}

function windowOf(
  op: string,
  x: Node,
  spatial: number,
  kernel: number | readonly number[],
  { stride, padding = 0, dilation = 1 }: MaxPoolOptions,
): Window {
  if (x.shape.length < spatial + 1)
    throw new ShapeError(
      `${op}: ${printShape(x.shape)} has fewer than ${spatial + 1} axes`,
      'channels come before the spatial axes',
    );
  const size = perAxis(op, 'kernel', kernel, spatial);
  const steps = perAxis(op, 'stride', stride ?? size, spatial);
  const spacing = perAxis(op, 'dilation', dilation, spatial);
  return { size, stride: steps, padding: resolvePadding(op, padding, size, steps, spacing), dilation: spacing };
}

/** `fold` over the positions within each window, the last `spatial` axes. */
function foldWindows(fold: 'max' | 'sum', spread: Node, spatial: number): Node {
  const lead = spread.shape.length - spatial;
  const shape = spread.shape.slice(0, lead);
  const flat = reshape(spread, [...shape, sizeOf(spread.shape.slice(lead))]);
  return reshape(reduce(fold, flat, [lead]), shape);
}

/** The largest element of each window; equal ones share the gradient. */
export function maxPool(spatial: number, x: Node, kernel: number | readonly number[], options: MaxPoolOptions): Node {
  const op = `maxPool${spatial}d`;
  const window = windowOf(op, x, spatial, kernel, options);
  return foldWindows('max', windows(op, floating(x), window, Number.NEGATIVE_INFINITY), spatial);
}

/** The mean of each window. */
export function averagePool(
  spatial: number,
  x: Node,
  kernel: number | readonly number[],
  options: AveragePoolOptions,
): Node {
  const op = `avgPool${spatial}d`;
  const window = windowOf(op, x, spatial, kernel, options);
  const real = floating(x);
  const sums = foldWindows('sum', windows(op, real, window, 0), spatial);
  if (options.countIncludePad ?? true) return apply('div', sums, constantLike(sums, sizeOf(window.size)));
  const inside = fill(x.shape.slice(x.shape.length - spatial), 1, real.dtype);
  return apply('div', sums, foldWindows('sum', windows(op, inside, window, 0), spatial));
}

/** `x` with axis `axis`, of size n, mapped by a matrix [m, n] of weights of means to size m, never in half precision. */
export function mapAxis(x: Node, axis: number, matrix: Node): Node {
  const order = [...x.shape.map((_, i) => i).filter((i) => i !== axis), axis];
  const product = matmul(permute(x, order), transpose(matrix), 'single');
  return permute(
    product,
    order.map((_, i) => order.indexOf(i)),
  );
}

/** Means over `count` windows that cover an axis of `extent` as evenly as whole numbers allow: a matrix [count, extent]. */
function evenMeans(count: number, extent: number, like: Node): Node {
  const shape = [count, extent];
  const whole = (value: number): Node => fill([], value, 'i32');
  const row = iota(shape, 0, 'i32');
  const column = iota(shape, 1, 'i32');
  const product = apply('mul', row, whole(extent));
  const start = apply('floorDivide', product, whole(count)); // ⌊row · extent / count⌋
  const end = apply('floorDivide', apply('add', product, whole(extent + count - 1)), whole(count)); // ⌈(row + 1) · extent / count⌉
  const inside = apply('logicalAnd', apply('ge', column, start), apply('lt', column, end));
  const share = apply('reciprocal', cast(apply('sub', end, start), like.dtype));
  return where(inside, share, constantLike(like, 0));
}

/** The mean over `size` windows along each of the last axes. */
export function adaptiveAveragePool(spatial: number, x: Node, size: number | readonly number[]): Node {
  const op = `adaptiveAvgPool${spatial}d`;
  if (x.shape.length < spatial + 1)
    throw new ShapeError(
      `${op}: ${printShape(x.shape)} has fewer than ${spatial + 1} axes`,
      'channels come before the spatial axes',
    );
  let result = floating(x);
  perAxis(op, 'size', size, spatial).forEach((count, i) => {
    const axis = x.shape.length - spatial + i;
    const extent = result.shape[axis] as number;
    if (extent === 0) throw new ShapeError(`${op}: axis ${axis} of ${printShape(x.shape)} has no elements`);
    result = mapAxis(result, axis, evenMeans(count, extent, result));
  });
  return result;
}
