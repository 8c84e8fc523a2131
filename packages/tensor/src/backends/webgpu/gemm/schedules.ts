/** Tile sizes for matrix products: the table, what of it a device can run, and which to take where nothing was measured. */

import type { Contraction } from '../../../compile/kernel.ts';
import { bindingsOf, elementsPerThread } from '../storage.ts';
import type { Target } from '../target.ts';
import { product } from '../wgsl.ts';
import { sizesOf } from './contraction.ts';
import { buffersOfSum, splitGain } from './split.ts';

/**
 * A workgroup computes tileM x tileN outputs, and stages strips of tileK steps of both factors in workgroup memory. A
 * thread computes threadM x threadN outputs in registers.
 */
export interface TileSchedule {
  readonly kind: 'tiles';
  readonly tileM: number;
  readonly tileN: number;
  readonly tileK: number;
  /** 1, 2 or a multiple of 4. */
  readonly threadM: number;
  /** A multiple of 4: neighbouring columns, so that elements that share a word have one owner. */
  readonly threadN: number;
  /** Steps of a strip that the text spells out, a divisor of tileK; a loop repeats them. */
  readonly unroll: number;
  /** Workgroups that share the steps of one tile's sum. With several, a second shader adds their partial sums in order. */
  readonly split: number;
}

/** Tile sizes, with the share of a device's speed that they come to where there are enough of them (an estimate). */
const table: readonly (readonly [
  tileM: number,
  tileN: number,
  tileK: number,
  threadM: number,
  threadN: number,
  share: number,
])[] = [
  [128, 128, 16, 8, 8, 1],
  [128, 128, 8, 8, 8, 0.95],
  [128, 128, 32, 8, 8, 0.95],
  [128, 64, 16, 8, 4, 0.85],
  [64, 128, 16, 4, 8, 0.85],
  [64, 64, 16, 8, 8, 0.8],
  [64, 64, 16, 4, 4, 0.7],
  [64, 64, 8, 4, 4, 0.65],
  [32, 32, 16, 4, 4, 0.45],
  [32, 32, 32, 4, 4, 0.44],
  [16, 16, 16, 1, 4, 0.2],
  [16, 16, 32, 1, 4, 0.19],
];

/** Shares of one sum that are worth trying. */
const splits = [1, 2, 4, 8, 16, 32];
/** Schedules that are worth measuring for one kernel. */
const mostCandidates = 16;
/** Fewer steps than this are not worth a share of their own. */
const fewestSteps = 256;
/** Workgroups that a device runs at a time, about. */
const atOnce = 256;
/** Time of writing and reading back one partial sum, as multiplications of the whole device. */
const partialCost = 56;
/** Time of the second dispatch that adds partial sums, as multiplications of one workgroup: about 5 microseconds. */
const dispatchCost = 4e5;

export const threadsOf = ({ tileM, tileN, threadM, threadN }: TileSchedule): number =>
  (tileM / threadM) * (tileN / threadN);

/** Bytes of workgroup memory: one strip of both factors. */
export const bytesOf = ({ tileM, tileN, tileK }: TileSchedule): number => (tileM + tileN) * tileK * 4;

/** Whether four columns of a thread hold whole words of every output, and the product is not as well a plain loop. */
export function fitsWords(kernel: Contraction, target: Target): boolean {
  const { m, n, k } = sizesOf(kernel);
  const outputs = bindingsOf([], kernel.outputs, target);
  return Math.min(m, n, k) >= 4 && n % elementsPerThread(kernel.outputs, outputs) === 0;
}

/**
 * Schedules of `kernel` that fit `target`, the likely fastest first. None where the plain loop is as good (a dimension
 * below 4) or where rows of words-sharing outputs would not start at a word.
 */
export function tileSchedules(kernel: Contraction, target: Target): readonly TileSchedule[] {
  if (!fitsWords(kernel, target)) return [];
  const { m, n, k } = sizesOf(kernel);
  const most = buffersOfSum(kernel, target) > target.buffers ? 1 : Number.POSITIVE_INFINITY;
  const found: { schedule: TileSchedule; time: number }[] = [];
  for (const [tileM, tileN, tileK, threadM, threadN, share] of table) {
    // Twice as large as the output is large for nothing.
    if (tileM > Math.max(16, 2 * m) || tileN > Math.max(16, 2 * n)) continue;
    for (const split of splits) {
      if (split > most || (split > 1 && k < split * fewestSteps)) continue;
      const schedule = { kind: 'tiles', tileM, tileN, tileK, threadM, threadN, unroll: tileK, split } as const;
      if (threadsOf(schedule) > target.workgroupThreads || bytesOf(schedule) > target.workgroupBytes) continue;
      found.push({ schedule, time: estimate(kernel, schedule, share) });
    }
  }
  found.sort((a, b) => a.time - b.time);
  return found.slice(0, mostCandidates).map(({ schedule }) => schedule);
}

/** Time of a product in steps of one workgroup that has the device's full speed: rounds of workgroups, and partial sums. */
function estimate(kernel: Contraction, { tileM, tileN, split }: TileSchedule, share: number): number {
  const { batch, m, n, k } = sizesOf(kernel);
  const count = product(batch);
  const groups = count * Math.ceil(m / tileM) * Math.ceil(n / tileN) * split;
  const rounds = (Math.ceil(groups / atOnce) * tileM * tileN * (k / split)) / share;
  if (split === 1) return rounds;
  return splitGain * (rounds + (split * count * m * n * partialCost) / atOnce + dispatchCost);
}
