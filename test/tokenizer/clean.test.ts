/** The cleaning of texts, rule by rule. */

import { cleanText, loadCharacterReferences } from '@actionclip/tokenizer';
import { beforeAll, describe, expect, test } from 'vitest';

beforeAll(() => loadCharacterReferences());

describe('always', () => {
  test.each([
    ['nothing stays nothing', '', ''],
    ['white space is collapsed and trimmed', '\t a \r\n\u00a0\u2028b\u3000', 'a b'],
    ['letters become lower case', 'ÀPPLY Eye', 'àpply eye'],
    ['composed forms are used', 'cafe\u0301', 'caf\u00e9'],
    ['entities are unescaped', '&lt;b&gt; &eacute;&#233;&#xE9;', '<b> ééé'],
    ['entities are unescaped twice', '&amp;eacute;', 'é'],
    ['entities may lack the semicolon', 'r&ampb', 'r&b'],
    ['a lone surrogate is replaced', 'a\ud800b\udc00', 'a\ufffdb\ufffd'],
    ['a pair of surrogates is kept', '\ud83e\udd38', '🤸'],
  ])('%s', (_, text, expected) => {
    expect(cleanText(text)).toBe(expected);
    expect(cleanText(text, { repair: false })).toBe(expected);
  });
});

describe('with repair only', () => {
  test.each([
    ['single quotes are straightened', '‘it’s’ ʼ‛', "'it's' ''", '‘it’s’ ʼ‛'],
    ['double quotes are straightened', '“yoga” „‟', '"yoga" ""', '“yoga” „‟'],
    ['an escaped quote is straightened', 'it&rsquo;s', "it's", 'it’s'],
    ['an escaped quote beside a tag is left', '<b>it&rsquo;s', '<b>it’s', '<b>it’s'],
    ['ligatures are taken apart', 'ﬁt waﬄe oﬀ ﬆ ﬅ ĳ ǆ', 'fit waffle off st ſt ij dž', 'ﬁt waﬄe oﬀ ﬆ ﬅ ĳ ǆ'],
    ['full-width forms become plain', 'ＡＢ１！', 'ab1!', 'ａｂ１！'],
    ['half-width forms become plain', 'ｶﾞ', 'ガ', 'ｶﾞ'],
    [
      'control characters and byte-order marks vanish',
      '\ufeffa\u0000\u0007b\u007f',
      'ab',
      '\ufeffa\u0000\u0007b\u007f',
    ],
    ['entities are unescaped to the end', '&amp;amp;amp;lt;', '<', '&amp;lt;'],
  ])('%s', (_, text, repaired, plain) => {
    expect(cleanText(text)).toBe(repaired);
    expect(cleanText(text, { repair: false })).toBe(plain);
  });
});

test('mojibake is left as it is', () => {
  expect(cleanText('cafÃ©')).toBe('cafã©');
});
