/** The law that every reader of checkpoints keeps, whatever the bytes are, and small zip archives of any kind. */
import { elementCount, HOST_DTYPES, type StateDict } from '@actionclip/tensor';
import fc from 'fast-check';
import { expect } from 'vitest';
import type { ByteSource } from '../../../packages/actionclip/src/checkpoints/byte-source.ts';
import { openTensorFile } from '../../../packages/actionclip/src/checkpoints/contents.ts';
import { CheckpointError } from '../../../packages/actionclip/src/checkpoints/errors.ts';
import { inspectTensors } from '../../../packages/actionclip/src/checkpoints/inspection.ts';
import { readCheckpoint } from '../../../packages/actionclip/src/checkpoints/load.ts';

/** Bytes asked for, of a file of n bytes: the directory, the pickle and the values, the latter up to twice. */
const allowance = (size: number): number => 16 * size + 2048;

interface Measured extends ByteSource {
  asked(): number;
}

function measured(bytes: Uint8Array): Measured {
  let asked = 0;
  return {
    name: 'fuzzed',
    size: bytes.byteLength,
    asked: () => asked,
    read: async (offset, length) => {
      if (!(Number.isSafeInteger(offset) && Number.isSafeInteger(length) && offset >= 0 && length >= 0)) {
        throw new RangeError(`${length} bytes from ${offset} on are asked for`);
      }
      if (offset + length > bytes.byteLength) throw new RangeError(`bytes up to ${offset + length} are asked for`);
      asked += length;
      return bytes.slice(offset, offset + length);
    },
  };
}

/** The result, or undefined where it was refused in the one way that is allowed. */
export async function refusedOr<Result>(work: () => Promise<Result> | Result): Promise<Result | undefined> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof CheckpointError) || error.hint === '') throw error;
    expect(error.message.length).toBeLessThan(10_000);
    return undefined;
  }
}

function expectConsistent(tensors: StateDict, size: number): void {
  let bytes = 0;
  for (const { dtype, shape, data } of tensors.values()) {
    expect(data.length).toBe(elementCount(shape));
    bytes += data.length * HOST_DTYPES[dtype].bytes;
  }
  expect(bytes).toBeLessThanOrEqual(2 * size);
}

/**
 * Reads, and looks through, bytes of any kind: either a valid result, or a CheckpointError; nothing beyond the file is
 * asked for, and no more than a small multiple of it.
 * @returns Whether it was read as a checkpoint.
 */
export async function keepsTheLaw(bytes: Uint8Array): Promise<boolean> {
  const looked = measured(bytes);
  await refusedOr(async () => inspectTensors(await openTensorFile(looked)));
  expect(looked.asked()).toBeLessThanOrEqual(allowance(bytes.byteLength));
  const source = measured(bytes);
  const checkpoint = await refusedOr(() => readCheckpoint(source));
  expect(source.asked()).toBeLessThanOrEqual(allowance(bytes.byteLength));
  if (checkpoint !== undefined) expectConsistent(checkpoint.tensors, bytes.byteLength);
  return checkpoint !== undefined;
}

/** An entry of a zip archive, and what the archive says of it where that is not so. */
export interface ZipPart {
  readonly name: string;
  readonly data: Uint8Array;
  readonly method?: number;
  readonly flags?: number;
  /** The compressed and the plain size that the directory announces. */
  readonly sizes?: readonly [number, number];
  /** Where the directory says that it is. */
  readonly offset?: number;
  /** Writes sizes and offset into zip64 fields, as for files of more than 4 GiB. */
  readonly zip64?: boolean;
}

const LARGE = 0xffffffff;

function record(fields: readonly (readonly [size: 2 | 4 | 8, value: number])[]): Uint8Array {
  const bytes = new Uint8Array(fields.reduce((sum, [size]) => sum + size, 0));
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const [size, value] of fields) {
    if (size === 2) view.setUint16(at, value, true);
    else if (size === 4) view.setUint32(at, value, true);
    else view.setBigUint64(at, BigInt(value), true);
    at += size;
  }
  return bytes;
}

export function joined(...parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.byteLength;
  }
  return bytes;
}

/** A zip archive (PKWARE's APPNOTE, sections 4.3 and 4.5) of stored entries. */
export function zipOf(entries: readonly ZipPart[]): Uint8Array {
  const files: Uint8Array[] = [];
  const directory: Uint8Array[] = [];
  let end = 0;
  for (const { name, data, method = 0, flags = 0, sizes, offset = end, zip64 = false } of entries) {
    const encoded = new TextEncoder().encode(name);
    const [packed, plain] = sizes ?? [data.byteLength, data.byteLength];
    const common = [
      [2, flags],
      [2, method],
      [4, 0],
      [4, 0],
    ] as const;
    const lengths = zip64 ? [LARGE, LARGE] : [packed, plain];
    const narrow = lengths.map((value) => [4, value] as const);
    const extra = zip64
      ? record([
          [2, 1],
          [2, 24],
          [8, plain],
          [8, packed],
          [8, offset],
        ])
      : new Uint8Array(0);
    const names = [
      [2, encoded.byteLength],
      [2, extra.byteLength],
    ] as const;
    const local = joined(record([[4, 0x04034b50], [2, 45], ...common, ...narrow, ...names]), encoded, extra, data);
    const central = record([
      [4, 0x02014b50],
      [2, 45],
      [2, 45],
      ...common,
      ...narrow,
      ...names,
      [2, 0],
      [2, 0],
      [2, 0],
      [4, 0],
      [4, zip64 ? LARGE : offset],
    ]);
    files.push(local);
    directory.push(joined(central, encoded, extra));
    end += local.byteLength;
  }
  const listing = joined(...directory);
  const ending = record([
    [4, 0x06054b50],
    [2, 0],
    [2, 0],
    [2, entries.length],
    [2, entries.length],
    [4, listing.byteLength],
    [4, end],
    [2, 0],
  ]);
  return joined(...files, listing, ending);
}

export const bytesOf = (...codes: number[]): Uint8Array => Uint8Array.from(codes);

/** Small changes to bytes: one set, some cut out, some put in or repeated, the end cut off. */
type Edit = {
  readonly at: number;
  readonly kind: 'set' | 'cut' | 'insert' | 'repeat' | 'end';
  readonly bytes: Uint8Array;
};
const telling = fc.constantFrom(0, 1, 2, 0x28, 0x2e, 0x50, 0x52, 0x62, 0x7d, 0x7f, 0x80, 0xfe, 0xff);
const someBytes = fc.uint8Array({ minLength: 1, maxLength: 4 });
const edit: fc.Arbitrary<Edit> = fc.record({
  at: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
  kind: fc.constantFrom('set', 'set', 'set', 'cut', 'insert', 'repeat', 'end'),
  bytes: fc.oneof(
    someBytes,
    telling.map((byte) => bytesOf(byte)),
    fc.constantFrom(bytesOf(255, 255, 255, 255), bytesOf(0, 0, 0, 128)),
  ),
});

/** One to four changes. */
export const anyEdits = fc.array(edit, { minLength: 1, maxLength: 4 });

export function edited(bytes: Uint8Array, edits: readonly Edit[]): Uint8Array {
  let result: Uint8Array = bytes.slice();
  for (const { at, kind, bytes: given } of edits) {
    const place = Math.floor(at * result.byteLength);
    const [before, after] = [result.subarray(0, place), result.subarray(place)];
    if (kind === 'set') result.set(given.subarray(0, after.byteLength), place);
    else if (kind === 'cut') result = joined(before, after.subarray(given.byteLength));
    else if (kind === 'insert') result = joined(before, given, after);
    else if (kind === 'repeat') result = joined(before, after.subarray(0, 16), after);
    else result = before.slice();
  }
  return result;
}
