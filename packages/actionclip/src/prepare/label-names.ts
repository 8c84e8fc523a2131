/** Class names from different hands: folders write blanks as underscores and parentheses as dashes. */
import { DataError } from '../data/errors.ts';
import { nearest } from '../nearest.ts';
import { splitCamelCase } from '../prompts/templates.ts';

/** Equal for spellings of one class: `passing_football_-in_game-` and `passing football (in game)`, `YoYo` and `yo yo`. */
export function labelKey(name: string): string {
  return splitCamelCase(name)
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\p{M}]+/gu, ' ')
    .trim();
}

/**
 * Finds each name among `official`, literally or else by {@link labelKey}.
 * @param file where the official names are from, for messages
 * @returns the official name of each found one
 * @throws DataError for a name that is not there, or could be two of them
 */
export function matchLabels(found: readonly string[], official: readonly string[], file: string): Map<string, string> {
  const literal = new Set(official);
  const byKey = new Map<string, string[]>();
  for (const name of literal) byKey.set(labelKey(name), [...(byKey.get(labelKey(name)) ?? []), name]);
  return new Map(
    found.map((name) => {
      if (literal.has(name)) return [name, name];
      const [match, other] = byKey.get(labelKey(name)) ?? [];
      if (match === undefined) {
        const near = nearest(name, official).map((candidate) => `"${candidate}"`);
        throw new DataError(
          `${file}: the class "${name}" of the clips is none of the ${official.length} classes`,
          near.length > 0 ? `did you mean ${near.join(' or ')}?` : 'add it to the file',
        );
      }
      if (other !== undefined) {
        throw new DataError(`${file}: "${name}" could be "${match}" or "${other}"`, 'name the clips as the file does');
      }
      return [name, match];
    }),
  );
}
