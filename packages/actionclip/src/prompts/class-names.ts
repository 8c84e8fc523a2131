/**
 * Names of classes as files and folders spell them (`passing_American_football_-in_game-`, `ApplyEyeMakeup`), found
 * among the names of a label file.
 */

/** What is left of a name where spellings differ: its letters and digits, in small letters. */
export function classKey(name: string): string {
  return name
    .normalize('NFKC')
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, '');
}

/**
 * A function from any spelling of a class to its row among the names. It gives undefined for what is no class, and for
 * a spelling that several rows share.
 */
export function classFinder(names: readonly string[]): (spelling: string) => number | undefined {
  const rows = new Map<string, number | undefined>();
  names.forEach((name, row) => {
    const key = classKey(name);
    rows.set(key, rows.has(key) || key === '' ? undefined : row);
  });
  return (spelling) => rows.get(classKey(spelling));
}
