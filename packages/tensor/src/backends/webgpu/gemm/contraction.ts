/** Loop kernels that are matrix products: out[..., m, n] is made of the sum over k of left[..., m, k] · right[..., k, n]. */
import type { Kernel, LoopKernel } from '../../../compile/kernel.ts';
import type { Expr } from '../../../expr/expr.ts';
import { product } from '../wgsl.ts';

type Reduce = NonNullable<LoopKernel['reduce']>;

/** A loop kernel to which the contraction template applies. */
export type Contraction = LoopKernel & { readonly reduce: Reduce & { readonly factors: readonly [Expr, Expr] } };

/** `kernel` as a contraction, if it is one. */
export function asContraction(kernel: Kernel): Contraction | undefined {
  return kernel.kind === 'loop' && kernel.reduce?.factors ? (kernel as Contraction) : undefined;
}

export interface Sizes {
  readonly batch: readonly number[];
  readonly m: number;
  readonly n: number;
  readonly k: number;
}

export function sizesOf({ shape, reduce }: Contraction): Sizes {
  const rank = shape.length;
  const [m = 1, n = 1] = shape.slice(rank - 2);
  return { batch: shape.slice(0, rank - 2), m, n, k: product(reduce.extent) };
}
