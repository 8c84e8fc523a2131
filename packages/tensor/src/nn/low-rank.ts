/** Low-rank updates of linear layers: LoRA (Hu et al. 2021, arXiv 2106.09685). */
import type { Generator } from '../random.ts';
import type { Tensor } from '../tensor.ts';
import { constantParameter, uniformParameter } from './init.ts';
import { Module } from './module.ts';

export interface LowRankOptions {
  /** Rows of A and columns of B. */
  readonly rank: number;
  /** The product is scaled by alpha / rank. */
  readonly alpha: number;
  readonly generator?: Generator;
}

/**
 * What is added to x · weightᵀ: alpha / rank · x · Aᵀ · Bᵀ, as if the weight were weight + alpha / rank · B · A. A is
 * uniform within 1/√in, as microsoft/LoRA has it, and B zero, so that nothing is added at the start.
 */
export class LowRankUpdate extends Module {
  /** [rank, in] */
  A: Tensor;
  /** [out, rank] */
  B: Tensor;
  private readonly scale: number;

  constructor(inSize: number, outSize: number, { rank, alpha, generator }: LowRankOptions) {
    super();
    this.A = uniformParameter([rank, inSize], 1 / Math.sqrt(inSize), generator);
    this.B = constantParameter([outSize, rank], 0);
    this.scale = alpha / rank;
  }

  /** [..., in] to [..., out]. */
  forward(x: Tensor): Tensor {
    const inner: Tensor = x.matmul(this.A.transpose()).mul(this.scale); // [..., rank]
    return inner.matmul(this.B.transpose());
  }
}
