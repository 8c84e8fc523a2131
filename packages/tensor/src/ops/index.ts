/** Elements chosen by data: gathers, and the scatter that is their adjoint. */
import { dtypes } from '../dtype.ts';
import { DTypeError, printShape, ShapeError } from '../errors.ts';
import { and, cast, constant, type Expr, le, lt, select, term } from '../expr/expr.ts';
import { Node, type Op } from '../graph.ts';
import { sameShape, sizeOf } from '../shape.ts';
import { cast as castNode } from './elementwise.ts';
import { slice } from './view.ts';

interface GatherAttributes {
  readonly axis: number;
  /** The index has the operand's rank (PyTorch's gather); otherwise its axes replace the operand's axis (embedding). */
  readonly aligned: boolean;
}

const integer = (value: number): Expr => constant(value, 'i32');

const gatherOp: Op = {
  name: 'gather',
  kind: 'pointwise',
  reads: 'many',
  at(node, index, read) {
    const { axis, aligned } = node.attributes as GatherAttributes;
    const [x, chosen] = node.inputs as [Node, Node];
    const rank = aligned ? 1 : chosen.shape.length;
    const position = cast(read(1, aligned ? index : index.slice(axis, axis + rank)), 'i32');
    const extent = x.shape[axis] as number;
    const inside = and(le(integer(0), position), lt(position, integer(extent)));
    const clamped = term('min', [term('max', [position, integer(0)]), integer(extent - 1)]);
    const source = [...index.slice(0, axis), clamped, ...index.slice(axis + rank)];
    const { scalar, floating } = dtypes[node.dtype];
    return select(inside, read(0, source), constant(floating ? Number.NaN : 0, scalar));
  },
  vjp(node, gradient) {
    const { axis, aligned } = node.attributes as GatherAttributes;
    const [x, chosen] = node.inputs as [Node, Node];
    return [dtypes[x.dtype].floating ? scatterAdd(gradient, chosen, x.shape, axis, aligned) : undefined, undefined];
  },
};

/** Whole-number dtype and, where the indices are known on the host, their range. */
export function checkIndex(op: string, index: Node, extent: number, axis: number): void {
  if (dtypes[index.dtype].floating || index.dtype === 'bool') {
    throw new DTypeError(`${op}: the index has dtype ${index.dtype}`, 'use i32, u32 or u8');
  }
  const values = index.storage?.host;
  if (!values) return;
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number;
    if (value < 0 || value >= extent)
      throw new ShapeError(`${op}: index ${value} at position ${i} is outside of axis ${axis} with size ${extent}`);
  }
}

/**
 * Slices of `x` along `axis` chosen by an index of any shape, whose axes replace it. An index outside of the axis is
 * an error where it is known on the host; computed on a device it gives NaN (0 for whole numbers).
 */
export function take(x: Node, index: Node, axis: number): Node {
  checkIndex('indexSelect', index, x.shape[axis] as number, axis);
  const shape = [...x.shape.slice(0, axis), ...index.shape, ...x.shape.slice(axis + 1)];
  return new Node(gatherOp, [x, index], { axis, aligned: false } satisfies GatherAttributes, shape, x.dtype);
}

/** PyTorch's gather: out[i][j] = x[index[i][j]][j] for axis 0. The index is no longer than x on the other axes. */
export function gather(x: Node, index: Node, axis: number): Node {
  const fits =
    index.shape.length === x.shape.length &&
    index.shape.every((extent, i) => i === axis || extent <= (x.shape[i] as number));
  if (!fits)
    throw new ShapeError(
      `gather: the index ${printShape(index.shape)} does not fit into ${printShape(x.shape)} (axis ${axis})`,
    );
  checkIndex('gather', index, x.shape[axis] as number, axis);
  // Only what the index covers is looked at; the slice's adjoint pads the gradient.
  const covered = index.shape.map((extent, i) => (i === axis ? (x.shape[i] as number) : extent));
  const source = slice(
    x,
    covered.map(() => 0),
    covered,
  );
  return new Node(gatherOp, [source, index], { axis, aligned: true } satisfies GatherAttributes, index.shape, x.dtype);
}

export interface ScatterAttributes extends GatherAttributes {
  readonly outer: number;
  readonly count: number;
  readonly inner: number;
  readonly size: number;
}

export const scatterOp: Op = {
  name: 'scatterAdd',
  kind: 'scatter',
  vjp(node, gradient) {
    const { axis, aligned } = node.attributes as ScatterAttributes;
    const [, index] = node.inputs as [Node, Node];
    return [(aligned ? gather : take)(gradient, index, axis), undefined];
  },
};

/** Zeros of `shape` to which every element of `source` is added at its index along `axis`: the adjoint of a gather. */
export function scatterAdd(source: Node, index: Node, shape: readonly number[], axis: number, aligned: boolean): Node {
  const differs =
    shape.length !== index.shape.length || shape.some((extent, i) => i !== axis && extent !== index.shape[i]);
  if (aligned && differs) {
    throw new ShapeError(
      `scatterAdd: the index ${printShape(index.shape)} and ${printShape(shape)} differ beside axis ${axis}`,
      'pad the index',
    );
  }
  if (aligned && !sameShape(source.shape, index.shape)) {
    throw new ShapeError(
      `scatterAdd: the source ${printShape(source.shape)} and the index ${printShape(index.shape)} differ (along axis ${axis} of ${printShape(shape)})`,
      'there is one place for each element',
    );
  }
  checkIndex('scatterAdd', index, shape[axis] as number, axis);
  const attributes: ScatterAttributes = {
    axis,
    aligned,
    outer: sizeOf(shape.slice(0, axis)),
    count: aligned ? (index.shape[axis] as number) : sizeOf(index.shape),
    inner: sizeOf(shape.slice(axis + 1)),
    size: shape[axis] as number,
  };
  // Halves are added up in 32 bits.
  const dtype = source.dtype === 'f16' ? 'f32' : source.dtype;
  const sums = new Node(scatterOp, [castNode(source, dtype), castNode(index, 'i32')], attributes, shape, dtype);
  return castNode(sums, source.dtype);
}
