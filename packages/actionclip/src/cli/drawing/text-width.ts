/**
 * How many columns of a terminal a text takes, and fitting it to a number of columns. East Asian wide characters and
 * emoji take two (Unicode's UAX 11), marks that combine take none.
 */

/** Ranges of wide and fullwidth code points that are no emoji, and near which nothing narrow is assigned. */
const WIDE: readonly (readonly [first: number, last: number])[] = [
  [0x1100, 0x115f], // Hangul leading consonants
  [0x2329, 0x232a],
  [0x2e80, 0x303e], // radicals, CJK punctuation
  [0x3041, 0x3247], // kana, Bopomofo, Hangul compatibility letters
  [0x3250, 0x4dbf],
  [0x4e00, 0xa4cf], // ideographs, Yi
  [0xa960, 0xa97c],
  [0xac00, 0xd7a3], // Hangul syllables
  [0xf900, 0xfaff],
  [0xfe10, 0xfe19],
  [0xfe30, 0xfe6b],
  [0xff01, 0xff60], // fullwidth forms
  [0xffe0, 0xffe6],
  [0x16fe0, 0x18df2], // Tangut, Khitan
  [0x1aff0, 0x1b2fb],
  [0x1f200, 0x1f265],
  [0x20000, 0x3fffd],
];

const emoji = /\p{Emoji_Presentation}|\ufe0f|^\p{RI}{2}$/u;
const invisible = /[\p{Mn}\p{Me}\p{Cf}\u1160-\u11ff]/u;
/** A text of these alone has a column for each character. */
const asciiOnly = /^[ -~]*$/;
const colorEscape = new RegExp(`${String.fromCharCode(27)}\\[[0-9;]*m`, 'g');

let segmenter: Intl.Segmenter | undefined;
/** The characters as a reader counts them. The segmenter is made at the first call: that takes milliseconds. */
function graphemes(text: string): Intl.Segments {
  segmenter ??= new Intl.Segmenter('en', { granularity: 'grapheme' });
  return segmenter.segment(text);
}

/** Columns that a text without control characters takes. */
export function textWidth(text: string): number {
  if (asciiOnly.test(text)) return text.length;
  let width = 0;
  for (const { segment } of graphemes(text)) width += clusterWidth(segment);
  return width;
}

function clusterWidth(cluster: string): number {
  if (emoji.test(cluster)) return 2;
  let width = 0;
  for (const character of cluster) width += characterWidth(character);
  return width;
}

function characterWidth(character: string): number {
  if (invisible.test(character)) return 0;
  const code = character.codePointAt(0) ?? 0;
  return WIDE.some(([first, last]) => code >= first && code <= last) ? 2 : 1;
}

/**
 * A text that cannot steer the terminal: what breaks lines becomes a blank, other control characters and those that
 * turn the direction of writing become U+FFFD.
 */
export function printable(text: string): string {
  return text.replace(/[\t\n\r\u2028\u2029]+/g, ' ').replace(/[\p{Cc}\p{Cs}\u202a-\u202e\u2066-\u2069]/gu, '\ufffd');
}

/** The text, or as much of it as fits beside an ellipsis. Never wider than `width`. */
export function fitText(text: string, width: number, ellipsis = '…'): string {
  if (textWidth(text) <= width) return text;
  const room = width - textWidth(ellipsis);
  if (room < 0) return '';
  return head(text, room).trimEnd() + ellipsis;
}

/** The longest beginning of whole characters that takes at most `width` columns. */
function head(text: string, width: number): string {
  let taken = '';
  let left = width;
  for (const { segment } of graphemes(text)) {
    left -= clusterWidth(segment);
    if (left < 0) break;
    taken += segment;
  }
  return taken;
}

/** Exactly `width` columns: cut or filled up with blanks on the right. */
export function padText(text: string, width: number, ellipsis = '…'): string {
  const fitted = fitText(text, width, ellipsis);
  return fitted + ' '.repeat(Math.max(0, width - textWidth(fitted)));
}

/** The columns of a line that may hold escape sequences of colour. */
export function lineWidth(line: string): number {
  return textWidth(line.replace(colorEscape, ''));
}

/** Cuts a line that may hold escape sequences of colour; a cut line ends without colour. */
export function clipLine(line: string, width: number): string {
  if (lineWidth(line) <= width) return line;
  const parts = line.split(new RegExp(`(${colorEscape.source})`));
  let left = width;
  let clipped = '';
  parts.forEach((part, index) => {
    const isEscape = index % 2 === 1;
    const taken = isEscape ? part : head(part, left);
    clipped += left > 0 || isEscape ? taken : '';
    if (!isEscape) left = taken === part ? left - textWidth(taken) : 0;
  });
  return clipped;
}
