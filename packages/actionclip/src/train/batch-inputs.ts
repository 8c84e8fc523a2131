/** What the step is given of a batch beside its frames: the classes of the clips, and a prompt for each. */
import { type ClipEntry, classesOf } from '../data/label-sets.ts';
import type { ClipBatch } from '../data/loader.ts';
import type { Random } from '../data/random.ts';
import type { PromptTokens } from '../evaluate/prompt-tokens.ts';
import type { HostInput } from './batch-step.ts';

type BatchClasses = Pick<ClipBatch, 'labels' | 'indices'>;

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
 * One prompt for each clip, [B, length]: its class, or one of several with equal chances, in a template drawn uniformly.
 * Equal places in training draw the same.
 */
export function drawTokens(
  { labels, indices, epoch, batchIndex }: ClipBatch,
  entries: readonly ClipEntry[],
  { tokens, length, templates, classes }: PromptTokens,
  draws: Random,
): HostInput {
  const random = draws.fork(epoch, batchIndex);
  const drawn = new Int32Array(labels.length * length);
  labels.forEach((label, clip) => {
    const template = random.integer(templates);
    const several = entries[indices[clip] ?? -1]?.labels;
    const row = template * classes + (several === undefined ? label : random.choice(several));
    drawn.set(tokens.subarray(row * length, (row + 1) * length), clip * length);
  });
  return { data: drawn, shape: [labels.length, length] };
}
