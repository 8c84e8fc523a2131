/** What every way of computing matrix products has to say of itself. */

import type { Contraction } from '../../../compile/kernel.ts';
import type { KernelShaders } from '../kernels.ts';
import type { Target } from '../target.ts';

export interface GemmVariant<Schedule> {
  /** Whether it computes sums of factors beside the product; other variants are given kernels without them. */
  readonly sumsFactors?: true;
  /**
   * The schedules by which this variant can compute `kernel` on `target`, the one to take without measuring first;
   * none where the variant does not apply.
   */
  readonly candidates: (kernel: Contraction, target: Target) => readonly Schedule[];
  /** The shaders of `kernel` by one of its candidates. */
  readonly shaders: (kernel: Contraction, target: Target, schedule: Schedule) => KernelShaders;
}
