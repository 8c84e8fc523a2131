/** CLIP's cleaning of a text before it is cut into tokens. */

import { decodeReferences } from './character-references.ts';

/** What `cleanText` may leave out. */
export interface CleaningOptions {
  /** Whether to straighten quotes, ligatures, full-width forms and control characters as ftfy does; true unless told. */
  readonly repair?: boolean;
}

type Rule = readonly [pattern: RegExp, replacement: string | ((match: string) => string)];

const compatible = (match: string): string => match.normalize('NFKC');

/** ftfy's character repairs, in its order. */
const REPAIRS: readonly Rule[] = [
  [/ﬅ/gu, 'ſt'], // the one ligature that NFKC would take further, to 'st'
  [/[ĲĳŉǄ-ǌǱ-ǳﬀ-ﬄﬆ]/gu, compatible],
  [/[\u3000\uff01-\uffef]/gu, compatible], // full-width and half-width forms
  [/[\u02bc\u2018-\u201b]/gu, "'"],
  [/[\u201c-\u201f]/gu, '"'],
  [/[^\P{Cc}\t\n\f\r\u0080-\u009f]|[\u206a-\u206f\ufeff\ufff9-\ufffc]/gu, ''], // control characters, byte-order marks
];

/** Texts on which neither entities nor Unicode have anything to do. */
const PLAIN = /^[ -%'-~]*$/;

/** One pass can uncover work for the next (an escaped ampersand, a mark beside a straightened letter). */
function repairText(text: string): string {
  const isMarkup = text.includes('<'); // where there are tags, escaped ones are meant as text
  for (let before = text; ; ) {
    let after = isMarkup ? before : decodeReferences(before, true);
    for (const [pattern, replacement] of REPAIRS) {
      after =
        typeof replacement === 'string' ? after.replace(pattern, replacement) : after.replace(pattern, replacement);
    }
    after = after.normalize('NFC');
    if (after === before) return after;
    before = after;
  }
}

/**
 * The text as CLIP sees it: repaired, Unicode NFC, HTML entities unescaped twice, white space collapsed to single
 * blanks and trimmed, lower case. A lone surrogate becomes U+FFFD.
 *
 * The repair stands for ftfy in CLIP's `basic_clean` and covers curly quotes, Latin ligatures, full-width and half-width
 * forms, control characters and entities (in a text without `<`). Mojibake (a text decoded by the wrong encoding, such
 * as `cafÃ©`), C1 controls and terminal escapes are not repaired.
 *
 * @throws TokenizerError for a text that may have entities before `loadCharacterReferences` or `createClipTokenizer`
 */
export function cleanText(text: string, { repair = true }: CleaningOptions = {}): string {
  let cleaned = text;
  if (!PLAIN.test(text)) {
    cleaned = text.replace(/\p{Surrogate}/gu, '\ufffd').normalize('NFC');
    if (repair) cleaned = repairText(cleaned);
    cleaned = decodeReferences(decodeReferences(cleaned));
  }
  return cleaned
    .replace(/\p{White_Space}+/gu, ' ')
    .replace(/^ | $/g, '')
    .toLowerCase();
}
