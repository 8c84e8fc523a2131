/** HTML's character references, such as `&eacute;`. Their 2,231 names are most of this package's code, so they are loaded apart. */

import { TokenizerError } from './errors.ts';

/** The decoders of the package entities: `decodeHTMLStrict` leaves names that lack their semicolon. */
type Decoders = Pick<typeof import('entities'), 'decodeHTML' | 'decodeHTMLStrict'>;

/** What every reference begins with. */
const START = /&[#a-z]/i;

let decoders: Decoders | undefined;

/**
 * Loads the names that HTML has for characters, once for the process; `createClipTokenizer` has done so. Without them a
 * text in which an ampersand stands before a letter or `#` is refused by whatever cleans it.
 *
 * @param texts if given, nothing is loaded unless one of them may have a reference
 */
export async function loadCharacterReferences(texts?: readonly string[]): Promise<void> {
  if (decoders || (texts && !texts.some((text) => START.test(text)))) return;
  const { decodeHTML, decodeHTMLStrict } = await import('entities');
  decoders = { decodeHTML, decodeHTMLStrict };
}

/**
 * The text with its references replaced by their characters, as by Python's `html.unescape`.
 *
 * @param strict whether a reference has to end with a semicolon
 * @throws TokenizerError for a text that may have one while their names are not loaded
 */
export function decodeReferences(text: string, strict = false): string {
  if (!START.test(text)) return text;
  if (!decoders) {
    throw new TokenizerError(
      `The text ${JSON.stringify(text.slice(0, 200))} may have a character reference of HTML, whose names are not loaded`,
      'Await loadCharacterReferences() once before',
    );
  }
  return strict ? decoders.decodeHTMLStrict(text) : decoders.decodeHTML(text);
}
