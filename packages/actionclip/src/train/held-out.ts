/** Which of a handful of clips are kept aside, to see what a training is worth on clips that it has not learnt from. */
import { Random } from '../data/random.ts';

/** Clips that every class must have before any are kept aside. */
export const ENOUGH_TO_HOLD_OUT = 3;
/** One of so many. */
const oneOf = 5;

/**
 * The places of held-out clips, ascending: a fifth of each class, at least one, drawn from `seed`; none where a class has
 * fewer than `ENOUGH_TO_HOLD_OUT`.
 * @param labels The class of each clip.
 */
export function heldOutPlaces(labels: readonly number[], seed: number): number[] {
  const classes = [...new Set(labels)].sort((a, b) => a - b);
  const placesOf = classes.map((label) => labels.flatMap((own, place) => (own === label ? [place] : [])));
  if (placesOf.some((places) => places.length < ENOUGH_TO_HOLD_OUT)) return [];
  const random = new Random(seed).fork('held out');
  const chosen = placesOf.flatMap((places) =>
    random.shuffle(places).slice(0, Math.max(1, Math.floor(places.length / oneOf))),
  );
  return chosen.sort((a, b) => a - b);
}
