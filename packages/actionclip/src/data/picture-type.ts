/** Telling pictures from videos by how a file begins, whatever its name is. */

/** How files of each type begin, in Latin letters; a dot stands for any byte. */
const beginnings: readonly (readonly [type: string, beginning: RegExp])[] = [
  ['image/jpeg', /^\xff\xd8\xff/],
  ['image/png', /^\x89PNG\r\n/],
  ['image/gif', /^GIF8[79]a/],
  ['image/webp', /^RIFF....WEBP/s],
  ['image/avif', /^....ftypavi[fs]/s],
];

/** The type of a picture file by its first bytes, or undefined if it is none. */
export function pictureTypeOf(bytes: Uint8Array): string | undefined {
  const text = latinLetters(bytes.subarray(0, 16));
  return beginnings.find(([, beginning]) => beginning.test(text))?.[0];
}

/** Whether a PNG moves (APNG), by its beginning: then its control chunk stands before its data. */
export function isMovingPng(bytes: Uint8Array): boolean {
  const text = latinLetters(bytes);
  const control = text.indexOf('acTL');
  const data = text.indexOf('IDAT');
  return control >= 0 && (data < 0 || control < data);
}

function latinLetters(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => String.fromCharCode(byte)).join('');
}
