/**
 * Protocols of zero-shot evaluation, as scoring of features that were computed once: halves of the classes, several
 * splits of the clips, and frequent against rare classes. A clip counts once in each evaluation that it belongs to.
 */
import { type Evaluation, evaluateClassSets, evaluateFeatures, evaluateScores } from './evaluate.ts';
import type { ClipFeatures, PromptFeatures } from './features.ts';
import { MetricError } from './metrics.ts';
import { numpyPermutation } from './numpy-permutation.ts';

/** Several values of one measure. */
export interface Spread {
  readonly values: readonly number[];
  readonly mean: number;
  /** The sample's standard deviation, by n - 1; NaN for a single value. */
  readonly deviation: number;
}

/** @throws MetricError without any value. */
export function spreadOf(values: readonly number[]): Spread {
  if (values.length === 0) throw new MetricError('There is no value to take the mean of', 'pass at least one');
  // Deviations from the first value: equal values then give exactly 0.
  const [first = 0] = values;
  const differences = values.map((value) => value - first);
  const shift = differences.reduce((a, b) => a + b, 0) / values.length;
  const squares = differences.reduce((sum, difference) => sum + (difference - shift) ** 2, 0);
  return { values, mean: first + shift, deviation: Math.sqrt(squares / (values.length - 1)) };
}

/** Evaluations of one kind and what they amount to. */
export interface RepeatedEvaluation<Part extends Evaluation = Evaluation> {
  readonly parts: readonly Part[];
  readonly top1: Spread;
  readonly top5: Spread;
  readonly meanClassAccuracy: Spread;
}

function repeated<Part extends Evaluation>(parts: readonly Part[]): RepeatedEvaluation<Part> {
  return {
    parts,
    top1: spreadOf(parts.map(({ top1 }) => top1)),
    top5: spreadOf(parts.map(({ top5 }) => top5)),
    meanClassAccuracy: spreadOf(parts.map(({ meanClassAccuracy }) => meanClassAccuracy)),
  };
}

/** The evaluation of one half: its labels count into `chosen`. */
export interface HalfEvaluation extends Evaluation {
  readonly seed: number;
  /** The classes that compete, ascending. */
  readonly chosen: readonly number[];
}

/** The seeds of Text4Vis and BIKE. */
export const HALF_SEEDS: readonly number[] = Array.from({ length: 10 }, (_, seed) => seed);

/**
 * A random half of the classes, rounded down, ascending: the very half that Text4Vis and BIKE draw with this seed.
 * @throws MetricError for fewer than two classes.
 */
export function halfOfClasses(classes: number, seed: number): number[] {
  if (classes < 2) throw new MetricError(`${classes} classes have no half`, 'take at least two');
  return numpyPermutation(classes, seed)
    .slice(0, Math.floor(classes / 2))
    .sort((a, b) => a - b);
}

/**
 * Random halves of the classes: only the classes of a half compete, and only their clips count. Text4Vis and BIKE give
 * the deviation by n, which for ten halves is 0.949 of the one here.
 */
export function evaluateHalves(
  clips: ClipFeatures,
  prompts: PromptFeatures,
  seeds: readonly number[] = HALF_SEEDS,
): RepeatedEvaluation<HalfEvaluation> {
  const halves = seeds.map((seed) => ({ seed, chosen: halfOfClasses(prompts.classes, seed) }));
  const present = new Set(clips.labels);
  for (const { seed, chosen } of halves) {
    if (!chosen.some((index) => present.has(index))) {
      throw new MetricError(`The half of seed ${seed} has no clip of any of its classes`, 'take clips of more classes');
    }
  }
  const sets = halves.map(({ chosen }) => chosen);
  const evaluations = evaluateClassSets(clips, prompts, sets);
  return repeated(halves.flatMap((half, at) => evaluations.slice(at, at + 1).map((part) => ({ ...part, ...half }))));
}

/**
 * Several splits of the clips, such as the three official ones of UCF101 and HMDB51, against all classes.
 * @param splits Places of each split's clips in the data set, as `ClipFeatures.indices` counts them. Clips without
 * features do not count; a clip may be in several splits.
 * @throws MetricError where a split has no clip or names one twice.
 */
export function evaluateSplits(
  clips: ClipFeatures,
  prompts: PromptFeatures,
  splits: readonly (readonly number[])[],
): RepeatedEvaluation {
  const { scores, labels, indices } = evaluateFeatures(clips, prompts);
  const rowOf = new Map([...indices].map((index, row) => [index, row]));
  const { classes } = scores;
  const parts = splits.map((split, number) => {
    if (new Set(split).size < split.length) {
      throw new MetricError(`Split ${number + 1} names a clip twice`, 'every clip counts once');
    }
    const rows = split.flatMap((index) => rowOf.get(index) ?? []);
    const own = new Float64Array(rows.length * classes);
    for (const [at, row] of rows.entries()) {
      for (let c = 0; c < classes; c++) own[at * classes + c] = scores.scores[row * classes + c] ?? Number.NaN;
    }
    const ownLabels = Int32Array.from(rows, (row) => labels[row] ?? 0);
    return evaluateScores(
      { scores: own, classes },
      ownLabels,
      Int32Array.from(rows, (row) => indices[row] ?? 0),
    );
  });
  return repeated(parts);
}

/** Classes in two halves: those that a model was trained on, and the others. */
export interface BaseAndNovel {
  readonly base: readonly number[];
  readonly novel: readonly number[];
}

/**
 * The more frequent half of the classes, rounded up, and the others, both ascending; among equally frequent classes
 * the lower index comes first.
 * @param labels Classes of the clips that are counted, those of training by the protocol of ViFi-CLIP.
 */
export function frequentHalf(labels: Iterable<number>, classes: number): BaseAndNovel {
  const counts = new Int32Array(classes);
  for (const label of labels) counts[label] = (counts[label] ?? 0) + 1;
  const order = Array.from(counts.keys()).sort((a, b) => (counts[b] ?? 0) - (counts[a] ?? 0) || a - b);
  const half = Math.ceil(classes / 2);
  const ascending = (part: number[]): number[] => part.sort((a, b) => a - b);
  return { base: ascending(order.slice(0, half)), novel: ascending(order.slice(half)) };
}

export interface BaseToNovel {
  /** Among the base classes only. */
  readonly base: Evaluation;
  /** Among the novel classes only. */
  readonly novel: Evaluation;
  /** Of the two top-1 accuracies; 0 where one of them is. */
  readonly harmonicMean: number;
}

/**
 * Base classes and novel classes, each among their own kind (ViFi-CLIP, Rasheed et al. 2023).
 * @throws MetricError where a half has no clip.
 */
export function evaluateBaseToNovel(clips: ClipFeatures, prompts: PromptFeatures, halves: BaseAndNovel): BaseToNovel {
  const present = new Set(clips.labels);
  for (const half of ['base', 'novel'] as const) {
    if (!halves[half].some((index) => present.has(index))) {
      throw new MetricError(`The ${half} classes have no clip`, 'take clips of both halves');
    }
  }
  const [base, novel] = evaluateClassSets(clips, prompts, [halves.base, halves.novel]) as [Evaluation, Evaluation];
  const sum = base.top1 + novel.top1;
  return { base, novel, harmonicMean: sum === 0 ? 0 : (2 * base.top1 * novel.top1) / sum };
}
