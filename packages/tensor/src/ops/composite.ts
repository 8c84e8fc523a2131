/**
 * Composites: operations defined by other operations. The definition is the meaning; a rule for the gradient is
 * written only where the derived one would be slower or less exact, and the reason stands beside it.
 */
import { type DType, dtypes } from '../dtype.ts';
import { Node, type Op } from '../graph.ts';
import type { Shape } from '../shape.ts';
import { apply, cast, constantLike } from './elementwise.ts';
import { broadcastTo } from './generate.ts';
import { reduce } from './reduce.ts';

export interface CompositeRow<A> {
  readonly name: string;
  /** The output's shape; the first operand's if absent. */
  readonly shape?: (inputs: readonly Node[], attributes: A) => Shape;
  /** The output's dtype; the first operand's if absent. */
  readonly dtype?: (inputs: readonly Node[], attributes: A) => DType;
  /** A kernel that may compute it as a whole; none if absent. */
  readonly template?: Op['template'];
  /** The meaning. */
  readonly define: (inputs: readonly Node[], attributes: A) => Node;
  /** Operands' gradients from the output's; differentiates the definition if absent. */
  readonly vjp?: (node: Node, gradient: Node, attributes: A) => readonly (Node | undefined)[];
}

/** Makes a row of the op table from a definition, and returns the function that applies it. */
export function composite<A>(row: CompositeRow<A>): (inputs: readonly Node[], attributes: A) => Node {
  const { name, vjp, template } = row;
  const op: Op = {
    name,
    kind: 'composite',
    ...(template ? { template } : {}),
    define: (node) => row.define(node.inputs, node.attributes as A),
    ...(vjp ? { vjp: (node: Node, gradient: Node) => vjp(node, gradient, node.attributes as A) } : {}),
  };
  return (inputs, attributes) => {
    const [first] = inputs as readonly [Node, ...Node[]];
    const shape = row.shape?.(inputs, attributes) ?? first.shape;
    const dtype = row.dtype?.(inputs, attributes) ?? first.dtype;
    return new Node(op, inputs, attributes, shape, dtype);
  };
}

const sub = (a: Node, b: Node): Node => apply('sub', a, b);
const mul = (a: Node, b: Node): Node => apply('mul', a, b);
const div = (a: Node, b: Node): Node => apply('div', a, b);
const sum = (x: Node, axis: number): Node => reduce('sum', x, [axis]);

/** x as f32 where it holds whole numbers. */
export const floating = (x: Node): Node => (dtypes[x.dtype].floating ? x : cast(x, 'f32'));

/** e^(x - max) / Σ e^(x - max) along an axis. The largest exponent is 0, so nothing overflows. */
export const softmax = composite<{ axis: number }>({
  name: 'softmax',
  define: ([x], { axis }) => {
    const shifted = sub(x as Node, reduce('max', x as Node, [axis]));
    const powers = apply('exp', shifted);
    return div(powers, sum(powers, axis));
  },
  // The output is all that the gradient needs; differentiating the definition would recompute the maximum's share,
  // which is zero.
  vjp: (y, gradient, { axis }) => {
    const product = mul(gradient, y);
    return [sub(product, mul(y, sum(product, axis)))];
  },
});

/** x - max - log Σ e^(x - max) along an axis. */
export const logSoftmax = composite<{ axis: number }>({
  name: 'logSoftmax',
  define: ([x], { axis }) => {
    const shifted = sub(x as Node, reduce('max', x as Node, [axis]));
    return sub(shifted, apply('log', sum(apply('exp', shifted), axis)));
  },
  // As for softmax.
  vjp: (y, gradient, { axis }) => [sub(gradient, mul(apply('exp', y), sum(gradient, axis)))],
});

/** Mean and 1/√(variance + eps) over the last axis, in two passes: the variance of the deviations, never of squares. */
function statistics(x: Node, eps: number): { deviation: Node; inverse: Node } {
  const axis = x.shape.length - 1;
  const count = constantLike(x, x.shape[axis] as number);
  const deviation = sub(x, div(sum(x, axis), count));
  const variance = div(sum(apply('square', deviation), axis), count);
  return { deviation, inverse: apply('rsqrt', apply('add', variance, constantLike(x, eps))) };
}

/** (x - mean) / √(variance + eps) over the last axis. */
const normalize = composite<{ eps: number }>({
  name: 'normalize',
  define: ([x], { eps }) => {
    const { deviation, inverse } = statistics(x as Node, eps);
    return mul(deviation, inverse);
  },
  // (g - mean(g) - y · mean(g·y)) / √(variance + eps): three row sums instead of the derived five.
  vjp: (y, gradient, { eps }) => {
    const x = y.inputs[0] as Node;
    const axis = x.shape.length - 1;
    const count = constantLike(x, x.shape[axis] as number);
    const { inverse } = statistics(x, eps);
    const centred = sub(gradient, div(sum(gradient, axis), count));
    return [mul(inverse, sub(centred, mul(y, div(sum(mul(gradient, y), axis), count))))];
  },
});

/** Layer normalisation over the last axis with scale and shift of that axis's size. */
export function layerNorm(x: Node, weight: Node | undefined, bias: Node | undefined, eps: number): Node {
  let y = normalize([floating(x)], { eps });
  if (weight) y = mul(y, broadcastTo(weight, y.shape));
  return bias ? apply('add', y, broadcastTo(bias, y.shape)) : y;
}
