/** Arithmetic on shapes: sizes, strides, axes and broadcasting, with errors that name the operation and the axis. */
import { printShape, ShapeError } from './errors.ts';

export type Shape = readonly number[];

/** Number of elements; 1 for a scalar. */
export function sizeOf(shape: Shape): number {
  let size = 1;
  for (const extent of shape) size *= extent;
  return size;
}

/** Row-major strides in elements. */
export function stridesOf(shape: Shape): number[] {
  const strides = new Array<number>(shape.length);
  let stride = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    strides[i] = stride;
    stride *= shape[i] as number;
  }
  return strides;
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((extent, i) => extent === b[i]);
}

/** `axis` counted from the front; negative ones count from the back. Throws ShapeError when out of range. */
export function resolveAxis(op: string, axis: number, rank: number): number {
  const resolved = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(axis) || resolved < 0 || resolved >= rank) {
    throw new ShapeError(
      `${op}: axis ${axis} is out of range for rank ${rank}`,
      `axes run from ${-rank} to ${rank - 1}`,
    );
  }
  return resolved;
}

/** Several axes, resolved, sorted and distinct; all of them when `axes` is undefined. */
export function resolveAxes(op: string, axes: number | readonly number[] | undefined, rank: number): number[] {
  if (axes === undefined) return Array.from({ length: rank }, (_, i) => i);
  const list = (typeof axes === 'number' ? [axes] : axes).map((axis) => resolveAxis(op, axis, rank));
  const distinct = [...new Set(list)].sort((a, b) => a - b);
  if (distinct.length !== list.length) throw new ShapeError(`${op}: axes [${list.join(', ')}] name one axis twice`);
  return distinct;
}

/** The shape to which all `shapes` broadcast, by NumPy's rule. Throws ShapeError naming the two shapes and the axis. */
export function broadcastShapes(op: string, ...shapes: readonly Shape[]): number[] {
  const rank = Math.max(0, ...shapes.map((shape) => shape.length));
  const result = new Array<number>(rank).fill(1);
  // Which shape each size of the result came from, for the message.
  const origins = new Array<Shape>(rank).fill([]);
  for (const shape of shapes) {
    for (let back = 1; back <= shape.length; back++) {
      const extent = shape[shape.length - back] as number;
      const known = result[rank - back] as number;
      if (extent === 1 || extent === known) continue;
      if (known !== 1) {
        throw new ShapeError(
          `${op}: ${printShape(origins[rank - back] as Shape)} and ${printShape(shape)} do not broadcast: sizes ${known} and ${extent} differ (axis -${back})`,
          'sizes must be equal or 1, counted from the last axis',
        );
      }
      result[rank - back] = extent;
      origins[rank - back] = shape;
    }
  }
  return result;
}

/** Throws ShapeError unless every extent is a whole number of at least 0 and the rank is at most 8. */
export function checkShape(op: string, shape: Shape): void {
  if (shape.length > 8)
    throw new ShapeError(`${op}: rank ${shape.length} of ${printShape(shape)} is above 8`, 'merge some axes first');
  shape.forEach((extent, i) => {
    if (!Number.isInteger(extent) || extent < 0) {
      throw new ShapeError(
        `${op}: size ${extent} of axis ${i} in ${printShape(shape)} is not a whole number of at least 0`,
      );
    }
  });
  if (sizeOf(shape) >= 2 ** 31)
    throw new ShapeError(`${op}: ${printShape(shape)} has 2^31 elements or more`, 'split it');
}

/** Fills in one -1 in `wanted` so that the sizes agree. Throws ShapeError when they cannot. */
export function resolveReshape(shape: Shape, wanted: Shape): number[] {
  const size = sizeOf(shape);
  const free = wanted.filter((extent) => extent === -1).length;
  const known = wanted.reduce((product, extent) => (extent === -1 ? product : product * extent), 1);
  const fail = (why: string): never => {
    throw new ShapeError(`reshape: ${printShape(shape)} to ${printShape(wanted)}: ${why}`);
  };
  if (free > 1) fail('only one size may be -1');
  if (free === 1 && (known === 0 || size % known !== 0)) fail(`${size} elements do not divide by ${known}`);
  const result = wanted.map((extent) => (extent === -1 ? size / known : extent));
  if (sizeOf(result) !== size) fail(`${size} elements cannot become ${sizeOf(result)}`);
  return result;
}
