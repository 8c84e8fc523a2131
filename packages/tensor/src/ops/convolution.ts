/** Convolution over one to three spatial axes, as windows and one contraction. */
import { printShape, ShapeError } from '../errors.ts';
import type { Node } from '../graph.ts';
import { type Shape, sizeOf } from '../shape.ts';
import { composite } from './composite.ts';
import { matmul, transpose } from './contract.ts';
import { apply } from './elementwise.ts';
import { type ProductPrecision, productPrecision } from './precision.ts';
import { reduce } from './reduce.ts';
import { permute, reshape } from './view.ts';
import { perAxis, resolvePadding, type Window, windowCounts, windows } from './window.ts';

export interface ConvolutionOptions {
  /** Step between windows, for all axes or for each; 1 if absent. */
  readonly stride?: number | readonly number[];
  /** Zeros on both sides of every axis; `same` keeps the size at stride 1. 0 if absent. */
  readonly padding?: number | readonly number[] | 'same' | 'valid';
  /** Distance between a window's elements; 1 if absent. */
  readonly dilation?: number | readonly number[];
  /** Channels are cut into so many groups that do not see each other; 1 if absent. */
  readonly groups?: number;
}

interface Attributes {
  readonly window: Window;
  readonly groups: number;
  /** Of the contraction: the definition is made later, perhaps elsewhere. */
  readonly precision: ProductPrecision;
}

/** [batch, channels, ...spatial] by [out, channels / groups, ...kernel] to [batch, out, ...windows]. */
const convolution = composite<Attributes>({
  name: 'convolution',
  shape: ([x, weight], { window }) => [
    (x as Node).shape[0] as number,
    (weight as Node).shape[0] as number,
    ...windowCounts('convolution', (x as Node).shape, window),
  ],
  define: (inputs, { window, groups, precision }) => {
    const [x, weight] = inputs as [Node, Node];
    const [batch, channels] = x.shape as [number, number];
    const out = weight.shape[0] as number;
    const spatial = window.size.length;
    const patch = sizeOf(window.size);
    const spread = windows('convolution', x, window, 0); // [batch, channels, ...windows, ...kernel]
    const counts = spread.shape.slice(2, 2 + spatial);
    const points = sizeOf(counts);
    if (groups === channels && out === channels) {
      // Depth-wise: each channel is weighted by itself, so there is nothing to contract.
      const weighted = apply(
        'mul',
        reshape(spread, [batch, channels, points, patch]),
        reshape(weight, [channels, 1, patch]),
      );
      return reshape(reduce('sum', weighted, [3]), [batch, channels, ...counts]);
    }
    const own = channels / groups;
    const kernelAxes = window.size.map((_, i) => 2 + spatial + i);
    const windowAxes = window.size.map((_, i) => 2 + i);
    if (groups === 1) {
      const rows = reshape(permute(spread, [0, ...windowAxes, 1, ...kernelAxes]), [batch * points, channels * patch]);
      const product = matmul(rows, transpose(reshape(weight, [out, channels * patch])), precision); // [batch · points, out]
      return reshape(permute(reshape(product, [batch, points, out]), [0, 2, 1]), [batch, out, ...counts]);
    }
    const flat = permute(reshape(spread, [batch, groups, own, points, patch]), [1, 0, 3, 2, 4]);
    const rows = reshape(flat, [groups, batch * points, own * patch]);
    const kernels = transpose(reshape(weight, [groups, out / groups, own * patch])); // [groups, own · patch, out / groups]
    const product = reshape(matmul(rows, kernels, precision), [groups, batch, points, out / groups]);
    return reshape(permute(product, [1, 0, 3, 2]), [batch, out, ...counts]);
  },
});

function checkChannels(op: string, x: Shape, weight: Shape, groups: number, spatial: number): void {
  const shapes = `${printShape(x)} by ${printShape(weight)}`;
  if (x.length !== spatial + 2 || weight.length !== spatial + 2) {
    throw new ShapeError(
      `${op}: ${shapes}: both need ${spatial + 2} axes`,
      'the input is [batch, channels, ...spatial], the weight [out, channels / groups, ...kernel]',
    );
  }
  const [channels, out] = [x[1] as number, weight[0] as number];
  if (!Number.isInteger(groups) || groups < 1 || channels % groups !== 0 || out % groups !== 0)
    throw new ShapeError(
      `${op}: ${shapes}: ${channels} and ${out} channels (axis 1, axis 0) do not divide into ${groups} groups`,
    );
  if (weight[1] !== channels / groups) {
    throw new ShapeError(
      `${op}: ${shapes}: the weight takes ${weight[1]} channels (axis 1), the input has ${channels} in ${groups} groups (axis 1)`,
    );
  }
}

/** Convolution (cross-correlation, as in PyTorch) over `spatial` axes; the batch axis may be missing. */
export function convolve(
  spatial: 1 | 2 | 3,
  x: Node,
  weight: Node,
  bias: Node | undefined,
  options: ConvolutionOptions,
): Node {
  const op = `conv${spatial}d`;
  if (x.shape.length === spatial + 1) {
    const y = convolve(spatial, reshape(x, [1, ...x.shape]), weight, bias, options);
    return reshape(y, y.shape.slice(1));
  }
  const groups = options.groups ?? 1;
  checkChannels(op, x.shape, weight.shape, groups, spatial);
  const size = weight.shape.slice(2);
  const stride = perAxis(op, 'stride', options.stride ?? 1, spatial);
  const dilation = perAxis(op, 'dilation', options.dilation ?? 1, spatial);
  const padding = resolvePadding(op, options.padding ?? 0, size, stride, dilation);
  const window: Window = { size, stride, padding, dilation };
  windowCounts(op, x.shape, window);
  const y = convolution([x, weight], { window, groups, precision: productPrecision() });
  if (!bias) return y;
  const out = weight.shape[0] as number;
  if (bias.shape.length !== 1 || bias.shape[0] !== out) {
    throw new ShapeError(
      `${op}: the bias ${printShape(bias.shape)} does not fit the weight ${printShape(weight.shape)}`,
      `${out} elements (axis 0) were expected`,
    );
  }
  return apply('add', y, reshape(bias, [out, ...window.size.map(() => 1)]));
}
