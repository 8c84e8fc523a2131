/** Few-shot training sets: a few clips of each class, drawn by a seed. */
import type { ClipEntry, WarningHandler } from './lists.ts';
import { Random } from './random.ts';

export interface ShotOptions {
  /** Clips of each class. */
  readonly shots: number;
  readonly seed: number;
  readonly classes: number;
  /** Told where classes have fewer clips than are asked for. */
  readonly onWarning?: WarningHandler | undefined;
}

/**
 * Draws clips of each class without repeats and keeps them in the order of the list. What is drawn of one class depends
 * on the seed and the clips of that class alone, and fewer shots are a part of more. A clip of several classes counts
 * for its first one.
 */
export function drawShots(entries: readonly ClipEntry[], options: ShotOptions): ClipEntry[] {
  const { shots, seed, classes, onWarning } = options;
  const places = Array.from({ length: classes }, (): number[] => []);
  for (const [place, { label }] of entries.entries()) places[label]?.push(place);
  const random = new Random(seed).fork('shots');
  const drawn = places.flatMap((ofClass, label) =>
    random
      .fork(label)
      .shuffle([...ofClass])
      .slice(0, shots),
  );
  const scarce = places.filter(({ length }) => length < shots).length;
  if (scarce > 0 && entries.length > 0) {
    onWarning?.(`${scarce} of ${classes} classes have fewer than ${shots} clips to draw; all they have are taken`);
  }
  const kept = new Set(drawn);
  return entries.filter((_, place) => kept.has(place));
}
