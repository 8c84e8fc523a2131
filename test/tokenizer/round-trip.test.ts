/** What survives encoding and decoding: 100,000 random strings, half of them with the repair of characters. */

import { cleanText, createClipTokenizer } from '@actionclip/tokenizer';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

const RUNS = 12_500;
const withoutBlanks = (text: string): string => text.replace(/\p{White_Space}/gu, '');

/** What real labels hold beside letters, and what could trip the cleaning or the cut into pieces. */
const awkward = fc.constantFrom(
  ...["'s", "'ſ", "'", '&', '&amp;', '&lt;', '&#39;', ';', '</w>', '<|endoftext|>', '<|', ' ', '\n', '\u0085', '1'],
  ...['É', 'e\u0301', '\u0345', 'ﬁ', '’', 'Ｆ', '\ufeff', 'İ', 'ΑΣ', '日', '🤸‍♀️', '\ud83e', '\udd38', '\u0000'],
);

const texts = {
  'code points': fc.string({ unit: 'binary', maxLength: 40 }),
  'code units, lone surrogates among them': fc
    .array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 40 })
    .map((units) => String.fromCharCode(...units)),
  graphemes: fc.string({ unit: 'grapheme', maxLength: 40 }),
  'awkward mixtures': fc
    .array(fc.oneof(awkward, fc.string({ maxLength: 4 })), { maxLength: 16 })
    .map((parts) => parts.join('')),
};

describe.each([true, false])('with repair: %s', async (repair) => {
  const clip = await createClipTokenizer(undefined, { repair });

  test.each(Object.entries(texts))('decode(encode(x)) is cleanText(x) up to white space, for %s', (_, arbitrary) => {
    fc.assert(
      fc.property(arbitrary, (text) => {
        const ids = clip.encode(text);
        expect(withoutBlanks(clip.decode(ids))).toBe(withoutBlanks(cleanText(text, { repair })));
        expect(ids.every((id) => id >= 0 && id <= clip.end)).toBe(true);
      }),
      { numRuns: RUNS },
    );
  });
});

test('the blanks of the decoding are the ends of words, and words keep theirs', async () => {
  const clip = await createClipTokenizer();
  fc.assert(
    fc.property(fc.array(fc.stringMatching(/^[a-z]{1,12}$/), { maxLength: 12 }), (words) => {
      expect(clip.decode(clip.encode(words.join(' ')))).toBe(words.map((word) => `${word} `).join(''));
    }),
    { numRuns: 1000 },
  );
});
