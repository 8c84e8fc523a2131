/** Lists in messages. */

const SHOWN = 5;

/** The first five, and how many more there are. */
export function firstFew(items: readonly string[]): string {
  const rest = items.length - SHOWN;
  return items.slice(0, SHOWN).join(', ') + (rest > 0 ? ` and ${rest} more` : '');
}
