/** What the step is given of a batch beside its frames: the classes of the clips, and a prompt for each. */
import { type ClipEntry, classesOf } from '../data/label-sets.ts';
import type { Random } from '../data/random.ts';
import type { PromptFeatures } from '../evaluate/features.ts';
import type { PromptTokens } from '../evaluate/prompt-tokens.ts';
import type { HostInput } from './batch-step.ts';
import type { BatchPlace } from './features-loader.ts';

type BatchClasses = Pick<BatchPlace, 'labels' | 'indices'>;

/**
 * Classes of a batch as the loss takes them.
 * @param severalOf How many classes there are, where clips have several of them.
 * @returns [B] indices, or [B, classes] of ones and zeros.
 */
export function classInput(
  { labels, indices }: BatchClasses,
  entries: readonly ClipEntry[],
  severalOf?: number,
): HostInput {
  if (severalOf === undefined) return { data: labels, shape: [labels.length] };
  const members = new Float32Array(labels.length * severalOf);
  indices.forEach((place, clip) => {
    const entry = entries[place];
    for (const label of entry === undefined ? [] : classesOf(entry)) members[clip * severalOf + label] = 1;
  });
  return { data: members, shape: [labels.length, severalOf] };
}

/**
 * One prompt for each clip: its class, or one of several with equal chances, in a template drawn uniformly. Equal places in
 * training draw the same.
 * @param features Of all prompts, where the text tower is frozen.
 * @returns Tokens [B, length], or features [B, D] where these are given.
 */
export function drawTexts(
  { labels, indices, epoch, batchIndex }: BatchPlace,
  entries: readonly ClipEntry[],
  { tokens, length, templates, classes }: PromptTokens,
  draws: Random,
  features?: PromptFeatures,
): HostInput {
  const random = draws.fork(epoch, batchIndex);
  const prompts = Array.from(labels, (label, clip) => {
    const template = random.integer(templates);
    const several = entries[indices[clip] ?? -1]?.labels;
    return template * classes + (several === undefined ? label : random.choice(several));
  });
  if (features === undefined) return rowsOf(tokens, new Int32Array(prompts.length * length), prompts);
  return rowsOf(features.rows, new Float32Array(prompts.length * features.width), prompts);
}

/** Some rows of a table, [rows, length], put into values of that size. */
export function rowsOf<Values extends Int32Array<ArrayBuffer> | Float32Array<ArrayBuffer>>(
  table: Int32Array | Float32Array,
  values: Values,
  chosen: readonly number[],
): HostInput & { readonly data: Values } {
  const length = values.length / chosen.length;
  chosen.forEach((row, at) => {
    values.set(table.subarray(row * length, (row + 1) * length), at * length);
  });
  return { data: values, shape: [chosen.length, length] };
}
