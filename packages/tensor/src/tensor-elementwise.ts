/** The elementwise methods of tensors: rows of the op table under PyTorch's names. */
import type { Node } from './graph.ts';
import { apply, constantLike, type ElementwiseName, where } from './ops/elementwise.ts';
import type { Shape } from './shape.ts';
import type { Broadcast, CheckBroadcast } from './shape-types.ts';
import type { Tensor } from './tensor.ts';
import { TensorValue } from './tensor-value.ts';

/** What stands for a tensor in an operation: numbers become constants of the other operand's dtype. */
export type TensorLike<S extends Shape = Shape> = Tensor<S> | number;

export type Axes = number | readonly number[];

// Methods that check shapes infer them from `this`, so that Tensor<[2, 3]> stays assignable to Tensor<Shape>.
export abstract class TensorElementwise<S extends Shape = Shape> extends TensorValue<S> {
  add<A extends Shape, B extends Shape>(
    this: Tensor<A>,
    other: (Tensor<B> & CheckBroadcast<A, B>) | number,
  ): Tensor<Broadcast<A, B>> {
    return binary('add', this, other);
  }
  sub<A extends Shape, B extends Shape>(
    this: Tensor<A>,
    other: (Tensor<B> & CheckBroadcast<A, B>) | number,
  ): Tensor<Broadcast<A, B>> {
    return binary('sub', this, other);
  }
  mul<A extends Shape, B extends Shape>(
    this: Tensor<A>,
    other: (Tensor<B> & CheckBroadcast<A, B>) | number,
  ): Tensor<Broadcast<A, B>> {
    return binary('mul', this, other);
  }
  div<A extends Shape, B extends Shape>(
    this: Tensor<A>,
    other: (Tensor<B> & CheckBroadcast<A, B>) | number,
  ): Tensor<Broadcast<A, B>> {
    return binary('div', this, other);
  }
  pow(other: TensorLike): Tensor {
    return binary('pow', this, other);
  }
  remainder(other: TensorLike): Tensor {
    return binary('remainder', this, other);
  }
  floorDivide(other: TensorLike): Tensor {
    return binary('floorDivide', this, other);
  }
  minimum(other: TensorLike): Tensor {
    return binary('minimum', this, other);
  }
  maximum(other: TensorLike): Tensor {
    return binary('maximum', this, other);
  }
  lt(other: TensorLike): Tensor {
    return binary('lt', this, other);
  }
  le(other: TensorLike): Tensor {
    return binary('le', this, other);
  }
  gt(other: TensorLike): Tensor {
    return binary('gt', this, other);
  }
  ge(other: TensorLike): Tensor {
    return binary('ge', this, other);
  }
  eq(other: TensorLike): Tensor {
    return binary('eq', this, other);
  }
  ne(other: TensorLike): Tensor {
    return binary('ne', this, other);
  }
  logicalAnd(other: Tensor): Tensor {
    return binary('logicalAnd', this, other);
  }
  logicalOr(other: Tensor): Tensor {
    return binary('logicalOr', this, other);
  }
  logicalXor(other: Tensor): Tensor {
    return binary('logicalXor', this, other);
  }
  bitwiseAnd(other: TensorLike): Tensor {
    return binary('bitwiseAnd', this, other);
  }
  bitwiseOr(other: TensorLike): Tensor {
    return binary('bitwiseOr', this, other);
  }
  bitwiseXor(other: TensorLike): Tensor {
    return binary('bitwiseXor', this, other);
  }
  shiftLeft(other: TensorLike): Tensor {
    return binary('shiftLeft', this, other);
  }
  shiftRight(other: TensorLike): Tensor {
    return binary('shiftRight', this, other);
  }
  logicalNot(): Tensor<S> {
    return unary(this, 'logicalNot');
  }
  bitwiseNot(): Tensor<S> {
    return unary(this, 'bitwiseNot');
  }
  neg(): Tensor<S> {
    return unary(this, 'neg');
  }
  abs(): Tensor<S> {
    return unary(this, 'abs');
  }
  sign(): Tensor<S> {
    return unary(this, 'sign');
  }
  floor(): Tensor<S> {
    return unary(this, 'floor');
  }
  ceil(): Tensor<S> {
    return unary(this, 'ceil');
  }
  round(): Tensor<S> {
    return unary(this, 'round');
  }
  trunc(): Tensor<S> {
    return unary(this, 'trunc');
  }
  exp(): Tensor<S> {
    return unary(this, 'exp');
  }
  log(): Tensor<S> {
    return unary(this, 'log');
  }
  log1p(): Tensor<S> {
    return unary(this, 'log1p');
  }
  sqrt(): Tensor<S> {
    return unary(this, 'sqrt');
  }
  rsqrt(): Tensor<S> {
    return unary(this, 'rsqrt');
  }
  reciprocal(): Tensor<S> {
    return unary(this, 'reciprocal');
  }
  square(): Tensor<S> {
    return unary(this, 'square');
  }
  sin(): Tensor<S> {
    return unary(this, 'sin');
  }
  cos(): Tensor<S> {
    return unary(this, 'cos');
  }
  tan(): Tensor<S> {
    return unary(this, 'tan');
  }
  atan(): Tensor<S> {
    return unary(this, 'atan');
  }
  tanh(): Tensor<S> {
    return unary(this, 'tanh');
  }
  erf(): Tensor<S> {
    return unary(this, 'erf');
  }
  sigmoid(): Tensor<S> {
    return unary(this, 'sigmoid');
  }
  logSigmoid(): Tensor<S> {
    return unary(this, 'logSigmoid');
  }
  softplus(): Tensor<S> {
    return unary(this, 'softplus');
  }
  relu(): Tensor<S> {
    return unary(this, 'relu');
  }
  silu(): Tensor<S> {
    return unary(this, 'silu');
  }
  quickGelu(): Tensor<S> {
    return unary(this, 'quickGelu');
  }
  isnan(): Tensor<S> {
    return unary(this, 'isnan');
  }
  isfinite(): Tensor<S> {
    return unary(this, 'isfinite');
  }
  /** x · Φ(x), exactly or by the tanh approximation. */
  gelu(approximate: 'none' | 'tanh' = 'none'): Tensor<S> {
    return unary(this, approximate === 'tanh' ? 'geluTanh' : 'gelu');
  }
  /** Values below `min` become `min`, above `max` become `max`. */
  clamp(min?: number, max?: number): Tensor<S> {
    let node = this.node;
    // Not maximum and minimum, which would halve the gradient at the bounds; PyTorch's clamp passes it.
    if (min !== undefined) node = cut('lt', node, min);
    if (max !== undefined) node = cut('gt', node, max);
    return this.derive(node);
  }
  /** `value` where `mask` is true. */
  maskedFill(mask: Tensor, value: number): Tensor {
    return this.derive(where(mask.node, constantLike(this.node, value), this.node));
  }
}

const unary = <S extends Shape>(x: TensorValue<S>, name: ElementwiseName): Tensor<S> => x.derive(apply(name, x.node));
const binary = <S extends Shape>(
  name: ElementwiseName,
  x: { readonly node: Node; derive(node: Node): Tensor },
  other: { readonly node: Node } | number,
): Tensor<S> => x.derive(apply(name, x.node, operand(x.node, other))) as Tensor<S>;

/** `bound` where x is beyond it. */
function cut(beyond: 'lt' | 'gt', x: Node, bound: number): Node {
  const limit = constantLike(x, bound);
  return where(apply(beyond, x, limit), limit, x);
}

export function operand(like: Node, value: { readonly node: Node } | number): Node {
  return typeof value === 'number' ? constantLike(like, value) : value.node;
}
