/** Loop kernels that are matrix products: out[..., m, n] is made of the sum over k of left[..., m, k] · right[..., k, n]. */
import type { Contraction } from '../../../compile/kernel.ts';
import { product } from '../wgsl.ts';

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
