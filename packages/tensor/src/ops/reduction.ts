/** Reductions as users know them: optional axes, dropped or kept, and those made of several steps. */
import type { ReduceOp } from '../compile/kernel.ts';
import { printShape, ShapeError } from '../errors.ts';
import type { Node } from '../graph.ts';
import { resolveAxes, resolveAxis, sizeOf } from '../shape.ts';
import { floating } from './composite.ts';
import { apply, cast, constantLike, where } from './elementwise.ts';
import { broadcastTo, fill, iota } from './generate.ts';
import { stopGradient } from './map.ts';
import { reduce } from './reduce.ts';
import { reshape } from './view.ts';

type Axes = number | readonly number[] | undefined;

/** `x` with its `axes`, of size 1, dropped unless they are to be kept. */
function settle(x: Node, axes: readonly number[], keepdim: boolean): Node {
  return keepdim
    ? x
    : reshape(
        x,
        x.shape.filter((_, i) => !axes.includes(i)),
      );
}

/** `op` over `axes`. An extremum over nothing is an error; the sum is 0 and the product 1. */
export function fold(op: ReduceOp, x: Node, axes: Axes, keepdim: boolean): Node {
  const resolved = resolveAxes(op, axes, x.shape.length);
  if ((op === 'max' || op === 'min') && resolved.some((axis) => x.shape[axis] === 0)) {
    throw new ShapeError(`${op}: ${printShape(x.shape)} has no elements along axes [${resolved.join(', ')}]`);
  }
  return settle(reduce(op, x, resolved), resolved, keepdim);
}

const countOf = (x: Node, axes: readonly number[]): number => sizeOf(axes.map((axis) => x.shape[axis] as number));

export function mean(x: Node, axes: Axes, keepdim: boolean): Node {
  const resolved = resolveAxes('mean', axes, x.shape.length);
  const real = floating(x);
  const total = reduce('sum', real, resolved);
  return settle(apply('div', total, constantLike(total, countOf(x, resolved))), resolved, keepdim);
}

/** Mean squared deviation, with n - correction in the denominator. */
export function variance(x: Node, axes: Axes, keepdim: boolean, correction: number): Node {
  const resolved = resolveAxes('var', axes, x.shape.length);
  const real = floating(x);
  const deviation = apply('sub', real, mean(real, resolved, true));
  const total = reduce('sum', apply('square', deviation), resolved);
  return settle(
    apply('div', total, constantLike(total, Math.max(0, countOf(x, resolved) - correction))),
    resolved,
    keepdim,
  );
}

/** √x with slope 0 at 0, where the root's own slope is infinite: the norm of a zero vector has gradient 0. */
function rootOrZero(x: Node): Node {
  const isZero = apply('eq', x, constantLike(x, 0));
  return where(isZero, x, apply('sqrt', where(isZero, constantLike(x, 1), x)));
}

export function norm(x: Node, axes: Axes, keepdim: boolean, p: number): Node {
  const resolved = resolveAxes('norm', axes, x.shape.length);
  const magnitude = apply('abs', floating(x));
  if (p === Number.POSITIVE_INFINITY) return settle(reduce('max', magnitude, resolved), resolved, keepdim);
  if (p === 1) return settle(reduce('sum', magnitude, resolved), resolved, keepdim);
  if (p === 2) return settle(rootOrZero(reduce('sum', apply('square', floating(x)), resolved)), resolved, keepdim);
  const powers = reduce('sum', apply('pow', magnitude, constantLike(magnitude, p)), resolved);
  return settle(apply('pow', powers, constantLike(powers, 1 / p)), resolved, keepdim);
}

/** log Σ e^x, with the largest element taken out first. */
export function logsumexp(x: Node, axis: number, keepdim: boolean): Node {
  const resolved = [resolveAxis('logsumexp', axis, x.shape.length)];
  const real = floating(x);
  // Any finite shift gives the same value, so no gradient needs to flow through it; rows of -∞ are not shifted.
  const largest = stopGradient(reduce('max', real, resolved));
  const top = where(apply('isfinite', largest), largest, constantLike(largest, 0));
  const powers = reduce('sum', apply('exp', apply('sub', real, top)), resolved);
  return settle(apply('add', top, apply('log', powers)), resolved, keepdim);
}

/** Position of the first element that attains the extremum, as i32. */
export function argExtremum(op: 'max' | 'min', x: Node, axis: number | undefined, keepdim: boolean): Node {
  if (axis === undefined) {
    const position = argExtremum(op, reshape(x, [sizeOf(x.shape)]), 0, false);
    return keepdim
      ? reshape(
          position,
          x.shape.map(() => 1),
        )
      : position;
  }
  if (x.dtype === 'bool') return argExtremum(op, cast(x, 'i32'), axis, keepdim);
  const resolved = resolveAxis(`arg${op}`, axis, x.shape.length);
  const extent = x.shape[resolved] as number;
  if (extent === 0) throw new ShapeError(`arg${op}: ${printShape(x.shape)} has no elements along axis ${resolved}`);
  const attained = apply('eq', x, broadcastTo(reduce(op, x, [resolved]), x.shape));
  const position = where(attained, iota(x.shape, resolved, 'i32'), fill([], extent, 'i32'));
  return settle(reduce('min', position, [resolved]), [resolved], keepdim);
}
