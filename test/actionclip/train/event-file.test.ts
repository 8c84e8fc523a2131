// TensorBoard's event files: the bytes, as a reader of its own takes them apart.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openEventFile, scalarsOf } from '../../../packages/actionclip/src/train/event-file.ts';
import {
  crc32c,
  scalarRecord,
  startRecord,
  versionRecord,
} from '../../../packages/actionclip/src/train/event-record.ts';

/** The check of a record by its definition, a bit at a time over the unreflected polynomial. */
function maskedCheck(data: Uint8Array): number {
  let register = 0xffffffff;
  for (const byte of data) {
    for (let bit = 0; bit < 8; bit++) {
      const carry = (register >>> 31) ^ ((byte >>> bit) & 1);
      register = ((register << 1) ^ (carry ? 0x1edc6f41 : 0)) >>> 0;
    }
  }
  let crc = 0;
  for (let bit = 0; bit < 32; bit++) crc = ((crc << 1) | ((~register >>> bit) & 1)) >>> 0;
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

/** The data of all records, with both checks made. */
function recordsOf(file: Uint8Array): Uint8Array[] {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const records: Uint8Array[] = [];
  for (let at = 0; at < file.byteLength; ) {
    const length = Number(view.getBigUint64(at, true));
    expect(view.getUint32(at + 8, true)).toBe(maskedCheck(file.subarray(at, at + 8)));
    const data = file.subarray(at + 12, at + 12 + length);
    expect(view.getUint32(at + 12 + length, true)).toBe(maskedCheck(data));
    records.push(data);
    at += length + 16;
  }
  return records;
}

type Field = readonly [number: number, value: number | Uint8Array];

/** The fields of a message in their order; what lies in a nested message stays bytes. */
function fieldsOf(message: Uint8Array): Field[] {
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
  let at = 0;
  const varint = (): number => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = message[at++] ?? 0;
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return Number(value);
    }
  };
  const skip = (bytes: number): number => {
    at += bytes;
    return at - bytes;
  };
  const readers: Record<number, () => number | Uint8Array> = {
    0: varint,
    1: () => view.getFloat64(skip(8), true),
    2: () => {
      const length = varint();
      const start = skip(length);
      return message.subarray(start, at);
    },
    5: () => view.getFloat32(skip(4), true),
  };
  const fields: Field[] = [];
  while (at < message.byteLength) {
    const key = varint();
    fields.push([key >>> 3, readers[key & 7]?.() ?? Number.NaN]);
  }
  return fields;
}

/** The value of the only field of a number, followed into nested messages. */
function only(message: Uint8Array, ...path: number[]): number | Uint8Array {
  let value: number | Uint8Array = message;
  for (const number of path) {
    if (typeof value === 'number') throw new Error('not a message');
    const found: readonly Field[] = fieldsOf(value).filter(([field]) => field === number);
    expect(found, `field ${number}`).toHaveLength(1);
    value = found[0]?.[1] ?? Number.NaN;
  }
  return value;
}
const textAt = (message: Uint8Array, ...path: number[]): string => {
  const value = only(message, ...path);
  return typeof value === 'number' ? `number ${value}` : new TextDecoder().decode(value);
};

/** Tags and numbers of a record of scalars. */
function scalarsIn(event: Uint8Array): [string, number | Uint8Array][] {
  const summary = only(event, 5);
  if (typeof summary === 'number') throw new Error('not a summary');
  return fieldsOf(summary).map(([, value]) => {
    if (typeof value === 'number') throw new Error('not a value');
    return [textAt(value, 1), only(value, 2)];
  });
}

const hex = (data: Uint8Array): string => Buffer.from(data).toString('hex');

describe('a record', () => {
  it('has the check of RFC 3720', () => {
    expect(crc32c(new TextEncoder().encode('123456789'))).toBe(0xe3069283);
    expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
    expect(crc32c(new Uint8Array(32).fill(255))).toBe(0x62a8ab43);
  });

  it('has the bytes of the format', () => {
    // 09 double, 1a 0d text of 13 bytes: 24 bytes in all.
    const version = versionRecord(1);
    expect(hex(version.subarray(0, 8))).toBe('1800000000000000');
    expect(hex(version.subarray(12, -4))).toBe(`09000000000000f03f1a0d${Buffer.from('brain.Event:2').toString('hex')}`);
    // Step 300 is ac 02; the summary has one value of 8 bytes: the tag a and 0.5.
    const scalar = scalarRecord({ wallTime: 1, step: 300 }, new Map([['a', 0.5]]));
    expect(hex(scalar.subarray(12, -4))).toBe('09000000000000f03f10ac022a0a0a080a0161150000003f');
    expect(hex(startRecord({ wallTime: 1, step: 0 }).subarray(12, -4))).toBe('09000000000000f03f10003a020801');
  });

  it('gives back whatever numbers, steps and tags went in', () => {
    fc.assert(
      fc.property(
        fc.record({ wallTime: fc.double({ min: 0, max: 4e9, noNaN: true }), step: fc.maxSafeNat() }),
        fc.dictionary(fc.string({ unit: 'grapheme', minLength: 1 }), fc.float(), { minKeys: 1 }),
        (time, scalars) => {
          const [event = new Uint8Array()] = recordsOf(scalarRecord(time, new Map(Object.entries(scalars))));
          expect(only(event, 1)).toBe(time.wallTime);
          expect(only(event, 2)).toBe(time.step);
          expect(scalarsIn(event)).toEqual(Object.entries(scalars));
        },
      ),
    );
  });
});

describe('an event file', () => {
  let folder = '';
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'event-file-test-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));
  const eventsOf = (path: string): Uint8Array[] => recordsOf(readFileSync(path));

  it('holds scalars, texts and images after its version and its first step', async () => {
    const file = await openEventFile(folder, { step: 7, now: () => 1.5e9 });
    const png = Uint8Array.from([137, 80, 78, 71]);
    await Promise.all([
      file.write({ kind: 'step', step: 7, loss: 2.5, learningRate: 0.25, batchIndex: 3, note: 'x' }),
      file.write({ kind: 'something else', step: 7, loss: 1 }),
      file.text(7, 'configuration', 'größe: 1'),
      file.image(7, 'clips/0', { width: 300, height: 2, bytes: png }),
      file.write({ kind: 'validation', step: 8, top1: 0.5, top5: 1, meanClassAccuracy: 0.75 }),
    ]);
    await file.close();
    const [version, start, step, text, image, validation, ...rest] = eventsOf(file.path) as [
      Uint8Array,
      Uint8Array,
      Uint8Array,
      Uint8Array,
      Uint8Array,
      Uint8Array,
    ];
    expect(rest).toEqual([]);
    expect(textAt(version, 3)).toBe('brain.Event:2');
    expect([only(start, 2), only(start, 7, 1)]).toEqual([7, 1]);
    expect(scalarsIn(step)).toEqual([
      ['loss/total', 2.5],
      ['optimizer/learning_rate', 0.25],
    ]);
    expect(textAt(text, 5, 1, 8, 8)).toBe('größe: 1');
    expect(textAt(text, 5, 1, 9, 1, 1)).toBe('text');
    expect([1, 2, 3].map((field) => only(image, 5, 1, 4, field))).toEqual([2, 300, 3]);
    expect(only(image, 5, 1, 4, 4)).toEqual(Buffer.from(png));
    expect(new Map(scalarsIn(validation)).get('validation/mean_class_accuracy')).toBe(0.75);
  });

  it('is read after the files that are there, even where the clock was set back', async () => {
    const times = [1.6e9, 1.6e9 + 0.5, 1.5e9];
    for (const time of times) await (await openEventFile(folder, { step: 0, now: () => time })).close();
    expect(readdirSync(folder).sort()).toEqual(
      [1_600_000_000, 1_600_000_001, 1_600_000_002].map((time) => `events.out.tfevents.${time}.actionclip.0`),
    );
  });

  it('takes numbers only, those that are none included', () => {
    expect(scalarsOf({ kind: 'step', step: 0, loss: Number.NaN, gradientNorm: 'NaN' })).toEqual(
      new Map([['loss/total', Number.NaN]]),
    );
  });
});
