/** The cut of a cleaned text into the pieces inside which byte pairs are merged. */

export const START_TEXT = '<|startoftext|>';
export const END_TEXT = '<|endoftext|>';

/**
 * CLIP's pattern (`simple_tokenizer.py`): the two special tokens, English clitics, runs of letters, single digits, runs
 * of anything else that is not white space. CLIP matches without regard to case; on lower-cased text that only matters
 * for the long s, which is written out here because JavaScript's `i` flag would also fold marks such as U+0345 into
 * letters.
 */
const PIECE =
  /<\|startoftext\|>|<\|endoftext\|>|'[sſ]|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\p{White_Space}\p{L}\p{N}]+/gu;

/** The pieces of a cleaned text in order; everything but white space is in one of them. */
export function splitPieces(cleaned: string): string[] {
  return cleaned.match(PIECE) ?? [];
}
