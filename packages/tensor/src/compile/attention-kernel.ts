/** The kernel of attention and of its gradients, which backends may have a template for. */
import type { BufferUse } from './kernel.ts';

/** Where the matrices of a batch lie in a buffer, counted in elements; the columns of a row are neighbours. */
export interface MatrixUse {
  /** Position in the kernel's inputs, or for a result in its outputs. */
  readonly buffer: number;
  readonly offset: number;
  /** Elements from one to the next along each batch axis, and along the rows. */
  readonly batch: readonly number[];
  readonly row: number;
}

/**
 * Scaled dot-product attention: softmax(scale · q kᵀ + mask) v for every point of `batch`, with q [queries, width],
 * k [keys, width] and v [keys, valueWidth] in f32. With a `gradient` [queries, valueWidth] the results are the gradients
 * of q, k and v, otherwise the one result is [queries, valueWidth].
 */
export interface AttentionKernel {
  readonly kind: 'attention';
  readonly name: string;
  readonly batch: readonly number[];
  readonly queries: number;
  readonly keys: number;
  readonly width: number;
  readonly valueWidth: number;
  readonly scale: number;
  /** Query i sees keys 0 to i. */
  readonly causal: boolean;
  readonly q: MatrixUse;
  readonly k: MatrixUse;
  readonly v: MatrixUse;
  /** [queries, keys]: added to the scores where it is f32, true where a query may look where it is bool. */
  readonly mask?: MatrixUse;
  readonly gradient?: MatrixUse;
  readonly results: readonly MatrixUse[];
  readonly inputs: readonly BufferUse[];
  readonly outputs: readonly [BufferUse];
}
