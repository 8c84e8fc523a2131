/** Labels to the features of their prompts, part by part; those that are too long for the model are left out. */
import type { LongLabel, Recognizer } from 'actionclip/browser';
import type { Turn } from './turn.ts';

export interface ReadLabels {
  /** Those that the model takes. */
  readonly labels: readonly string[];
  readonly tooLong: readonly LongLabel[];
  /** Absent where there are none. */
  readonly prompts: Awaited<ReturnType<Recognizer['embedLabels']>> | undefined;
}

/** Features of labels; those that the recognizer has kept cost nothing. In between messages are let in. */
export async function readLabels(recognizer: Recognizer, asked: readonly string[], turn: Turn): Promise<ReadLabels> {
  const tooLong = await labelsTooLong(recognizer, asked, turn);
  const leftOut = new Set(tooLong.map(({ label }) => label));
  const labels = asked.filter((label) => !leftOut.has(label));
  if (labels.length === 0) return { labels, tooLong, prompts: undefined };
  // Part by part, so that a person may change their mind; the texts are kept.
  const portion = labelsAtOnce(recognizer);
  for (let first = 0; first < labels.length; first += portion) {
    turn.report('Reading the labels', first, labels.length);
    await turn.breathe();
    await recognizer.embedLabels(labels.slice(first, first + portion), { signal: turn.signal });
  }
  return { labels, tooLong, prompts: await recognizer.embedLabels(labels, { signal: turn.signal }) };
}

/** Labels whose length is told before messages are heard again. */
const measuredAtOnce = 100;

/** Those that are too long for the model. In between messages are let in. */
export async function labelsTooLong(
  recognizer: Recognizer,
  labels: readonly string[],
  turn: Turn,
): Promise<readonly LongLabel[]> {
  const tooLong: LongLabel[] = [];
  for (let first = 0; first < labels.length; first += measuredAtOnce) {
    await turn.breathe();
    tooLong.push(...(await recognizer.longLabels(labels.slice(first, first + measuredAtOnce))));
  }
  return tooLong;
}

/** Labels that are encoded before messages are heard again: a second's work or so of a small text tower, and of a large one. */
function labelsAtOnce({ model }: Recognizer): number {
  return model.clip.sizes.text.width > 128 ? 4 : 32;
}
