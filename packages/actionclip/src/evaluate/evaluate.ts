/**
 * Evaluation as the released test.py has it: similarities of clips with all prompts times 100, softmax over the
 * classes within each template, the mean of the probabilities, and counts on them. Label sets are open: features are
 * computed once and scored against any classes.
 */
import type { BytePairTokenizer } from '@actionclip/tokenizer';
import { type ClipEntry, classesOf, hasLabelSets } from '../data/label-sets.ts';
import type { ClipLoader } from '../data/loader.ts';
import type { ActionCLIP } from '../model/action-clip.ts';
import { type ClipFeatureOptions, type ClipFeatures, FeatureEncoder, type PromptFeatures } from './features.ts';
import {
  averagePrecisions,
  type ClassAccuracy,
  type ConfusionMatrix,
  confusionMatrix,
  MetricError,
  meanClassAccuracy,
  meanPresent,
  perClassAccuracy,
  predictedClasses,
  type ScoreMatrix,
  scoreTemplates,
  topKAccuracy,
} from './metrics.ts';
import { promptTokens } from './prompt-tokens.ts';

/** What evaluation says about a set of clips. */
export interface Evaluation {
  /** Probabilities [clips, classes]. */
  readonly scores: ScoreMatrix;
  /** Class of each clip, counted among the classes scored. */
  readonly labels: Int32Array;
  /** Place of each clip in its data set. */
  readonly indices: Int32Array;
  /** Parts of all clips, 0 to 1. */
  readonly top1: number;
  readonly top5: number;
  readonly meanClassAccuracy: number;
  /** Where clips have several classes; each counts elsewhere as of that class of its own which scores best. */
  readonly meanAveragePrecision?: number;
  /** Of each class, NaN where no clip is of it; where clips have several classes. */
  readonly averagePrecisions?: readonly number[];
  readonly classes: readonly ClassAccuracy[];
  readonly confusion: ConfusionMatrix;
}

/**
 * Class probabilities of clips: the mean over all views and templates of the softmax over the classes.
 * @param chosen Classes that compete, in this order; all of them unless told.
 * @returns [clips, chosen classes]
 */
export function scoreClips(
  clips: ClipFeatures,
  prompts: PromptFeatures,
  chosen: readonly number[] = allClasses(prompts),
): ScoreMatrix {
  const scores = new Float64Array(clips.labels.length * chosen.length);
  const scorer = new ClipScorer(clips, prompts, chosen);
  for (let clip = 0; clip < clips.labels.length; clip++) {
    scorer.take(clip);
    scores.set(scorer.among(chosen), clip * chosen.length);
  }
  return { scores, classes: chosen.length };
}

const allClasses = ({ classes }: PromptFeatures): number[] => Array.from({ length: classes }, (_, index) => index);

/** Similarities of one clip at a time, computed once however many sets of classes are scored with them. */
class ClipScorer {
  readonly #clips: ClipFeatures;
  readonly #prompts: PromptFeatures;
  /** Classes of which similarities are needed. */
  readonly #needed: readonly number[];
  /** [views, templates, classes] */
  readonly #similarities: Float64Array;

  constructor(clips: ClipFeatures, prompts: PromptFeatures, needed: readonly number[]) {
    const { views = 1 } = clips;
    const { templates, classes } = prompts;
    if (clips.width !== prompts.width) {
      throw new MetricError(
        `Clip features have ${clips.width} columns and prompt features ${prompts.width}`,
        'take both from one model',
      );
    }
    if (clips.rows.length !== clips.labels.length * views * clips.width) {
      throw new MetricError(
        `${clips.rows.length} numbers are no features of ${clips.labels.length} clips of ${views} views`,
        'pass one row for each view of each clip',
      );
    }
    const outOfRange = needed.find((index) => !Number.isInteger(index) || index < 0 || index >= classes);
    if (outOfRange !== undefined) {
      throw new MetricError(`Class ${outOfRange} is not among the prompts`, `classes go from 0 to ${classes - 1}`);
    }
    this.#clips = clips;
    this.#prompts = prompts;
    this.#needed = needed;
    this.#similarities = new Float64Array(views * templates * classes);
  }

  /** Turns to a clip. */
  take(clip: number): void {
    const { rows, width, views = 1 } = this.#clips;
    const { templates, classes } = this.#prompts;
    for (let view = 0; view < views; view++) {
      const at = (clip * views + view) * width;
      const row = rows.subarray(at, at + width);
      for (let template = 0; template < templates; template++) {
        for (const index of this.#needed) {
          const prompt = template * classes + index;
          this.#similarities[view * templates * classes + prompt] = product(row, this.#prompts.rows, prompt * width);
        }
      }
    }
  }

  /** Probabilities of the clip's classes where only these compete. */
  among(chosen: readonly number[]): Float64Array {
    const { classes } = this.#prompts;
    const rows = this.#similarities.length / classes;
    const own = new Float64Array(rows * chosen.length);
    let at = 0;
    for (let row = 0; row < rows; row++) {
      for (const index of chosen) own[at++] = this.#similarities[row * classes + index] ?? Number.NaN;
    }
    return scoreTemplates(own, { templates: rows, classes: chosen.length });
  }
}

/** Inner product of a row with another at `start`. Four sums let the processor work on four products at once. */
function product(row: Float32Array, others: Float32Array, start: number): number {
  let [a, b, c, d] = [0, 0, 0, 0];
  const whole = row.length - (row.length % 4);
  for (let i = 0; i < whole; i += 4) {
    a += (row[i] as number) * (others[start + i] as number);
    b += (row[i + 1] as number) * (others[start + i + 1] as number);
    c += (row[i + 2] as number) * (others[start + i + 2] as number);
    d += (row[i + 3] as number) * (others[start + i + 3] as number);
  }
  for (let i = whole; i < row.length; i++) a += (row[i] as number) * (others[start + i] as number);
  return a + b + (c + d);
}

/** Accuracies and counts of clips against all classes of the prompts. */
export function evaluateFeatures(clips: ClipFeatures, prompts: PromptFeatures): Evaluation {
  return evaluateScores(scoreClips(clips, prompts), clips.labels, clips.indices);
}

/**
 * The same for the clips of a list, which may have several classes each.
 * @param entries The data set that the features are of.
 */
export function evaluateEntries(
  clips: ClipFeatures,
  prompts: PromptFeatures,
  entries: readonly ClipEntry[],
): Evaluation {
  if (!hasLabelSets(entries)) return evaluateFeatures(clips, prompts);
  const scores = scoreClips(clips, prompts);
  const sets = Array.from(clips.indices, (place, clip) => {
    const entry = entries[place];
    return entry === undefined ? [clips.labels[clip] ?? -1] : classesOf(entry);
  });
  const labels = Int32Array.from(sets, (set, clip) => bestOf(set, scores, clip));
  const each = averagePrecisions(scores, sets);
  return {
    ...evaluateScores(scores, labels, clips.indices),
    meanAveragePrecision: meanPresent(each),
    averagePrecisions: each,
  };
}

function bestOf(set: readonly number[], { scores, classes }: ScoreMatrix, clip: number): number {
  const score = (label: number): number => scores[clip * classes + label] ?? Number.NaN;
  return set.reduce((best, label) => (score(label) > score(best) ? label : best));
}

/**
 * The same among a few classes only: clips of other classes are left out, and only the chosen classes compete.
 * @throws MetricError where no clip is of a chosen class.
 */
export function evaluateAmong(clips: ClipFeatures, prompts: PromptFeatures, chosen: readonly number[]): Evaluation {
  const [evaluation] = evaluateClassSets(clips, prompts, [chosen]);
  return evaluation as Evaluation;
}

/**
 * The same for several sets of classes, each for itself: one evaluation for each set.
 * @throws MetricError where a set has no clip.
 */
export function evaluateClassSets(
  clips: ClipFeatures,
  prompts: PromptFeatures,
  sets: readonly (readonly number[])[],
): Evaluation[] {
  const scorer = new ClipScorer(clips, prompts, [...new Set(sets.flat())]);
  const places = sets.map((set) => new Map(set.map((index, place) => [index, place])));
  const kept = sets.map(() => ({ scores: [] as Float64Array[], labels: [] as number[], indices: [] as number[] }));
  for (const [clip, label] of clips.labels.entries()) {
    if (!places.some((place) => place.has(label))) continue;
    scorer.take(clip);
    for (const [at, set] of sets.entries()) {
      const place = places[at]?.get(label);
      if (place === undefined) continue;
      kept[at]?.scores.push(scorer.among(set));
      kept[at]?.labels.push(place);
      kept[at]?.indices.push(clips.indices[clip] ?? 0);
    }
  }
  return kept.map(({ scores, labels, indices }, at) => {
    const classes = sets[at]?.length ?? 0;
    const all = new Float64Array(scores.length * classes);
    for (const [row, values] of scores.entries()) all.set(values, row * classes);
    return evaluateScores({ scores: all, classes }, Int32Array.from(labels), Int32Array.from(indices));
  });
}

/**
 * The part of clips, 0 to 1, told apart from the other class of their pair, with only the two competing.
 * @param pairs Pairs of class indices.
 */
export function pairAccuracy(
  clips: ClipFeatures,
  prompts: PromptFeatures,
  pairs: readonly (readonly [number, number])[],
): number {
  const each = evaluateClassSets(clips, prompts, pairs);
  const count = each.reduce((sum, { labels }) => sum + labels.length, 0);
  return each.reduce((sum, { top1, labels }) => sum + top1 * labels.length, 0) / count;
}

/** Accuracies and counts of scores; see {@link Evaluation}. */
export function evaluateScores(scores: ScoreMatrix, labels: Int32Array, indices: Int32Array): Evaluation {
  const confusion = confusionMatrix(labels, predictedClasses(scores), scores.classes);
  return {
    scores,
    labels,
    indices,
    top1: topKAccuracy(scores, labels, 1),
    top5: topKAccuracy(scores, labels, 5),
    meanClassAccuracy: meanClassAccuracy(confusion),
    classes: perClassAccuracy(confusion),
    confusion,
  };
}

export interface EvaluationOptions extends ClipFeatureOptions {
  readonly tokenizer: BytePairTokenizer;
  /** Texts of the classes, cleaned as in training. */
  readonly labels: readonly string[];
  /** Clips that are encoded at once. */
  readonly batchSize: number;
  /** Texts with `{}`; the sixteen of ActionCLIP unless told. */
  readonly templates?: readonly string[];
}

/** Encodes the clips of a loader and the prompts of a label set, and scores them. */
export async function evaluate(
  model: ActionCLIP,
  loader: ClipLoader,
  { tokenizer, labels, batchSize, templates, ...options }: EvaluationOptions,
): Promise<Evaluation> {
  const encoder = new FeatureEncoder(model);
  const tokens = promptTokens(labels, tokenizer, model.clip.sizes.text.context, templates);
  const prompts = await encoder.prompts(tokens);
  return evaluateFeatures(await encoder.clips(loader, batchSize, options), prompts);
}
