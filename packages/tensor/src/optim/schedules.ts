/**
 * Learning-rate schedules: pure functions from the epoch, which may be fractional, to the factor of the base rate.
 *
 *     for (const group of optimizer.groups) group.learningRate = group.baseLearningRate * factor(epoch);
 */
import { OptimizerError } from './groups.ts';

/** The factor of the base rate at a fractional epoch from 0. */
export type Schedule = (epoch: number) => number;

export interface CosineOptions {
  /** Length of the training: the factor is 0 from there on. */
  readonly epochs: number;
  /** Epochs in which the factor rises linearly from 0 to 1; 0 if absent. */
  readonly warmupEpochs?: number;
}

export interface MultistepOptions {
  /** Epochs from which the factor is lower, rising; or one number, at whose multiples it is. */
  readonly milestones: readonly number[] | number;
  readonly warmupEpochs?: number;
  /** What each milestone multiplies the factor by; 0.1 if absent. */
  readonly decay?: number;
}

/** The base rate throughout. */
export const constantSchedule = (): Schedule => () => 1;

/** Linear warm-up, then half a cosine from 1 to 0 (Loshchilov and Hutter, arXiv 1608.03983, without restarts). */
export function cosineSchedule({ epochs, warmupEpochs = 0 }: CosineOptions): Schedule {
  if (!(warmupEpochs >= 0 && epochs > warmupEpochs)) {
    throw new OptimizerError(
      `cosineSchedule: ${warmupEpochs} epochs of warm-up in ${epochs}`,
      'the training must be longer than its warm-up',
    );
  }
  return warmUp(warmupEpochs, (epoch) => {
    const progress = Math.min(1, (epoch - warmupEpochs) / (epochs - warmupEpochs));
    return (1 + Math.cos(Math.PI * progress)) / 2;
  });
}

/** Linear warm-up, then a factor that is multiplied by `decay` at each milestone. */
export function multistepSchedule({ milestones, warmupEpochs = 0, decay = 0.1 }: MultistepOptions): Schedule {
  const list = typeof milestones === 'number' ? [milestones] : milestones;
  const [first] = list;
  const rising = list.every((milestone, i) => milestone > (list[i - 1] ?? 0));
  if (first === undefined || !rising || first <= warmupEpochs) {
    throw new OptimizerError(
      `multistepSchedule: milestones ${list.join(', ') || '(none)'} after ${warmupEpochs} epochs of warm-up`,
      'give rising epochs, the first after the warm-up',
    );
  }
  const passed = (epoch: number): number =>
    typeof milestones === 'number'
      ? Math.floor(epoch / milestones)
      : milestones.filter((milestone) => milestone <= epoch).length;
  return warmUp(warmupEpochs, (epoch) => decay ** passed(epoch));
}

const warmUp =
  (warmupEpochs: number, after: Schedule): Schedule =>
  (epoch) =>
    epoch < warmupEpochs ? epoch / warmupEpochs : after(epoch);
