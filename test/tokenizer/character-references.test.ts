/** Names of characters are loaded apart; until then no text that may have one is cleaned wrongly. */

import { cleanText, loadCharacterReferences, TokenizerError, trainBytePairs } from '@actionclip/tokenizer';
import { expect, test } from 'vitest';

test('texts without references need no names, others are refused until the names are loaded', async () => {
  const plain = ['rock & roll', 'a && b', 'café & crème', '100 %'];
  const named = ['R&B', 'a&#233;', '&eacute;'];
  const tokenizer = trainBytePairs(plain, { vocabularySize: 520 });
  for (const text of plain) expect(cleanText(text)).toBe(text.normalize('NFC'));
  await loadCharacterReferences(plain);
  for (const text of named) {
    expect(() => cleanText(text)).toThrow(TokenizerError);
    expect(() => tokenizer.encode(text)).toThrow(/loadCharacterReferences/);
  }

  await loadCharacterReferences(named);
  expect(named.map((text) => cleanText(text))).toEqual(['r&b', 'aé', 'é']);
  expect(tokenizer.decode(tokenizer.encode('R&B'))).toBe('r & b ');
});
