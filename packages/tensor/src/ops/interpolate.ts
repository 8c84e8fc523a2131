/**
 * Interpolation along the last axes. Each axis is one product with a matrix of weights that the graph computes from
 * positions; nearest is a gather.
 */
import { printShape, ShapeError } from '../errors.ts';
import type { Node } from '../graph.ts';
import { floating } from './composite.ts';
import { apply, cast, where } from './elementwise.ts';
import { fill, iota } from './generate.ts';
import { take } from './index.ts';
import { mapAxis } from './pool.ts';
import { perAxis } from './window.ts';

export type InterpolationMode = 'nearest' | 'linear' | 'bilinear' | 'bicubic';

export interface InterpolateOptions {
  /** The size to reach, for all spatial axes or for each. */
  readonly size?: number | readonly number[];
  /** Instead of a size: the factor by which axes grow. */
  readonly scaleFactor?: number;
  /** `nearest` if absent. */
  readonly mode?: InterpolationMode;
  /** Whether the centres of the first and last elements keep their places (rather than the outer edges); no if absent. */
  readonly alignCorners?: boolean;
}

/** Where in the source, counted in elements, each row's centre lies: [count, columns]. */
type Positions = Node;

const number = (value: number): Node => fill([], value, 'f32');
const plus = (a: Node, b: Node): Node => apply('add', a, b);
const minus = (a: Node, b: Node): Node => apply('sub', a, b);
const times = (a: Node, b: Node): Node => apply('mul', a, b);

function positions(count: number, extent: number, scale: number, alignCorners: boolean): Positions {
  const row = iota([count, extent], 0, 'f32');
  if (alignCorners) return times(row, number(count > 1 ? (extent - 1) / (count - 1) : 0));
  return minus(times(plus(row, number(0.5)), number(scale)), number(0.5));
}

/** 1 - |distance| between the two neighbours; beyond the edges the last element stands alone. */
function linearWeights(source: Positions, extent: number): Node {
  const column = iota(source.shape, 1, 'f32');
  const inside = apply('minimum', apply('maximum', source, number(0)), number(extent - 1));
  return apply('relu', minus(number(1), apply('abs', minus(inside, column))));
}

/** The sharpness of the cubic, as PyTorch and OpenCV have it. */
const a = -0.75;

/** Keys' cubic convolution kernel at a distance of at most 1, and between 1 and 2. */
function cubic(distance: Node, near: boolean): Node {
  const [c3, c2, c1, c0] = near ? [a + 2, -(a + 3), 0, 1] : [a, -5 * a, 8 * a, -4 * a];
  const horner = [c2, c1, c0] as const;
  return horner.reduce((sum, c) => plus(times(sum, distance), number(c)), number(c3 as number));
}

/** Keys' cubic over four neighbours; neighbours beyond the edges are the edge's element. */
function cubicWeights(source: Positions, extent: number): Node {
  const column = iota(source.shape, 1, 'f32');
  const base = apply('floor', source);
  let weights: Node | undefined;
  for (const offset of [-1, 0, 1, 2]) {
    const neighbour = plus(base, number(offset));
    const place = apply('minimum', apply('maximum', neighbour, number(0)), number(extent - 1));
    const value = cubic(apply('abs', minus(source, neighbour)), offset === 0 || offset === 1);
    const own = where(apply('eq', place, column), value, number(0));
    weights = weights === undefined ? own : plus(weights, own);
  }
  return weights as Node;
}

/** ⌊i · extent / count⌋, or ⌊i · scale⌋ where a factor was given, for each i. */
function nearestIndex(count: number, extent: number, scale: number | undefined): Node {
  const row = iota([count], 0, 'i32');
  if (scale === undefined)
    return apply('floorDivide', apply('mul', row, fill([], extent, 'i32')), fill([], count, 'i32'));
  const place = cast(apply('floor', times(cast(row, 'f32'), number(scale))), 'i32');
  return apply('minimum', place, fill([], extent - 1, 'i32'));
}

const modes: Readonly<
  Record<InterpolationMode, { spatial?: number; weights?: (source: Positions, extent: number) => Node }>
> = {
  nearest: {},
  linear: { spatial: 1, weights: linearWeights },
  bilinear: { spatial: 2, weights: linearWeights },
  bicubic: { spatial: 2, weights: cubicWeights },
};

/** [batch, channels, ...spatial] with spatial axes resampled. */
export function interpolate(x: Node, options: InterpolateOptions): Node {
  const { size, scaleFactor, mode = 'nearest', alignCorners = false } = options;
  const { spatial = x.shape.length - 2, weights } = modes[mode];
  if (x.shape.length !== spatial + 2 || spatial < 1) {
    throw new ShapeError(
      `interpolate: ${mode} takes ${modes[mode].spatial ?? '1 or more'} spatial axes, and ${printShape(x.shape)} has ${x.shape.length - 2}`,
      'the input is [batch, channels, ...spatial]',
    );
  }
  if ((size === undefined) === (scaleFactor === undefined))
    throw new ShapeError('interpolate: give either size or scaleFactor');
  const counts =
    size === undefined
      ? x.shape.slice(2).map((extent) => Math.floor(extent * (scaleFactor as number)))
      : perAxis('interpolate', 'size', size, spatial);
  let result = weights ? floating(x) : x;
  counts.forEach((count, i) => {
    const axis = 2 + i;
    const extent = x.shape[axis] as number;
    if (extent === 0 || count === 0)
      throw new ShapeError(
        `interpolate: axis ${axis} of ${printShape(x.shape)} cannot go from ${extent} to ${count} elements`,
      );
    if (count === extent && scaleFactor === undefined) return;
    const factor = scaleFactor === undefined ? undefined : 1 / scaleFactor;
    if (!weights) result = take(result, nearestIndex(count, extent, factor), axis);
    else {
      const matrix = weights(positions(count, extent, factor ?? extent / count, alignCorners), extent);
      result = mapAxis(result, axis, cast(matrix, result.dtype));
    }
  });
  return result;
}
