/** From the names of a label file to the texts that stand in prompts, for a whole set of classes at once. */
import { cleanLabel } from './templates.ts';

/**
 * `as-is`: the names as they stand, as in the released code. `split`: words of their own where underscores or
 * capitals join them. `auto`: split only where the set as a whole is spelled so.
 */
export const LABEL_CLEANINGS = ['as-is', 'split', 'auto'] as const;

export type LabelCleaningMode = (typeof LABEL_CLEANINGS)[number];

export interface CleanedLabels {
  readonly labels: readonly string[];
  /** What was done and why, in a sentence without its end. */
  readonly explanation: string;
}

/** Names of one word each that all start large, of which at least one has a capital inside: UCF101's `YoYo`. */
export function isCamelCase(labels: readonly string[]): boolean {
  return (
    labels.every((label) => /^\p{Lu}[\p{L}\p{N}]*$/u.test(label)) && labels.some((label) => /\p{Ll}\p{Lu}/u.test(label))
  );
}

/** Cleans the names of all classes alike. */
export function cleanLabels(labels: readonly string[], mode: LabelCleaningMode = 'auto'): CleanedLabels {
  const underscores = mode === 'split' || (mode === 'auto' && labels.some((label) => label.includes('_')));
  const spaced = labels.map((label) => cleanLabel(label, { underscores }));
  const camelCase = mode === 'split' || (mode === 'auto' && isCamelCase(labels));
  const cleaned = spaced.map((label) => cleanLabel(label, { camelCase }));
  const example = labels.findIndex((label, index) => label !== cleaned[index]);
  if (example === -1) return { labels: cleaned, explanation: 'Class names are taken as they stand' };
  const reason = mode === 'split' ? '' : `, as the names are in ${camelCase ? 'CamelCase' : 'words with underscores'}`;
  const change = `"${labels[example]}" is "${cleaned[example]}"`;
  return { labels: cleaned, explanation: `Class names are split into words${reason}: ${change}` };
}
