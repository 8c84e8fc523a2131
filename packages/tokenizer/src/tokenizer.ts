/** A byte-level byte-pair tokenizer with CLIP's vocabulary order and context layout. */

import { BYTE_TOKENS, BYTES, byteOfId, encodeBytes } from './bytes.ts';
import { type CleaningOptions, cleanText } from './clean.ts';
import { TextTooLongError, TokenizerError } from './errors.ts';
import { pairKey, replacePair, VOCABULARY_LIMIT } from './pairs.ts';
import { END_TEXT, START_TEXT, splitPieces } from './split.ts';

/** Two token ids that are joined into one; merge number n makes the id 512 + n. */
export type Merge = readonly [left: number, right: number];

/** What `BytePairTokenizer.toJSON` writes: all that is needed to make the same tokenizer again. */
export interface SavedTokenizer {
  readonly format: 'byte-pair-tokenizer';
  readonly repair: boolean;
  readonly merges: readonly Merge[];
}

export interface TokenizeOptions {
  /** Columns of the result, start and end tokens included; 77 unless told. */
  readonly contextLength?: number;
  /** Whether a longer text is cut, its last id being the end token, instead of refused; false unless told. */
  readonly truncate?: boolean;
}

const CACHED_PIECES = 65_536;
const CACHED_PIECE_LENGTH = 64;
const BLANK = 0x20;
const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

interface TokenBytes {
  readonly bytes: Uint8Array;
  readonly endsWord: boolean;
}

function byteTokens(): TokenBytes[] {
  return Array.from({ length: BYTE_TOKENS }, (_, id) => ({
    bytes: byteOfId.slice(id % BYTES, (id % BYTES) + 1),
    endsWord: id >= BYTES,
  }));
}

function joined(left: TokenBytes, right: TokenBytes): TokenBytes {
  const bytes = new Uint8Array(left.bytes.length + right.bytes.length);
  bytes.set(left.bytes);
  bytes.set(right.bytes, left.bytes.length);
  return { bytes, endsWord: right.endsWord };
}

/**
 * Byte-level BPE as in CLIP's `simple_tokenizer.py`: a text is cleaned, cut into pieces, each piece's UTF-8 bytes become
 * ids (the last one an end-of-word id), and neighbours are merged, the earliest merge first. Ids are, in order: 256
 * bytes, 256 bytes that end a word, the merges, the start token, and the end token, which is thus the largest id.
 */
export class BytePairTokenizer {
  readonly vocabularySize: number;
  /** The id that opens every row of `tokenize`. */
  readonly start: number;
  /** The id that closes every row of `tokenize`; the largest of all. */
  readonly end: number;
  readonly #merges: readonly Merge[];
  readonly #repair: boolean;
  readonly #tokens: readonly TokenBytes[];
  readonly #mergedOfPair: ReadonlyMap<number, number>;
  readonly #cache = new Map<string, readonly number[]>();

  /**
   * @param merges pairs of ids; each may only name ids that are bytes or that an earlier merge made
   * @throws TokenizerError for a merge that names a later id, joins beyond the end of a word, or occurs twice
   */
  constructor(merges: readonly Merge[], { repair = true }: CleaningOptions = {}) {
    this.start = BYTE_TOKENS + merges.length;
    this.end = this.start + 1;
    this.vocabularySize = this.end + 1;
    if (this.vocabularySize > VOCABULARY_LIMIT) {
      throw new TokenizerError(`${merges.length} merges are too many`, `Keep the vocabulary under ${VOCABULARY_LIMIT}`);
    }
    this.#merges = merges;
    this.#repair = repair;
    const tokens = byteTokens();
    const mergedOfPair = new Map<number, number>();
    for (const [index, [left, right]] of merges.entries()) {
      const first = tokens[left];
      const second = tokens[right];
      const key = pairKey(left, right);
      if (!first || !second || first.endsWord || mergedOfPair.has(key)) {
        throw new TokenizerError(
          `Merge ${index}, [${left}, ${right}], cannot be applied`,
          `Each merge must be new, join ids below ${BYTE_TOKENS + index}, and not begin with an end-of-word token`,
        );
      }
      mergedOfPair.set(key, tokens.length);
      tokens.push(joined(first, second));
    }
    for (const special of [START_TEXT, END_TEXT]) tokens.push({ bytes: encoder.encode(special), endsWord: false });
    this.#tokens = tokens;
    this.#mergedOfPair = mergedOfPair;
    this.#forget();
  }

  /** @throws TokenizerError where `saved` is not what `toJSON` made */
  static fromJSON(saved: unknown): BytePairTokenizer {
    if (!isSavedTokenizer(saved)) {
      throw new TokenizerError(
        'This is not a saved tokenizer',
        "Expected { format: 'byte-pair-tokenizer', repair: boolean, merges: [[left id, right id], ...] }",
      );
    }
    return new BytePairTokenizer(saved.merges, { repair: saved.repair });
  }

  /** A plain value for JSON.stringify, read back by `fromJSON`. */
  toJSON(): SavedTokenizer {
    return { format: 'byte-pair-tokenizer', repair: this.#repair, merges: this.#merges };
  }

  /**
   * The ids of a text without start and end tokens; none for an empty text. As in CLIP, the literal texts
   * `<|startoftext|>` and `<|endoftext|>` become the special ids.
   *
   * @throws TokenizerError for a text that may have entities before `loadCharacterReferences` or `createClipTokenizer`
   */
  encode(text: string): number[] {
    const ids: number[] = [];
    for (const piece of splitPieces(cleanText(text, { repair: this.#repair }))) {
      for (const id of this.#encodePiece(piece)) ids.push(id);
    }
    return ids;
  }

  /**
   * The text of the ids, with a blank after every word; bytes that are not UTF-8 become U+FFFD. Nothing is left out:
   * special ids are written as their text, and a padding 0 as the token that it is, `!`.
   *
   * @throws TokenizerError for an id outside the vocabulary
   */
  decode(ids: Iterable<number>): string {
    const bytes: number[] = [];
    for (const id of ids) {
      const token = this.#tokens[id];
      if (!token) {
        throw new TokenizerError(
          `There is no token ${id} in a vocabulary of ${this.vocabularySize}`,
          `Ids are whole numbers from 0 to ${this.end}; was the text encoded by another vocabulary?`,
        );
      }
      for (const byte of token.bytes) bytes.push(byte);
      if (token.endsWord) bytes.push(BLANK);
    }
    return decoder.decode(Uint8Array.from(bytes));
  }

  /**
   * The rows that CLIP's text tower reads, [texts, contextLength] in row-major order: start, ids, end, zeros.
   *
   * @throws TextTooLongError for a text of more than contextLength - 2 ids, unless `truncate`
   */
  tokenize(
    texts: readonly string[],
    { contextLength = 77, truncate = false }: TokenizeOptions = {},
  ): Int32Array<ArrayBuffer> {
    if (!Number.isInteger(contextLength) || contextLength < 2) {
      throw new TokenizerError(
        `The context length ${contextLength} is not possible`,
        'Give a whole number of at least 2: the start and end tokens need a place each',
      );
    }
    const rows = new Int32Array(texts.length * contextLength);
    for (const [index, text] of texts.entries()) {
      const ids = [this.start, ...this.encode(text), this.end];
      if (ids.length > contextLength) {
        if (!truncate) throw new TextTooLongError(text, ids.length, contextLength);
        ids.length = contextLength;
        ids[contextLength - 1] = this.end;
      }
      rows.set(ids, index * contextLength);
    }
    return rows;
  }

  #encodePiece(piece: string): readonly number[] {
    const known = this.#cache.get(piece);
    if (known) return known;
    const ids = this.#mergePiece(piece);
    if (piece.length <= CACHED_PIECE_LENGTH) {
      if (this.#cache.size >= CACHED_PIECES) this.#forget();
      this.#cache.set(piece, ids);
    }
    return ids;
  }

  #mergePiece(piece: string): number[] {
    const ids = encodeBytes(piece);
    let length = ids.length;
    for (;;) {
      let merged = Number.POSITIVE_INFINITY;
      let pair: Merge = [0, 0];
      let left = -1; // before the first id there is nothing to merge with
      for (const right of ids.subarray(0, length)) {
        const candidate = this.#mergedOfPair.get(pairKey(left, right));
        if (candidate !== undefined && candidate < merged) {
          merged = candidate;
          pair = [left, right];
        }
        left = right;
      }
      if (merged === Number.POSITIVE_INFINITY) return Array.from(ids.subarray(0, length));
      length = replacePair(ids, length, ...pair, merged);
    }
  }

  /** Empties the cache but for the special tokens, which are never cut. */
  #forget(): void {
    this.#cache.clear();
    this.#cache.set(START_TEXT, [this.start]);
    this.#cache.set(END_TEXT, [this.end]);
  }
}

function isSavedTokenizer(value: unknown): value is SavedTokenizer {
  if (typeof value !== 'object' || value === null) return false;
  const { format, repair, merges } = value as Partial<Record<keyof SavedTokenizer, unknown>>;
  return (
    format === 'byte-pair-tokenizer' &&
    typeof repair === 'boolean' &&
    Array.isArray(merges) &&
    merges.every((merge) => Array.isArray(merge) && merge.length === 2 && merge.every(Number.isInteger))
  );
}
