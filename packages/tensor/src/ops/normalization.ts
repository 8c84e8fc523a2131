/** Normalisations over groups of elements: each is a layer normalisation of rearranged axes, or a scaling by a norm. */
import { printShape, ShapeError } from '../errors.ts';
import type { Node } from '../graph.ts';
import { resolveAxis, type Shape, sameShape, sizeOf } from '../shape.ts';
import { floating, layerNorm as normalizeLast } from './composite.ts';
import { apply, constantLike } from './elementwise.ts';
import { reduce } from './reduce.ts';
import { norm } from './reduction.ts';
import { permute, reshape } from './view.ts';

/** `y` times a weight plus a bias, where they are given. */
function affine(y: Node, weight: Node | undefined, bias: Node | undefined): Node {
  const scaled = weight ? apply('mul', y, weight) : y;
  return bias ? apply('add', scaled, bias) : scaled;
}

function checkAffine(op: string, x: Node, wanted: Shape, weight: Node | undefined, bias: Node | undefined): void {
  for (const [name, given] of [['weight', weight] as const, ['bias', bias] as const]) {
    if (given && !sameShape(given.shape, wanted)) {
      throw new ShapeError(
        `${op}: the ${name} ${printShape(given.shape)} does not fit the input ${printShape(x.shape)}`,
        `${printShape(wanted)} was expected`,
      );
    }
  }
}

/** How many of x's last axes `normalizedShape` covers. */
function checkTail(op: string, x: Node, normalizedShape: Shape): number {
  const lead = x.shape.length - normalizedShape.length;
  if (lead < 0 || normalizedShape.length === 0 || !sameShape(x.shape.slice(lead), normalizedShape)) {
    const axis = normalizedShape.findIndex((extent, i) => extent !== x.shape[lead + i]);
    throw new ShapeError(
      `${op}: the last axes of ${printShape(x.shape)} are not ${printShape(normalizedShape)}${axis < 0 || lead < 0 ? '' : ` (axis ${lead + axis})`}`,
    );
  }
  return lead;
}

/** Layer normalisation over the last axes, of shape `normalizedShape`. */
export function layerNorm(
  x: Node,
  normalizedShape: Shape,
  weight: Node | undefined,
  bias: Node | undefined,
  eps: number,
): Node {
  const lead = checkTail('layerNorm', x, normalizedShape);
  checkAffine('layerNorm', x, normalizedShape, weight, bias);
  if (normalizedShape.length === 1) return normalizeLast(x, weight, bias, eps);
  const rows = reshape(x, [...x.shape.slice(0, lead), sizeOf(normalizedShape)]);
  return affine(reshape(normalizeLast(rows, undefined, undefined, eps), x.shape), weight, bias);
}

/** x / √(mean(x²) + eps) over the last axes, of shape `normalizedShape`. */
export function rmsNorm(x: Node, normalizedShape: Shape, weight: Node | undefined, eps: number): Node {
  const lead = checkTail('rmsNorm', x, normalizedShape);
  checkAffine('rmsNorm', x, normalizedShape, weight, undefined);
  const rows = reshape(floating(x), [...x.shape.slice(0, lead), sizeOf(normalizedShape)]);
  const squares = reduce('sum', apply('square', rows), [lead]);
  const mean = apply('div', squares, constantLike(squares, sizeOf(normalizedShape)));
  const y = apply('mul', rows, apply('rsqrt', apply('add', mean, constantLike(mean, eps))));
  return affine(reshape(y, x.shape), weight, undefined);
}

const channelsOf = (op: string, x: Node): number => {
  if (x.shape.length < 2)
    throw new ShapeError(`${op}: ${printShape(x.shape)} has no channel axis`, 'the input is [batch, channels, ...]');
  return x.shape[1] as number;
};

/** One value for each channel, as it broadcasts against [batch, channels, ...]. */
const perChannel = (value: Node, x: Node): Node =>
  reshape(value, [x.shape[1] as number, ...x.shape.slice(2).map(() => 1)]);

const affineChannels = (y: Node, weight: Node | undefined, bias: Node | undefined): Node =>
  affine(y, weight && perChannel(weight, y), bias && perChannel(bias, y));

/** Normalises each of `groups` groups of channels of each sample of [batch, channels, ...]. */
export function groupNorm(
  x: Node,
  groups: number,
  weight: Node | undefined,
  bias: Node | undefined,
  eps: number,
): Node {
  const channels = channelsOf('groupNorm', x);
  if (!Number.isInteger(groups) || groups < 1 || channels % groups !== 0)
    throw new ShapeError(
      `groupNorm: ${channels} channels (axis 1 of ${printShape(x.shape)}) do not divide into ${groups} groups`,
    );
  checkAffine('groupNorm', x, [channels], weight, bias);
  const batch = x.shape[0] as number;
  const rows = reshape(x, [batch, groups, sizeOf(x.shape.slice(1)) / groups]);
  return affineChannels(reshape(normalizeLast(rows, undefined, undefined, eps), x.shape), weight, bias);
}

/** Each channel of [batch, channels, ...] normalised by its own mean and variance over all other axes. */
export function batchNormTraining(x: Node, weight: Node | undefined, bias: Node | undefined, eps: number): Node {
  const channels = channelsOf('batchNorm', x);
  checkAffine('batchNorm', x, [channels], weight, bias);
  const front = [1, 0, ...x.shape.slice(2).map((_, i) => i + 2)]; // its own inverse
  const moved = permute(x, front);
  const rows = reshape(moved, [channels, sizeOf(x.shape) / Math.max(1, channels)]);
  const y = permute(reshape(normalizeLast(rows, undefined, undefined, eps), moved.shape), front);
  return affineChannels(y, weight, bias);
}

/** Each channel of [batch, channels, ...] normalised by given statistics. */
export function batchNormEvaluation(
  x: Node,
  mean: Node,
  variance: Node,
  weight: Node | undefined,
  bias: Node | undefined,
  eps: number,
): Node {
  const channels = channelsOf('batchNorm', x);
  checkAffine('batchNorm', x, [channels], weight, bias);
  checkAffine('batchNorm', x, [channels], mean, variance);
  const inverse = apply('rsqrt', apply('add', variance, constantLike(variance, eps)));
  const y = apply('mul', apply('sub', floating(x), perChannel(mean, x)), perChannel(inverse, x));
  return affineChannels(y, weight, bias);
}

/** x / max(‖x‖, eps) along an axis. */
export function normalize(x: Node, axis: number, p: number, eps: number): Node {
  const real = floating(x);
  const length = norm(real, resolveAxis('normalize', axis, x.shape.length), true, p);
  return apply('div', real, apply('maximum', length, constantLike(length, eps)));
}

/** a·b / (max(‖a‖, eps) · max(‖b‖, eps)) along an axis of the broadcast operands. */
export function cosineSimilarity(a: Node, b: Node, axis: number, eps: number): Node {
  const product = apply('mul', normalize(a, axis, 2, eps), normalize(b, axis, 2, eps));
  const resolved = resolveAxis('cosineSimilarity', axis, product.shape.length);
  const sum = reduce('sum', product, [resolved]);
  return reshape(
    sum,
    sum.shape.filter((_, i) => i !== resolved),
  );
}
