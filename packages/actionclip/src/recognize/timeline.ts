/** Sliding windows over a video summed up: runs of windows with the same best label, and the best label over time. */
import { topClasses } from '../evaluate/metrics.ts';
import type { WindowScore } from './types.ts';

/** Neighbouring windows with the same best label. */
export interface WindowRun {
  /** Seconds: where its first window starts, and where its last one ends. Runs of windows that overlap do so too. */
  readonly start: number;
  readonly end: number;
  /** Place of the label. */
  readonly label: number;
  /** Mean over the windows. */
  readonly probability: number;
  readonly windows: number;
}

/** The places of the `count` largest probabilities, best first; of equals the first comes first. */
export const bestLabels = (probabilities: ArrayLike<number>, count: number): number[] =>
  topClasses({ scores: probabilities, classes: probabilities.length }, 0, count);

const bestLabel = (probabilities: ArrayLike<number>): number => bestLabels(probabilities, 1)[0] ?? 0;

/** Windows in the order of their time. */
export function windowRuns(windows: readonly WindowScore[]): WindowRun[] {
  const runs: WindowRun[] = [];
  for (const { start, end, probabilities } of windows) {
    const label = bestLabel(probabilities);
    const probability = probabilities[label] ?? 0;
    const last = runs.at(-1);
    if (last?.label !== label) {
      runs.push({ start, end, label, probability, windows: 1 });
      continue;
    }
    const count = last.windows + 1;
    const mean = last.probability + (probability - last.probability) / count;
    runs[runs.length - 1] = { ...last, end: Math.max(last.end, end), probability: mean, windows: count };
  }
  return runs;
}

/**
 * For each of `parts` equal parts of the video the label whose mean probability is best over the windows that hold the
 * part's middle; undefined where there is none.
 */
export function bestOverTime(
  windows: readonly WindowScore[],
  duration: number,
  parts: number,
): readonly (number | undefined)[] {
  return Array.from({ length: parts }, (_, part) => {
    const time = ((part + 0.5) * duration) / parts;
    const holding = windows.filter(({ start, end }) => start <= time && time < end);
    const [first] = holding;
    if (first === undefined) return undefined;
    const sums = first.probabilities.map((_value, label) =>
      holding.reduce((sum, { probabilities }) => sum + (probabilities[label] ?? 0), 0),
    );
    return bestLabel(sums);
  });
}
