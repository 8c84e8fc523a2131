/** The part of Protocol Buffers' wire format that an ONNX file needs: whole numbers, strings, bytes and messages. */

/** Pieces of a message, in order; joined once at the end, so that large tensors are copied once. */
export type Message = readonly Uint8Array[];

const encoder = new TextEncoder();

/** A whole number from 0, seven bits a byte, the lowest first. */
function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  while (rest > 127) {
    bytes.push((rest % 128) | 128);
    rest = Math.floor(rest / 128);
  }
  return [...bytes, rest];
}

/** How the value of a field is laid out. */
const layouts = { varint: 0, sized: 2, word: 5 } as const;

const tag = (field: number, layout: keyof typeof layouts): number[] => varint(field * 8 + layouts[layout]);

/** Field `field` with a whole number from 0. */
export const integer = (field: number, value: number): Message => [
  Uint8Array.from([...tag(field, 'varint'), ...varint(value)]),
];

/** Field `field` with one 32-bit float. */
export const float = (field: number, value: number): Message => [
  Uint8Array.from(tag(field, 'word')),
  new Uint8Array(Float32Array.of(value).buffer),
];

/** Field `field` with bytes. */
export const bytes = (field: number, content: Message): Message => {
  const length = content.reduce((sum, piece) => sum + piece.length, 0);
  return [Uint8Array.from([...tag(field, 'sized'), ...varint(length)]), ...content];
};

/** Field `field` with text. */
export const text = (field: number, content: string): Message => bytes(field, [encoder.encode(content)]);

export function join(message: Message): Uint8Array {
  const result = new Uint8Array(message.reduce((sum, piece) => sum + piece.length, 0));
  let offset = 0;
  for (const piece of message) {
    result.set(piece, offset);
    offset += piece.length;
  }
  return result;
}
