/** The elementwise primitive: a scalar term applied at every index. Its derivative is the derivative of the term. */
import { type DType, dtypes } from '../dtype.ts';
import { differentiate } from '../expr/differentiate.ts';
import { and, cast, constant, type Expr, input, mul, substitute, walk } from '../expr/expr.ts';
import { Node, type Op } from '../graph.ts';

export interface MapAttributes {
  /** What the user called: `gelu`, not `mul`. */
  readonly name: string;
  /** The value in terms of `input(k)`, operand k's element, in the operand's scalar type. */
  readonly expr: Expr;
}

export const mapOp: Op = {
  name: 'map',
  kind: 'pointwise',
  sameIndex: true,
  reads: 'once',
  at(node, index, read) {
    const { expr } = node.attributes as MapAttributes;
    return substitute(expr, (e) => (e.op === 'input' ? read(e.value, index) : undefined));
  },
  vjp(node, gradient) {
    const { name, expr } = node.attributes as MapAttributes;
    return node.inputs.map((operand, k) => {
      if (!dtypes[operand.dtype].floating) return undefined;
      const slope = differentiate(expr, k);
      if (slope.op === 'constant' && slope.value === 0) return undefined;
      const product = mul(input(node.inputs.length), slope);
      return map(`${name}Gradient`, [...node.inputs, gradient], product, operand.dtype);
    });
  },
};

/**
 * The node whose element is `expr` of the operands' elements. All operands have one shape; those that `expr` does not
 * mention are dropped.
 */
export function map(name: string, operands: readonly Node[], expr: Expr, dtype: DType): Node {
  const used = new Set<number>();
  walk(expr, (e) => {
    if (e.op === 'input') used.add(e.value);
  });
  const first = operands[0];
  if (first === undefined) throw new Error(`${name}: no operands`);
  // A term that mentions no operand still needs one, for its shape.
  const kept = used.size === 0 ? [0] : [...used].sort((a, b) => a - b);
  const renumbered = substitute(expr, (e) => (e.op === 'input' ? input(kept.indexOf(e.value), e.type) : undefined));
  const { scalar } = dtypes[dtype];
  const value = dtype === 'u8' ? and(cast(renumbered, scalar), constant(255, 'u32')) : cast(renumbered, scalar);
  return new Node(
    mapOp,
    kept.map((k) => operands[k] as Node),
    { name, expr: value } satisfies MapAttributes,
    first.shape,
    dtype,
  );
}

const stopGradientOp: Op = {
  name: 'detach',
  kind: 'pointwise',
  sameIndex: true,
  rowMajor: true,
  reads: 'once',
  at: (_, index, read) => read(0, index),
};

/** The same values, through which no gradient flows. */
export function stopGradient(x: Node): Node {
  return new Node(stopGradientOp, [x], undefined, x.shape, x.dtype);
}
