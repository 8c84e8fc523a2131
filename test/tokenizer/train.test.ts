/** The laws of training a vocabulary, of its tokenizer, and of saving it. */

import {
  BytePairTokenizer,
  cleanText,
  loadCharacterReferences,
  type Merge,
  TokenizerError,
  trainBytePairs,
} from '@actionclip/tokenizer';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';

beforeAll(() => loadCharacterReferences());

const BARE = 514;
const RUNS = 300;
const withoutBlanks = (text: string): string => text.replace(/\p{White_Space}/gu, '');

const corpora = fc.array(
  fc.oneof(
    fc.string({ unit: fc.constantFrom('a', 'b', 'c', ' '), maxLength: 24 }),
    fc.string({ unit: 'grapheme', maxLength: 12 }),
  ),
  { maxLength: 12 },
);
const sizes = fc.integer({ min: BARE, max: BARE + 60 });
const prompts = ['sitting down', 'standing up', 'waving the left hand', 'waving the right hand'];

/** Training as the paper writes it: count all pairs, merge the best one everywhere, begin again. */
function trainPlainly(corpus: readonly string[], vocabularySize: number): Merge[] {
  const bare = new BytePairTokenizer([]);
  const words = corpus.flatMap((text) => {
    const ids = bare.encode(text);
    const ends = ids.flatMap((id, index) => (id >= 256 ? [index + 1] : []));
    return ends.map((end, index) => ids.slice(ends[index - 1] ?? 0, end));
  });
  const merges: Merge[] = [];
  while (BARE + merges.length < vocabularySize) {
    const counts = new Map<string, number>();
    for (const word of words) {
      for (let i = 1; i < word.length; i++) {
        const pair = `${word[i - 1]},${word[i]}`;
        counts.set(pair, (counts.get(pair) ?? 0) + 1);
      }
    }
    const ranked = [...counts].map(([pair, count]) => [count, ...pair.split(',').map(Number)] as const);
    const [best] = ranked.sort((a, b) => b[0] - a[0] || Number(a[1]) - Number(b[1]) || Number(a[2]) - Number(b[2]));
    if (!best) break;
    const [, left = 0, right = 0] = best;
    for (const word of words) {
      for (let i = 0; i + 1 < word.length; i++) {
        if (word[i] === left && word[i + 1] === right) word.splice(i, 2, 512 + merges.length);
      }
    }
    merges.push([left, right]);
  }
  return merges;
}

describe('training', () => {
  test('learns the merges of the plain algorithm', () => {
    fc.assert(
      fc.property(corpora, sizes, (corpus, vocabularySize) => {
        expect(trainBytePairs(corpus, { vocabularySize }).toJSON().merges).toEqual(
          trainPlainly(corpus, vocabularySize),
        );
      }),
      { numRuns: RUNS },
    );
  });

  test('does not depend on the order of the corpus, nor on the kind of iterable', () => {
    fc.assert(
      fc.property(corpora, sizes, (corpus, vocabularySize) => {
        const trained = trainBytePairs(corpus, { vocabularySize }).toJSON();
        expect(trainBytePairs(corpus.toReversed().values(), { vocabularySize }).toJSON()).toEqual(trained);
      }),
      { numRuns: RUNS },
    );
  });

  test('of a smaller vocabulary gives the first merges of a larger, which lengthens no text', () => {
    fc.assert(
      fc.property(corpora, fc.string(), sizes, sizes, (corpus, other, a, b) => {
        const small = trainBytePairs(corpus, { vocabularySize: Math.min(a, b) });
        const large = trainBytePairs(corpus, { vocabularySize: Math.max(a, b) });
        const { merges } = small.toJSON();
        expect(large.toJSON().merges.slice(0, merges.length)).toEqual(merges);
        for (const text of [...corpus, other]) {
          expect(large.encode(text).length).toBeLessThanOrEqual(small.encode(text).length);
        }
      }),
      { numRuns: RUNS },
    );
  });

  test('fills the vocabulary, or makes a token of every word of the corpus', () => {
    const filled = trainBytePairs(prompts, { vocabularySize: 540 });
    expect(filled.vocabularySize).toBe(540);
    const exhausted = trainBytePairs(prompts, { vocabularySize: 10_000 });
    expect(exhausted.vocabularySize).toBeLessThan(700);
    for (const prompt of prompts) expect(exhausted.encode(prompt).length).toBe(prompt.split(' ').length);
  });

  test('refuses a vocabulary without room for the bytes', () => {
    for (const vocabularySize of [0, 513, 600.5, Number.NaN]) {
      expect(() => trainBytePairs(prompts, { vocabularySize })).toThrow(/at least 514/);
    }
    expect(trainBytePairs([], { vocabularySize: BARE }).vocabularySize).toBe(BARE);
  });
});

describe('a trained tokenizer', () => {
  test('encodes and decodes any text, seen or not, up to white space', () => {
    fc.assert(
      fc.property(
        corpora,
        fc.string({ unit: 'binary' }),
        sizes,
        fc.boolean(),
        (corpus, text, vocabularySize, repair) => {
          const tokenizer = trainBytePairs(corpus, { vocabularySize, repair });
          expect(withoutBlanks(tokenizer.decode(tokenizer.encode(text)))).toBe(
            withoutBlanks(cleanText(text, { repair })),
          );
        },
      ),
      { numRuns: RUNS },
    );
  });

  test("fills CLIP's context layout, the end token being the largest id", () => {
    const tokenizer = trainBytePairs(prompts, { vocabularySize: 600 });
    const rows = tokenizer.tokenize(['waving', 'sitting up'], { contextLength: 8 });
    const [waving = -1] = tokenizer.encode('waving');
    expect([...rows.subarray(0, 8)]).toEqual([tokenizer.start, waving, tokenizer.end, 0, 0, 0, 0, 0]);
    expect(Math.max(...rows)).toBe(tokenizer.end);
    expect(tokenizer.end).toBe(tokenizer.vocabularySize - 1);
  });

  test('is the same after it went through JSON', () => {
    fc.assert(
      fc.property(corpora, fc.string(), sizes, fc.boolean(), (corpus, text, vocabularySize, repair) => {
        const tokenizer = trainBytePairs(corpus, { vocabularySize, repair });
        const loaded = BytePairTokenizer.fromJSON(JSON.parse(JSON.stringify(tokenizer)));
        expect(loaded.toJSON()).toEqual(tokenizer.toJSON());
        expect(loaded.vocabularySize).toBe(tokenizer.vocabularySize);
        for (const sample of [...corpus, text]) expect(loaded.encode(sample)).toEqual(tokenizer.encode(sample));
      }),
      { numRuns: RUNS },
    );
  });
});

describe('a saved tokenizer', () => {
  const saved = { format: 'byte-pair-tokenizer', repair: true };

  test.each([
    ['nothing', null],
    ['another kind of file', { model: 'bpe' }],
    ['merges that are not pairs', { ...saved, merges: [[1, 2, 3]] }],
    ['merges that are not whole numbers', { ...saved, merges: [[1, 2.5]] }],
  ])('is refused where it holds %s', (_, value) => {
    expect(() => BytePairTokenizer.fromJSON(value)).toThrow(/not a saved tokenizer/);
  });

  test.each([
    ['a token that is made later', [[1, 513]]],
    ['a negative id', [[-1, 2]]],
    [
      'a pair twice',
      [
        [1, 2],
        [1, 2],
      ],
    ],
    ['something after the end of a word', [[300, 2]]],
  ])('is refused where a merge names %s', (_, merges) => {
    const load = () => BytePairTokenizer.fromJSON({ ...saved, merges });
    expect(load).toThrow(TokenizerError);
    expect(load).toThrow(/Merge \d, \[.*\], cannot be applied/);
  });
});
