/** The CLIP preset: OpenAI's vocabulary of 49,408 tokens. */

import { BYTE_TOKENS, characterOfId } from './bytes.ts';
import { loadCharacterReferences } from './character-references.ts';
import type { CleaningOptions } from './clean.ts';
import { loadClipMerges } from './clip-merges.ts';
import { TokenizerError } from './errors.ts';
import { BytePairTokenizer, type Merge } from './tokenizer.ts';

/** Merges that CLIP uses; its file has more than five times as many. */
const CLIP_MERGES = 48_894;
const END_OF_WORD = '</w>';

/** Reads lines of two symbols, such as `th e</w>`, as pairs of ids. */
function parseMerges(lines: readonly string[]): Merge[] {
  const symbols = [...characterOfId, ...characterOfId.map((character) => character + END_OF_WORD)];
  const ids = new Map(symbols.map((symbol, id) => [symbol, id]));
  return lines.map((line, index) => {
    const [first = '', second = '', ...rest] = line.split(' ');
    const left = ids.get(first);
    const right = ids.get(second);
    if (left === undefined || right === undefined || rest.length > 0 || ids.has(first + second)) {
      throw new TokenizerError(
        `Merge ${index + 1} of the CLIP vocabulary, ${JSON.stringify(line)}, cannot be applied`,
        "Each line must be two known symbols that make a new one; pass OpenAI's bpe_simple_vocab_16e6.txt unchanged",
      );
    }
    ids.set(first + second, BYTE_TOKENS + index);
    return [left, right];
  });
}

/**
 * OpenAI CLIP's tokenizer: 49,408 tokens, start 49406, end 49407.
 *
 * @param merges OpenAI's `bpe_simple_vocab_16e6.txt` as text, with or without its header line; only the first 48,894
 *   merges are read. Without it the text comes from `loadClipMerges`, which needs Node.
 * @throws TokenizerError for a text that is not such a file
 */
export async function createClipTokenizer(merges?: string, options: CleaningOptions = {}): Promise<BytePairTokenizer> {
  const lines = (merges ?? (await loadClipMerges())).split(/\r?\n/, CLIP_MERGES + 1);
  const first = lines[0]?.includes('#version') ? 1 : 0;
  const used = lines.slice(first, first + CLIP_MERGES).filter((line) => line !== '');
  if (used.length < CLIP_MERGES) {
    throw new TokenizerError(
      `The merges have ${used.length} lines, but the CLIP vocabulary needs ${CLIP_MERGES}`,
      "Pass OpenAI's bpe_simple_vocab_16e6.txt, unpacked; for a vocabulary of your own, use trainBytePairs",
    );
  }
  await loadCharacterReferences();
  return new BytePairTokenizer(parseMerges(used), options);
}
