/** The batched matrix product, and everything that is one: matmul in its broadcast forms and einsum. */

import { promote } from '../dtype.ts';
import { printShape, ShapeError } from '../errors.ts';
import { Node, type Op } from '../graph.ts';
import { broadcastShapes, sizeOf } from '../shape.ts';
import { cast } from './elementwise.ts';
import { broadcastTo } from './generate.ts';
import { type ProductPrecision, productPrecision } from './precision.ts';
import { permute, reshape } from './view.ts';

/** The last two axes exchanged. Layouts are strides: nothing is moved. */
export function transpose(x: Node): Node {
  const rank = x.shape.length;
  return permute(x, [...Array.from({ length: rank - 2 }, (_, i) => i), rank - 1, rank - 2]);
}

interface ContractAttributes {
  readonly precision: ProductPrecision;
}

/** How exactly a contraction takes its factors. */
export const precisionOf = (node: Node): ProductPrecision =>
  (node.attributes as ContractAttributes | undefined)?.precision ?? 'single';

export const contractOp: Op = {
  name: 'contract',
  kind: 'contract',
  // The adjoint of a contraction is two contractions.
  vjp(node, gradient) {
    const [a, b] = node.inputs as [Node, Node];
    const precision = precisionOf(node);
    return [contract(gradient, transpose(b), precision), contract(transpose(a), gradient, precision)];
  },
};

/** [...batch, M, K] times [...batch, K, N], with equal batch axes and dtypes. The precision matters to f32 alone. */
export function contract(a: Node, b: Node, precision: ProductPrecision = 'single'): Node {
  const shape = [...a.shape.slice(0, -1), b.shape[b.shape.length - 1] as number];
  const attributes: ContractAttributes | undefined =
    precision === 'half' && a.dtype === 'f32' ? { precision } : undefined;
  return new Node(contractOp, [a, b], attributes, shape, a.dtype);
}

/**
 * The matrix product with PyTorch's rules: vectors on either side, batches broadcast. A matrix on the right of a batch
 * is one product over all rows, so that its gradient is one product too. Its precision is that of the `autocast` around.
 */
export function matmul(a: Node, b: Node, precision: ProductPrecision = productPrecision()): Node {
  if (a.shape.length === 0 || b.shape.length === 0) {
    throw new ShapeError(`matmul: ${printShape(a.shape)} x ${printShape(b.shape)}: a scalar has no rows`, 'use mul');
  }
  if (a.shape.length === 1) {
    const product = matmul(reshape(a, [1, a.shape[0] as number]), b, precision);
    return reshape(
      product,
      product.shape.filter((_, i) => i !== product.shape.length - (b.shape.length === 1 ? 1 : 2)),
    );
  }
  if (b.shape.length === 1) {
    const product = matmul(a, reshape(b, [b.shape[0] as number, 1]), precision);
    return reshape(product, product.shape.slice(0, -1));
  }
  const inner = a.shape[a.shape.length - 1] as number;
  const other = b.shape[b.shape.length - 2] as number;
  if (inner !== other) {
    throw new ShapeError(
      `matmul: ${printShape(a.shape)} x ${printShape(b.shape)}: inner sizes ${inner} and ${other} differ (axis ${a.shape.length - 1} of the left, axis ${b.shape.length - 2} of the right)`,
    );
  }
  const dtype = promote(a.dtype, b.dtype);
  const [left, right] = [cast(a, dtype === 'bool' ? 'i32' : dtype), cast(b, dtype === 'bool' ? 'i32' : dtype)];
  const columns = right.shape[right.shape.length - 1] as number;
  if (right.shape.length === 2) {
    const rows = left.shape.slice(0, -1);
    return reshape(contract(reshape(left, [sizeOf(rows), inner]), right, precision), [...rows, columns]);
  }
  const batch = broadcastShapes('matmul', left.shape.slice(0, -2), right.shape.slice(0, -2));
  const rows = left.shape[left.shape.length - 2] as number;
  return contract(
    broadcastTo(left, [...batch, rows, inner]),
    broadcastTo(right, [...batch, inner, columns]),
    precision,
  );
}
