/** Pairs of neighbouring token ids: their key in a map, and their replacement in a sequence. */

/** More than any vocabulary, and small enough for the key of a pair to be an exact integer. */
export const VOCABULARY_LIMIT: number = 2 ** 26;

/** One number for two ids; keys order pairs by the left id, then by the right one. */
export const pairKey = (left: number, right: number): number => left * VOCABULARY_LIMIT + right;
export const leftOfKey = (key: number): number => Math.floor(key / VOCABULARY_LIMIT);
export const rightOfKey = (key: number): number => key % VOCABULARY_LIMIT;

/**
 * Replaces the pair by `merged` wherever it occurs in the first `length` ids, from left to right and in place, and
 * returns how many ids remain; `merged` is neither of the two.
 */
export function replacePair(ids: Int32Array, length: number, left: number, right: number, merged: number): number {
  let kept = 0;
  for (const id of ids.subarray(0, length)) {
    if (id === right && ids[kept - 1] === left) ids[kept - 1] = merged;
    else ids[kept++] = id;
  }
  return kept;
}
