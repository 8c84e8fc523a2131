/**
 * The byte alphabet of CLIP's vocabulary: ids 0 to 255 are the bytes, printable ones first, and ids 256 to 511 the same
 * bytes in the same order at the end of a word.
 */

/** How many ids stand for single bytes, inside a word and at its end. */
export const BYTES = 256;
export const BYTE_TOKENS: number = 2 * BYTES;

/** The bytes that are visible characters of Latin-1, as inclusive ranges. */
const VISIBLE = [
  [33, 126],
  [161, 172],
  [174, 255],
] as const;

const isVisible = (byte: number): boolean => VISIBLE.some(([first, last]) => byte >= first && byte <= last);
const everyByte = Array.from({ length: BYTES }, (_, byte) => byte);
const hiddenBytes = everyByte.filter((byte) => !isVisible(byte));

/** The byte of each id below 256. */
export const byteOfId: Uint8Array = Uint8Array.from([...everyByte.filter(isVisible), ...hiddenBytes]);

const idOfByte: ReadonlyMap<number, number> = new Map(Array.from(byteOfId, (byte, id) => [byte, id]));
const encoder = new TextEncoder();

/** The ids of a piece's UTF-8 bytes, before any merge; the last one is an end-of-word id. */
export function encodeBytes(piece: string): Int32Array {
  const bytes = encoder.encode(piece);
  const last = bytes.length - 1;
  return Int32Array.from(bytes, (byte, index) => (idOfByte.get(byte) ?? 0) + (index === last ? BYTES : 0));
}

/**
 * The character by which merges files write each id below 256: visible bytes as themselves, the others in rising order
 * as U+0100 and up (GPT-2's `bytes_to_unicode`).
 */
export const characterOfId: readonly string[] = Array.from(byteOfId, (byte) =>
  String.fromCodePoint(isVisible(byte) ? byte : BYTES + hiddenBytes.indexOf(byte)),
);
