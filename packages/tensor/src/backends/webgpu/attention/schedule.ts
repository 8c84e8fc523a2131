/** How attention is spread over workgroups: plain data, which can be kept as JSON. */

/** Scores and weights in scratch memory, between tiled matrix products. */
export interface MaterialisedSchedule {
  readonly kind: 'materialised';
  /** The tile of a product that one workgroup computes, of which each thread has 4 x 4 elements. */
  readonly tileM: number;
  readonly tileN: number;
  /** Steps of a sum that are staged together. */
  readonly tileK: number;
  /** Threads that share a row of the softmax: a power of two. */
  readonly lanes: number;
}

/** Scores that never leave their thread: each has one query, or one key, and walks the others. */
export interface FusedSchedule {
  readonly kind: 'fused';
  /** Rows of a workgroup, one for each thread. */
  readonly rows: number;
  /** Rows of the other matrices that are staged together: a multiple of `step`. */
  readonly tile: number;
  /** Scores that are computed before the weights are: they are named, so that they stay in registers. */
  readonly step: number;
}

export type AttentionSchedule = MaterialisedSchedule | FusedSchedule;
