/** Training whose loss is no number any more. */
import type { ClipEntry } from '../data/lists.ts';
import { TrainingError } from './errors.ts';
import type { BatchPlace } from './features-loader.ts';

/** Clips that are named. */
const shownClips = 4;

/** What to tell of a step whose loss is no number: which step it was, on which clips, and what may help. */
export function diverged(
  { indices, epoch, batchIndex }: BatchPlace,
  step: number,
  loss: number,
  clips: readonly ClipEntry[],
): TrainingError {
  const paths = [...new Set(indices)].map((index) => clips[index]?.path ?? `clip ${index}`);
  const more = paths.length > shownClips ? ` and ${paths.length - shownClips} more` : '';
  return new TrainingError(
    `The loss is ${loss} at step ${step + 1} (epoch ${epoch + 1}, batch ${batchIndex + 1}) on ` +
      `${paths.slice(0, shownClips).join(', ')}${more}`,
    'lower the learning rate or set solver.max_gradient_norm, and resume from the last checkpoint',
  );
}
