/** CLIP's tokenizer against OpenAI's ids, and its context layout, options and errors. */

import { readFileSync } from 'node:fs';
import { createClipTokenizer, loadClipMerges, TextTooLongError, TokenizerError } from '@actionclip/tokenizer';
import { describe, expect, test } from 'vitest';

interface Fixture {
  readonly vocabulary_size: number;
  readonly start: number;
  readonly end: number;
  readonly cases: readonly { readonly text: string; readonly ids: readonly number[]; readonly decoded: string }[];
}

const fixture: Fixture = JSON.parse(
  readFileSync(new URL('../../../shared/fixtures/tokenizer/clip-bpe-cases.json', import.meta.url), 'utf8'),
);
const merges = await loadClipMerges();
const clip = await createClipTokenizer(merges);

describe("OpenAI's ids", () => {
  test.each([true, false])('every fixture text has its ids and its decoding (repair: %s)', async (repair) => {
    const tokenizer = await createClipTokenizer(merges, { repair });
    expect(fixture.cases.length).toBeGreaterThan(800);
    expect(fixture.cases.map(({ text }) => ({ text, ids: tokenizer.encode(text) }))).toEqual(
      fixture.cases.map(({ text, ids }) => ({ text, ids })),
    );
    expect(fixture.cases.map(({ ids }) => tokenizer.decode(ids))).toEqual(fixture.cases.map(({ decoded }) => decoded));
  });

  test('the vocabulary has its size and its special tokens', () => {
    expect([clip.vocabularySize, clip.start, clip.end]).toEqual([fixture.vocabulary_size, fixture.start, fixture.end]);
  });

  test('typographic forms become the ids of the plain text unless repair is off', async () => {
    const typographic = 'the man’s “ﬁshing”　ＴＲＩＰ';
    const plain = 'the man\'s "fishing" trip';
    const literal = await createClipTokenizer(merges, { repair: false });
    expect(clip.encode(typographic)).toEqual(clip.encode(plain));
    expect(literal.encode(typographic)).not.toEqual(literal.encode(plain));
  });
});

describe('the merges as text', () => {
  test('may come without the header and without the merges that CLIP leaves out', async () => {
    const used = merges.split('\n').slice(1, 48_895).join('\n');
    const tokenizer = await createClipTokenizer(used);
    expect(tokenizer.vocabularySize).toBe(49_408);
    expect(tokenizer.encode('wrestling, ｙｏｇａ')).toEqual(clip.encode('wrestling, yoga'));
  });

  test('are the ones that the package itself loads', async () => {
    expect((await createClipTokenizer()).toJSON()).toEqual(clip.toJSON());
  });

  test('that are cut short are refused with the number of lines', async () => {
    await expect(createClipTokenizer('#version: 0.2\ni n\nt h\n')).rejects.toThrow(/have 2 lines.*needs 48894/);
  });

  test('that are damaged are refused by the line', async () => {
    const damaged = merges.replace('\nth e</w>\n', '\nth  e</w>\n');
    await expect(createClipTokenizer(damaged)).rejects.toThrow(/Merge 7 .*"th {2}e<\/w>"/);
  });
});

describe('rows of the context', () => {
  test('hold start, ids, end and zeros', () => {
    const rows = clip.tokenize(['a photo of action abseiling', '']);
    expect(rows).toBeInstanceOf(Int32Array);
    expect(rows.length).toBe(2 * 77);
    const first = [49406, 320, 1125, 539, 1816, 596, 567, 3299, 49407];
    expect([...rows.subarray(0, 77)]).toEqual([...first, ...new Array(77 - first.length).fill(0)]);
    expect([...rows.subarray(77)]).toEqual([49406, 49407, ...new Array(75).fill(0)]);
  });

  test('take a text that just fits, and refuse one token more with the text and its count', () => {
    const fits = new Array(75).fill('yoga').join(' ');
    expect(clip.tokenize([fits])[76]).toBe(clip.end);
    const long = `${fits} yoga`;
    expect(() => clip.tokenize(['zumba', long])).toThrow(TextTooLongError);
    try {
      clip.tokenize([long]);
      expect.unreachable();
    } catch (error) {
      if (!(error instanceof TextTooLongError)) throw error;
      expect(error).toMatchObject({ text: long, tokens: 78, contextLength: 77 });
      expect(error.message).toContain('yoga yoga');
      expect(error.message).toContain('78 tokens');
      expect(error.message).toContain('truncate: true');
    }
  });

  test('are cut on request, with the end token last', () => {
    const rows = clip.tokenize(['one two three four'], { contextLength: 4, truncate: true });
    expect([...rows]).toEqual([clip.start, ...clip.encode('one two'), clip.end]);
  });

  test('need room for start and end', () => {
    for (const contextLength of [1, 0, -3, 2.5, Number.NaN]) {
      expect(() => clip.tokenize(['yoga'], { contextLength })).toThrow(/context length .* at least 2/);
    }
    expect([...clip.tokenize([''], { contextLength: 2 })]).toEqual([clip.start, clip.end]);
    expect(clip.tokenize([]).length).toBe(0);
  });
});

describe('decoding', () => {
  test('refuses ids outside the vocabulary by name', () => {
    for (const id of [49_408, -1, 0.5, Number.NaN]) expect(() => clip.decode([320, id])).toThrow(TokenizerError);
    expect(() => clip.decode([320, 49_408])).toThrow(/no token 49408 in a vocabulary of 49408/);
  });

  test('marks bytes that are not UTF-8', () => {
    const [first = 0] = clip.encode('字');
    expect(clip.decode(clip.encode('字'))).toBe('字 ');
    expect(clip.decode([first])).toContain('\ufffd');
  });
});
