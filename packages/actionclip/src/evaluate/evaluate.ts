/**
 * Evaluation as the released test.py has it: similarities of clips with all prompts times 100, softmax over the
 * classes within each template, the mean of the probabilities, and counts on them. Label sets are open: features are
 * computed once and scored against any classes.
 */
import type { BytePairTokenizer } from '@actionclip/tokenizer';
import type { ClipLoader } from '../data/loader.ts';
import type { ActionCLIP } from '../model/action-clip.ts';
import { type ClipFeatureOptions, type ClipFeatures, FeatureEncoder, type PromptFeatures } from './features.ts';
import {
  type ClassAccuracy,
  type ConfusionMatrix,
  confusionMatrix,
  MetricError,
  meanClassAccuracy,
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
  readonly classes: readonly ClassAccuracy[];
  readonly confusion: ConfusionMatrix;
}

/**
 * Class probabilities of clips.
 * @param chosen Classes that compete, in this order; all of them unless told.
 * @returns [clips, chosen classes]
 */
export function scoreClips(
  clips: ClipFeatures,
  prompts: PromptFeatures,
  chosen: readonly number[] = Array.from({ length: prompts.classes }, (_, index) => index),
): ScoreMatrix {
  if (clips.width !== prompts.width) {
    throw new MetricError(
      `Clip features have ${clips.width} columns and prompt features ${prompts.width}`,
      'take both from one model',
    );
  }
  const { width } = clips;
  const { templates, classes } = prompts;
  const outOfRange = chosen.find((index) => !Number.isInteger(index) || index < 0 || index >= classes);
  if (outOfRange !== undefined) {
    throw new MetricError(`Class ${outOfRange} is not among the prompts`, `classes go from 0 to ${classes - 1}`);
  }
  const count = clips.labels.length;
  const scores = new Float64Array(count * chosen.length);
  const similarities = new Float64Array(templates * chosen.length);
  for (let clip = 0; clip < count; clip++) {
    const row = clips.rows.subarray(clip * width, (clip + 1) * width);
    let at = 0;
    for (let template = 0; template < templates; template++) {
      for (const index of chosen) similarities[at++] = product(row, prompts.rows, (template * classes + index) * width);
    }
    scores.set(scoreTemplates(similarities, { templates, classes: chosen.length }), clip * chosen.length);
  }
  return { scores, classes: chosen.length };
}

function product(row: Float32Array, others: Float32Array, start: number): number {
  let sum = 0;
  for (let i = 0; i < row.length; i++) sum += (row[i] as number) * (others[start + i] as number);
  return sum;
}

/** Accuracies and counts of clips against all classes of the prompts. */
export function evaluateFeatures(clips: ClipFeatures, prompts: PromptFeatures): Evaluation {
  return summarise(scoreClips(clips, prompts), clips.labels, clips.indices);
}

/**
 * The same among a few classes only: clips of other classes are left out, and only the chosen classes compete.
 * @throws MetricError where no clip is of a chosen class.
 */
export function evaluateAmong(clips: ClipFeatures, prompts: PromptFeatures, chosen: readonly number[]): Evaluation {
  const kept = [...clips.labels.keys()].filter((clip) => chosen.includes(clips.labels[clip] ?? -1));
  const rows = new Float32Array(kept.length * clips.width);
  kept.forEach((clip, at) => {
    rows.set(clips.rows.subarray(clip * clips.width, (clip + 1) * clips.width), at * clips.width);
  });
  const own: ClipFeatures = {
    rows,
    width: clips.width,
    labels: Int32Array.from(kept, (clip) => clips.labels[clip] ?? 0),
    indices: Int32Array.from(kept, (clip) => clips.indices[clip] ?? 0),
  };
  const labels = own.labels.map((label) => chosen.indexOf(label));
  return summarise(scoreClips(own, prompts, chosen), labels, own.indices);
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
  const each = pairs.map((pair) => evaluateAmong(clips, prompts, pair));
  const count = each.reduce((sum, { labels }) => sum + labels.length, 0);
  return each.reduce((sum, { top1, labels }) => sum + top1 * labels.length, 0) / count;
}

function summarise(scores: ScoreMatrix, labels: Int32Array, indices: Int32Array): Evaluation {
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
