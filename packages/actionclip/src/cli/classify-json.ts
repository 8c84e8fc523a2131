/** What `classify --json` prints: one JSON object on a line for each video, as docs/classify-json.md says. */
import { bestLabels } from '../recognize/timeline.ts';
import type { Classification, VideoOutcome } from '../recognize/types.ts';

/** Changes where a field is renamed, removed, or means something else; fields may be added without. */
const JSON_VERSION = 1;

/** Digits of single precision, in which the model computes: more would be noise. */
const SIGNIFICANT_DIGITS = 7;

const rounded = (value: number): number => Number(value.toPrecision(SIGNIFICANT_DIGITS));
const roundedAll = (values: ArrayLike<number>): number[] => Array.from(values, rounded);

/** @param top How many labels stand in `top`. */
export function outcomeJson(outcome: VideoOutcome, top: number): string {
  const { path: video } = outcome;
  const rest = 'error' in outcome ? { error: outcome.error.message } : fields(outcome.classification, top);
  return JSON.stringify({ version: JSON_VERSION, video, ...rest });
}

function fields({ labels, probabilities, frames, duration, sampled, windows }: Classification, top: number): object {
  return {
    frames,
    duration: rounded(duration),
    top: bestLabels(probabilities, top).map((index) => ({
      label: labels[index],
      probability: rounded(probabilities[index] ?? 0),
    })),
    labels,
    probabilities: roundedAll(probabilities),
    sampled: sampled.map(({ index, time, similarities }) => ({
      frame: index,
      time: rounded(time),
      similarities: roundedAll(similarities),
    })),
    windows: windows.map(({ start, end, probabilities: ofWindow }) => ({
      start: rounded(start),
      end: rounded(end),
      probabilities: roundedAll(ofWindow),
    })),
  };
}
