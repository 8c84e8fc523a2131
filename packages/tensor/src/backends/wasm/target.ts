/** What the emitted code depends on beside the kernel: properties of the engine and of the backend. */
import type { MicroKernel } from './micro-kernel.ts';

export interface Target {
  /** Threads that share the work; with more than one, memory is shared too. */
  readonly threads: number;
  /** Whether instructions of relaxed SIMD may be used. */
  readonly relaxed: boolean;
  readonly micro: MicroKernel;
}
