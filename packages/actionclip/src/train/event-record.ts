/**
 * Records of TensorBoard's event files: the protocol buffers `Event` and `Summary` of
 * https://github.com/tensorflow/tensorboard/tree/master/tensorboard/compat/proto, written by hand, in the frame of a TFRecord.
 */

/** What a file says of its form in its first record. */
const FILE_VERSION = 'brain.Event:2';

export interface EventTime {
  /** Seconds since 1970. */
  readonly wallTime: number;
  readonly step: number;
}

/** A picture as a PNG or JPEG file has it. */
export interface EventImage {
  readonly width: number;
  readonly height: number;
  readonly bytes: Uint8Array;
}

/** The first record of a file. */
export function versionRecord(wallTime: number): Uint8Array {
  return record([double(1, wallTime), bytes(3, utf8(FILE_VERSION))]);
}

/** Says that the run goes on at this step: TensorBoard drops what earlier files hold from there on. */
export function startRecord(time: EventTime): Uint8Array {
  return event(time, bytes(7, varint(1, START)));
}

/** `SessionLog.START` */
const START = 1;

/** Numbers by their tags; they are stored in 32 bits. */
export function scalarRecord(time: EventTime, scalars: ReadonlyMap<string, number>): Uint8Array {
  return summary(
    time,
    [...scalars].map(([tag, value]) => [bytes(1, utf8(tag)), float(2, value)]),
  );
}

/** A text, which TensorBoard shows as Markdown. */
export function textRecord(time: EventTime, tag: string, text: string): Uint8Array {
  const plugin = bytes(1, bytes(1, utf8('text')));
  const shape = bytes(2, bytes(2, varint(1, 1)));
  const tensor = join([varint(1, STRING), shape, bytes(8, utf8(text))]);
  return summary(time, [[bytes(1, utf8(tag)), bytes(8, tensor), bytes(9, plugin)]]);
}

/** `DataType.DT_STRING` */
const STRING = 7;

/** A coloured picture. */
export function imageRecord(time: EventTime, tag: string, { width, height, bytes: file }: EventImage): Uint8Array {
  const image = join([varint(1, height), varint(2, width), varint(3, 3), bytes(4, file)]);
  return summary(time, [[bytes(1, utf8(tag)), bytes(4, image)]]);
}

const summary = (time: EventTime, values: readonly (readonly Uint8Array[])[]): Uint8Array =>
  event(time, bytes(5, join(values.map((value) => bytes(1, join(value))))));

const event = ({ wallTime, step }: EventTime, what: Uint8Array): Uint8Array =>
  record([double(1, wallTime), varint(2, step), what]);

/** Length, check of the length, data, check of the data; numbers are little endian. */
function record(message: readonly Uint8Array[]): Uint8Array {
  const data = join(message);
  const framed = new Uint8Array(12 + data.byteLength + 4);
  const view = new DataView(framed.buffer);
  view.setBigUint64(0, BigInt(data.byteLength), true);
  view.setUint32(8, maskedCrc32c(framed.subarray(0, 8)), true);
  framed.set(data, 12);
  view.setUint32(12 + data.byteLength, maskedCrc32c(data), true);
  return framed;
}

/** Protocol buffers: a field begins with its number and its wire type. */
const WIRE = { varint: 0, double: 1, bytes: 2, float: 5 } as const;

const key = (field: number, type: keyof typeof WIRE): number => field * 8 + WIRE[type];

function varint(field: number, value: number): Uint8Array {
  return Uint8Array.from([key(field, 'varint'), ...digits(value)]);
}

function bytes(field: number, content: Uint8Array): Uint8Array {
  return join([Uint8Array.from([key(field, 'bytes'), ...digits(content.byteLength)]), content]);
}

function double(field: number, value: number): Uint8Array {
  const written = new Uint8Array(9);
  written[0] = key(field, 'double');
  new DataView(written.buffer).setFloat64(1, value, true);
  return written;
}

function float(field: number, value: number): Uint8Array {
  const written = new Uint8Array(5);
  written[0] = key(field, 'float');
  new DataView(written.buffer).setFloat32(1, value, true);
  return written;
}

/** A whole number from 0 on in groups of 7 bits, the lowest first; all but the last have the highest bit set. */
function digits(value: number): number[] {
  const groups: number[] = [];
  // Steps may pass 32 bits, which is where the operators on bits end.
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) groups.push((rest % 128) + 128);
  return [...groups, rest];
}

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

function join(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.byteLength, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.byteLength;
  }
  return whole;
}

/** Castagnoli's polynomial, reflected. */
const POLYNOMIAL = 0x82f63b78;

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
  return crc;
});

/** CRC-32C, RFC 3720 appendix B.4. */
export function crc32c(data: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of data) crc = (crc >>> 8) ^ (CRC_TABLE[(crc ^ byte) & 0xff] ?? 0);
  return ~crc >>> 0;
}

/** As TFRecord stores it: turned, and moved by a constant, so that a check of data that hold checks stays good. */
function maskedCrc32c(data: Uint8Array): number {
  const crc = crc32c(data);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}
