/** Sliding windows over the spatial axes of [batch, channels, ...spatial]: what convolution and pooling share. */
import { printShape, ShapeError } from '../errors.ts';
import type { Node } from '../graph.ts';
import type { Shape } from '../shape.ts';
import { padAxes, sliceAxis } from './rearrange.ts';
import { permute, reshape, unfold } from './view.ts';

/** A window for each spatial axis. */
export interface Window {
  readonly size: Shape;
  readonly stride: Shape;
  /** [before, after] for each spatial axis. */
  readonly padding: readonly (readonly [number, number])[];
  readonly dilation: Shape;
}

/** One number for all axes, or one for each. */
export function perAxis(op: string, name: string, value: number | readonly number[], rank: number): number[] {
  const list = typeof value === 'number' ? new Array<number>(rank).fill(value) : [...value];
  if (list.length !== rank) {
    throw new ShapeError(`${op}: ${name} [${list.join(', ')}] has ${list.length} entries for ${rank} spatial axes`);
  }
  if (list.some((entry) => !Number.isInteger(entry) || entry < (name === 'padding' ? 0 : 1))) {
    throw new ShapeError(
      `${op}: ${name} [${list.join(', ')}] must be whole numbers of at least ${name === 'padding' ? 0 : 1}`,
    );
  }
  return list;
}

/** Padding as pairs. `same` keeps the size at stride 1, with the odd one behind; `valid` is none. */
export function resolvePadding(
  op: string,
  padding: number | readonly number[] | 'same' | 'valid',
  size: Shape,
  stride: Shape,
  dilation: Shape,
): [number, number][] {
  if (padding === 'same') {
    if (stride.some((step) => step !== 1))
      throw new ShapeError(`${op}: padding 'same' with stride [${stride.join(', ')}]`, 'it needs stride 1');
    return size.map((extent, i) => {
      const total = (extent - 1) * (dilation[i] as number);
      return [Math.floor(total / 2), Math.ceil(total / 2)];
    });
  }
  return perAxis(op, 'padding', padding === 'valid' ? 0 : padding, size.length).map((width) => [width, width]);
}

/** Number of windows along each spatial axis. Throws ShapeError where a window does not fit. */
export function windowCounts(op: string, shape: Shape, { size, stride, padding, dilation }: Window): number[] {
  const lead = shape.length - size.length;
  return size.map((extent, i) => {
    const [before, after] = padding[i] as readonly [number, number];
    const padded = (shape[lead + i] as number) + before + after;
    const span = (extent - 1) * (dilation[i] as number) + 1;
    if (span > padded) {
      throw new ShapeError(
        `${op}: a window of ${span} (kernel ${printShape(size)}) does not fit the ${padded} elements of axis ${lead + i} of ${printShape(shape)}, padding included`,
        'use a smaller kernel or more padding',
      );
    }
    return Math.floor((padded - span) / (stride[i] as number)) + 1;
  });
}

/**
 * [...lead, ...spatial] as [...lead, ...windows, ...positions within the window]. Windows that tile the axes are a
 * reshape; the others overlap and are an unfold. Padding holds `fillValue`.
 */
export function windows(op: string, x: Node, window: Window, fillValue: number): Node {
  const { size, stride, padding, dilation } = window;
  const counts = windowCounts(op, x.shape, window);
  const spatial = size.length;
  const lead = x.shape.length - spatial;
  let result = padding.every(([before, after]) => before === 0 && after === 0) ? x : padAxes(x, padding, fillValue);
  if (size.every((extent, i) => extent === stride[i] && dilation[i] === 1)) {
    size.forEach((extent, i) => {
      result = sliceAxis(result, lead + i, 0, (counts[i] as number) * extent, 1);
    });
    const tiles = reshape(result, [
      ...x.shape.slice(0, lead),
      ...size.flatMap((extent, i) => [counts[i] as number, extent]),
    ]);
    return permute(tiles, [
      ...Array.from({ length: lead }, (_, i) => i),
      ...size.map((_, i) => lead + 2 * i),
      ...size.map((_, i) => lead + 2 * i + 1),
    ]);
  }
  size.forEach((extent, i) => {
    result = unfold(result, lead + i, extent, stride[i] as number, dilation[i] as number);
  });
  return result;
}
