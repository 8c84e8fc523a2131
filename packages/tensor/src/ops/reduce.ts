/** Reductions. The primitive keeps reduced axes with size 1; the public operations drop them on request. */
import type { ReduceOp } from '../compile/kernel.ts';
import { type DType, dtypes } from '../dtype.ts';
import { Node, type Op } from '../graph.ts';
import { apply, cast, constantLike, where } from './elementwise.ts';
import { broadcastTo, fill } from './generate.ts';

export interface ReduceAttributes {
  readonly op: ReduceOp;
  readonly axes: readonly number[];
}

/** The value of a reduction over nothing. */
export const identities: Readonly<Record<ReduceOp, number>> = {
  sum: 0,
  prod: 1,
  max: Number.NEGATIVE_INFINITY,
  min: Number.POSITIVE_INFINITY,
};

type Gradient = (node: Node, gradient: Node, x: Node) => Node;

/** The gradient of an extremum goes to the elements that attain it, in equal parts, as PyTorch's amax does. */
const extremumGradient: Gradient = (node, gradient, x) => {
  const { axes } = node.attributes as ReduceAttributes;
  const attained = cast(apply('eq', x, broadcastTo(node, x.shape)), x.dtype);
  const share = apply('div', gradient, reduce('sum', attained, axes));
  return apply('mul', attained, broadcastTo(share, x.shape));
};

const gradients: Readonly<Record<ReduceOp, Gradient>> = {
  sum: (_, gradient, x) => broadcastTo(gradient, x.shape),
  max: extremumGradient,
  min: extremumGradient,
  // The product of the others, without dividing by zero: P / x where no factor is 0, and where exactly one is, the
  // product of the rest for that one.
  prod: (node, gradient, x) => {
    const { axes } = node.attributes as ReduceAttributes;
    const zero = constantLike(x, 0);
    const isZero = apply('eq', x, zero);
    const zeros = broadcastTo(reduce('sum', cast(isZero, x.dtype), axes), x.shape);
    const nonzero = where(isZero, constantLike(x, 1), x);
    const others = apply('div', broadcastTo(reduce('prod', nonzero, axes), x.shape), nonzero);
    const counts = apply('eq', zeros, cast(isZero, x.dtype));
    return apply('mul', broadcastTo(gradient, x.shape), where(counts, others, zero));
  },
};

export const reduceOp: Op = {
  name: 'reduce',
  kind: 'reduce',
  vjp(node, gradient) {
    const [x] = node.inputs as [Node];
    return dtypes[x.dtype].floating
      ? [gradients[(node.attributes as ReduceAttributes).op](node, gradient, x)]
      : [undefined];
  },
};

/** `x` folded over `axes`, which stay with size 1. Booleans are counted as i32, u8 as u32. */
export function reduce(op: ReduceOp, x: Node, axes: readonly number[]): Node {
  const widened: DType = x.dtype === 'bool' ? 'i32' : x.dtype === 'u8' ? 'u32' : x.dtype;
  const operand = cast(x, widened);
  if (axes.length === 0) return operand;
  const shape = operand.shape.map((extent, i) => (axes.includes(i) ? 1 : extent));
  if (axes.every((axis) => operand.shape[axis] === 1)) return operand;
  if (axes.some((axis) => operand.shape[axis] === 0)) return fill(shape, identities[op], widened);
  return new Node(reduceOp, [operand], { op, axes } satisfies ReduceAttributes, shape, widened);
}
