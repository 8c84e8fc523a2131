/** Tensors made from nothing but their index, and the broadcast that spreads them. */
import { type DType, dtypes } from '../dtype.ts';
import { cast, constant, type Expr } from '../expr/expr.ts';
import { Node, type Op } from '../graph.ts';
import { type Shape, sameShape } from '../shape.ts';
import { expand, reshape } from './view.ts';

const fillOp: Op = {
  name: 'fill',
  kind: 'pointwise',
  reads: 'once',
  at: (node) => constant(node.attributes as number, dtypes[node.dtype].scalar),
};

/** `shape` filled with one value. */
export function fill(shape: Shape, value: number, dtype: DType): Node {
  return new Node(fillOp, [], value, shape, dtype);
}

const iotaOp: Op = {
  name: 'iota',
  kind: 'pointwise',
  reads: 'once',
  at: (node, index) => cast(index[node.attributes as number] as Expr, dtypes[node.dtype].scalar),
};

/** `shape` filled with each element's position along `axis`. */
export function iota(shape: Shape, axis: number, dtype: DType): Node {
  return new Node(iotaOp, [], axis, shape, dtype);
}

/** `x` spread to `shape`, to which it must broadcast. */
export function broadcastTo(x: Node, shape: Shape): Node {
  if (sameShape(x.shape, shape)) return x;
  const missing = shape.length - x.shape.length;
  const aligned = missing === 0 ? x : reshape(x, [...new Array<number>(missing).fill(1), ...x.shape]);
  return sameShape(aligned.shape, shape) ? aligned : expand(aligned, shape);
}
