/** Learning byte-pair merges from a corpus (Sennrich et al., arXiv 1508.07909, on bytes). */

import { BYTE_TOKENS, encodeBytes } from './bytes.ts';
import { type CleaningOptions, cleanText } from './clean.ts';
import { TokenizerError } from './errors.ts';
import { MaximumHeap } from './heap.ts';
import { leftOfKey, pairKey, replacePair, rightOfKey } from './pairs.ts';
import { END_TEXT, START_TEXT, splitPieces } from './split.ts';
import { BytePairTokenizer, type Merge } from './tokenizer.ts';

/** The two special tokens. */
const SPECIAL_TOKENS = 2;

export interface TrainOptions extends CleaningOptions {
  /** The most tokens to have: 512 byte tokens, the merges, and the start and end tokens. */
  readonly vocabularySize: number;
}

/** A distinct piece of the corpus: its ids so far (the first `length` of `ids`) and how often it occurs. */
interface Word {
  readonly ids: Int32Array;
  length: number;
  readonly count: number;
}

/** How often a pair occurs in the corpus, and the words where it has occurred. */
interface PairStatistics {
  count: number;
  readonly words: Set<Word>;
}

interface Candidate {
  readonly key: number;
  readonly count: number;
}

/** The more frequent pair first; of equally frequent ones that with the smaller ids, so that nothing is left to chance. */
const precedes = (a: Candidate, b: Candidate): boolean => a.count > b.count || (a.count === b.count && a.key < b.key);

function countWords(corpus: Iterable<string>, cleaning: CleaningOptions): Word[] {
  const counts = new Map<string, number>();
  for (const text of corpus) {
    for (const piece of splitPieces(cleanText(text, cleaning))) counts.set(piece, (counts.get(piece) ?? 0) + 1);
  }
  for (const special of [START_TEXT, END_TEXT]) counts.delete(special);
  return Array.from(counts, ([piece, count]) => {
    const ids = encodeBytes(piece);
    return { ids, length: ids.length, count };
  });
}

/** The pairs of all words, kept up to date while words change. */
class PairTable {
  readonly #statistics = new Map<number, PairStatistics>();

  count(key: number): number {
    return this.#statistics.get(key)?.count ?? 0;
  }

  wordsWith(key: number): Word[] {
    return [...(this.#statistics.get(key)?.words ?? [])];
  }

  /** Counts the pairs of a word in and returns the keys that were not known before. */
  add(word: Word): number[] {
    const fresh: number[] = [];
    for (const key of pairsOf(word)) {
      let entry = this.#statistics.get(key);
      if (!entry) {
        entry = { count: 0, words: new Set() };
        this.#statistics.set(key, entry);
        fresh.push(key);
      }
      entry.count += word.count;
      entry.words.add(word);
    }
    return fresh;
  }

  /** Counts the pairs of a word out. */
  subtract(word: Word): void {
    for (const key of pairsOf(word)) {
      const entry = this.#statistics.get(key);
      if (entry) entry.count -= word.count;
    }
  }

  forget(key: number): void {
    this.#statistics.delete(key);
  }
}

function pairsOf({ ids, length }: Word): number[] {
  const keys: number[] = [];
  let left = -1;
  for (const right of ids.subarray(0, length)) {
    if (left >= 0) keys.push(pairKey(left, right));
    left = right;
  }
  return keys;
}

/**
 * Trains a tokenizer on a corpus: the most frequent pair of neighbouring tokens within a word is merged, again and
 * again, until the vocabulary is full or every word is one token (then the vocabulary stays smaller than asked for).
 * The result depends on how often each word occurs, not on the order of the corpus, and the merges of a smaller
 * vocabulary are the first ones of a larger.
 *
 * @throws TokenizerError for a vocabulary that has no room for the bytes and the special tokens, or a text that may have
 *   HTML's entities before `loadCharacterReferences`
 */
export function trainBytePairs(
  corpus: Iterable<string>,
  { vocabularySize, ...cleaning }: TrainOptions,
): BytePairTokenizer {
  const smallest = BYTE_TOKENS + SPECIAL_TOKENS;
  if (!Number.isInteger(vocabularySize) || vocabularySize < smallest) {
    throw new TokenizerError(
      `A vocabulary of ${vocabularySize} tokens cannot be trained`,
      `Give a whole number of at least ${smallest}: ${BYTE_TOKENS} bytes, start and end; every merge adds one`,
    );
  }
  const table = new PairTable();
  const candidates = new MaximumHeap<Candidate>(precedes);
  const propose = (keys: Iterable<number>): void => {
    for (const key of keys) candidates.push({ key, count: table.count(key) });
  };
  propose(countWords(corpus, cleaning).flatMap((word) => table.add(word)));

  const merges: Merge[] = [];
  while (merges.length < vocabularySize - smallest) {
    const best = candidates.pop();
    if (!best) break;
    const count = table.count(best.key);
    // Only pairs with the newest token gain, so a count in the heap is never too low; one too high is corrected here.
    if (count < best.count) {
      if (count > 0) propose([best.key]);
      continue;
    }
    const [left, right] = [leftOfKey(best.key), rightOfKey(best.key)];
    const merged = BYTE_TOKENS + merges.length;
    merges.push([left, right]);
    const fresh: number[] = [];
    for (const word of table.wordsWith(best.key)) {
      table.subtract(word);
      word.length = replacePair(word.ids, word.length, left, right, merged);
      for (const key of table.add(word)) fresh.push(key);
    }
    table.forget(best.key);
    propose(fresh);
  }
  return new BytePairTokenizer(merges, cleaning);
}
