/** Every label in every template as token ids, in the fewest columns that hold them all: one table for a label set. */
import type { BytePairTokenizer } from '@actionclip/tokenizer';
import { trimTokens } from '@actionclip/transformer';
import { formatPrompts, TEMPLATES } from '../prompts/templates.ts';

export interface PromptTokens {
  /** [templates * classes, length], template-major. */
  readonly tokens: Int32Array;
  /** Columns: up to the last end token of the longest prompt. */
  readonly length: number;
  readonly templates: number;
  readonly classes: number;
}

/**
 * Tokens of all prompts of a label set.
 * @param context The longest text that the model takes, in tokens.
 * @throws PromptError for an empty label, TextTooLongError for a prompt beyond the context.
 */
export function promptTokens(
  labels: readonly string[],
  tokenizer: BytePairTokenizer,
  context: number,
  templates: readonly string[] = TEMPLATES.map(({ text }) => text),
): PromptTokens {
  const rows = tokenizer.tokenize(formatPrompts(labels, templates), { contextLength: context });
  return { ...trimTokens(rows, context), templates: templates.length, classes: labels.length };
}

/** A label of which some prompt is longer than what the model takes. */
export interface LongLabel {
  readonly label: string;
  /** Of its longest prompt, with start and end. */
  readonly tokens: number;
  /** What the model takes. */
  readonly context: number;
}

/**
 * The labels of a set that `promptTokens` would refuse as too long.
 * @throws PromptError for an empty label.
 */
export function longLabels(
  labels: readonly string[],
  tokenizer: BytePairTokenizer,
  context: number,
  templates: readonly string[],
): LongLabel[] {
  return labels.flatMap((label) => {
    const lengths = formatPrompts([label], templates).map((prompt) => tokenizer.encode(prompt).length + 2);
    const tokens = Math.max(...lengths);
    return tokens > context ? [{ label, tokens, context }] : [];
  });
}
