/**
 * The safetensors format (huggingface.co/docs/safetensors): a header length, a JSON header and raw little-endian
 * values. Everything is checked against the header before memory is taken. No file access here: runs in browsers.
 */
import { TensorError } from '../errors.ts';
import {
  bytesToHostArray,
  elementCount,
  HOST_DTYPES,
  type HostDtype,
  type HostTensor,
  type StateDict,
} from './host-tensor.ts';

/** Bytes that are not a safetensors file, or tensors that cannot become one. */
export class SafetensorsError extends TensorError {
  constructor(problem: string, hint: string) {
    super(`safetensors: ${problem}`, hint);
  }
}

/** Where one tensor lies: `begin` and `end` count bytes from the start of the values. */
export interface SafetensorsEntry {
  readonly name: string;
  readonly dtype: HostDtype;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

export interface SafetensorsHeader {
  /** Sorted by place in the file. */
  readonly entries: readonly SafetensorsEntry[];
  readonly metadata: ReadonlyMap<string, string>;
}

export interface Safetensors {
  readonly tensors: StateDict;
  readonly metadata: ReadonlyMap<string, string>;
}

/** The reference implementation refuses larger headers, so do we. */
const MAXIMUM_HEADER_BYTES = 100_000_000;
const LENGTH_BYTES = 8;
const ALIGNMENT = 8;
const METADATA_KEY = '__metadata__';
const DAMAGED = 'the file is damaged or was cut short: fetch or write it again';

const FILE_DTYPES: ReadonlyMap<string, HostDtype> = new Map<string, HostDtype>([
  ['F64', 'f64'],
  ['F32', 'f32'],
  ['F16', 'f16'],
  ['BF16', 'bf16'],
  ['I64', 'i64'],
  ['I32', 'i32'],
  ['I16', 'i16'],
  ['I8', 'i8'],
  ['U8', 'u8'],
  ['U32', 'u32'],
  ['BOOL', 'bool'],
]);
const FILE_NAMES: ReadonlyMap<HostDtype, string> = new Map([...FILE_DTYPES].map(([file, dtype]) => [dtype, file]));

/**
 * The length of the JSON header from a file's first eight bytes, for readers that fetch a file by ranges.
 * @param fileBytes The size of the whole file.
 * @throws SafetensorsError where the length cannot be.
 */
export function safetensorsHeaderLength(start: Uint8Array, fileBytes: number): number {
  if (start.byteLength < LENGTH_BYTES || fileBytes < LENGTH_BYTES) {
    throw new SafetensorsError(`${fileBytes} bytes are too few, the header length alone takes 8`, DAMAGED);
  }
  const length = new DataView(start.buffer, start.byteOffset).getBigUint64(0, true);
  if (length > BigInt(MAXIMUM_HEADER_BYTES)) {
    throw new SafetensorsError(
      `the first eight bytes announce a header of ${length} bytes, at most ${MAXIMUM_HEADER_BYTES} are allowed`,
      'this is probably not a safetensors file',
    );
  }
  if (Number(length) > fileBytes - LENGTH_BYTES) {
    throw new SafetensorsError(`a header of ${length} bytes does not fit into a file of ${fileBytes}`, DAMAGED);
  }
  return Number(length);
}

/**
 * Checks a JSON header in full: dtypes, shapes, lengths, bounds, overlaps, gaps and names that appear twice.
 * @param dataBytes The number of bytes behind the header.
 * @throws SafetensorsError naming the tensor and what is wrong with it.
 */
export function parseSafetensorsHeader(json: Uint8Array, dataBytes: number): SafetensorsHeader {
  const text = decodeHeader(json);
  const header = parseObject(text);
  refuseRepeatedNames(text);
  const metadata = new Map<string, string>();
  const entries: SafetensorsEntry[] = [];
  for (const [name, value] of Object.entries(header)) {
    if (name === METADATA_KEY) readMetadata(value, metadata);
    else entries.push(readEntry(name, value, dataBytes));
  }
  entries.sort((a, b) => a.begin - b.begin || a.end - b.end);
  refuseOverlapsAndGaps(entries, dataBytes);
  return { entries, metadata };
}

/**
 * Reads a whole file. Tensors are views on `bytes` where their alignment allows it, otherwise copies.
 * @throws SafetensorsError where the bytes are not a complete, consistent file.
 */
export function parseSafetensors(bytes: Uint8Array): Safetensors {
  const headerBytes = safetensorsHeaderLength(bytes, bytes.byteLength);
  const dataStart = LENGTH_BYTES + headerBytes;
  const data = bytes.subarray(dataStart);
  const { entries, metadata } = parseSafetensorsHeader(bytes.subarray(LENGTH_BYTES, dataStart), data.byteLength);
  const tensors: StateDict = new Map();
  for (const { name, dtype, shape, begin, end } of entries) {
    tensors.set(name, { dtype, shape, data: bytesToHostArray(dtype, data.subarray(begin, end)) });
  }
  return { tensors, metadata };
}

/** A tensor without its values. */
export type TensorDescription = Pick<HostTensor, 'dtype' | 'shape'>;

/** A file before its values: `header` is its start, in which each entry's value has its place. */
export interface SafetensorsPlan {
  /** The length, the JSON and its padding: all bytes before the values. */
  readonly header: Uint8Array;
  /** In the order of the values in the file, which follow each other without gaps. */
  readonly entries: readonly SafetensorsEntry[];
  /** Bytes of the whole file. */
  readonly fileBytes: number;
}

/**
 * Gives each tensor its place in a file. The values start at a multiple of 8 bytes and larger elements come first, by
 * name among equals, so that each tensor is aligned to its element without the gaps that the format forbids. Equal
 * tensors and metadata give equal bytes, whatever the order of the map.
 * @throws SafetensorsError where a name is the format's own `__metadata__`.
 */
export function planSafetensors(
  tensors: ReadonlyMap<string, TensorDescription>,
  metadata: ReadonlyMap<string, string> = new Map(),
): SafetensorsPlan {
  const sorted = [...tensors].sort(
    ([nameA, a], [nameB, b]) => HOST_DTYPES[b.dtype].bytes - HOST_DTYPES[a.dtype].bytes || compareNames(nameA, nameB),
  );
  const fields: string[] = [];
  if (metadata.size > 0) {
    const pairs = [...metadata].sort(([a], [b]) => compareNames(a, b));
    const body = pairs.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`).join(',');
    fields.push(`"${METADATA_KEY}":{${body}}`);
  }
  const entries: SafetensorsEntry[] = [];
  let end = 0;
  for (const [name, { dtype, shape }] of sorted) {
    if (name === METADATA_KEY) {
      throw new SafetensorsError(`a tensor is called ${METADATA_KEY}, the format's own key`, 'rename the tensor');
    }
    const begin = end;
    end += elementCount(shape) * HOST_DTYPES[dtype].bytes;
    entries.push({ name, dtype, shape, begin, end });
    const entry = JSON.stringify({ dtype: FILE_NAMES.get(dtype), shape, data_offsets: [begin, end] });
    fields.push(`${JSON.stringify(name)}:${entry}`);
  }
  const json = new TextEncoder().encode(`{${fields.join(',')}}`);
  const jsonBytes = Math.ceil(json.byteLength / ALIGNMENT) * ALIGNMENT;
  const header = new Uint8Array(LENGTH_BYTES + jsonBytes).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(jsonBytes), true);
  header.set(json, LENGTH_BYTES);
  return { header, entries, fileBytes: header.byteLength + end };
}

/**
 * The bytes of a tensor's values, as a file holds them.
 * @throws SafetensorsError where the tensor is not what the plan says of it.
 */
export function safetensorsValues(
  { name, dtype, shape }: SafetensorsEntry,
  { data, ...tensor }: HostTensor,
): Uint8Array {
  const isPlanned = tensor.dtype === dtype && tensor.shape.join() === shape.join();
  if (!isPlanned || elementCount(shape) * HOST_DTYPES[dtype].bytes !== data.byteLength) {
    throw new SafetensorsError(
      `${JSON.stringify(name)} has shape [${shape.join(', ')}] of ${dtype} but ${data.byteLength} bytes of data`,
      'the shape and the data must agree',
    );
  }
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

/**
 * Writes tensors as one file in memory: see `planSafetensors`.
 * @throws SafetensorsError where a shape and its data disagree or a name is the format's own `__metadata__`.
 */
export function serializeSafetensors(
  tensors: ReadonlyMap<string, HostTensor>,
  metadata: ReadonlyMap<string, string> = new Map(),
): Uint8Array {
  const { header, entries, fileBytes } = planSafetensors(tensors, metadata);
  const values: Uint8Array[] = [];
  for (const entry of entries) {
    const tensor = tensors.get(entry.name);
    if (tensor !== undefined) values.push(safetensorsValues(entry, tensor));
  }
  const file = new Uint8Array(fileBytes);
  let end = 0;
  for (const part of [header, ...values]) {
    file.set(part, end);
    end += part.byteLength;
  }
  return file;
}

/** By code unit, so that the order depends on no locale. */
function compareNames(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function decodeHeader(json: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(json);
  } catch {
    throw new SafetensorsError('the header is not UTF-8 text', 'this is probably not a safetensors file');
  }
}

function parseObject(text: string): Record<string, unknown> {
  let header: unknown;
  try {
    header = JSON.parse(text);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new SafetensorsError(`the header is not JSON (${reason})`, DAMAGED);
  }
  if (!isRecord(header)) throw new SafetensorsError('the header is not a JSON object', DAMAGED);
  return header;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** JSON.parse keeps the last of two equal keys without a word, so the keys of the outer object are read once more. */
function refuseRepeatedNames(text: string): void {
  const seen = new Set<string>();
  let depth = 0;
  let previous = '';
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|[{}[\],:]/g)) {
    if (token === '{' || token === '[') depth++;
    else if (token === '}' || token === ']') depth--;
    else if (token.startsWith('"') && depth === 1 && previous !== ':') {
      const name = String(JSON.parse(token));
      if (seen.has(name)) throw new SafetensorsError(`the name ${JSON.stringify(name)} appears twice`, DAMAGED);
      seen.add(name);
    }
    previous = token;
  }
}

function readMetadata(value: unknown, into: Map<string, string>): void {
  if (!isRecord(value)) throw new SafetensorsError(`${METADATA_KEY} is not an object`, DAMAGED);
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== 'string') {
      throw new SafetensorsError(`${METADATA_KEY} holds ${JSON.stringify(key)}, which is not a text`, DAMAGED);
    }
    into.set(key, text);
  }
}

function readEntry(name: string, value: unknown, dataBytes: number): SafetensorsEntry {
  const tensor = JSON.stringify(name);
  if (!isRecord(value)) throw new SafetensorsError(`${tensor} is not described by an object`, DAMAGED);
  const { dtype: fileDtype, shape, data_offsets: offsets } = value;
  const dtype = typeof fileDtype === 'string' ? FILE_DTYPES.get(fileDtype) : undefined;
  if (dtype === undefined) {
    throw new SafetensorsError(
      `${tensor} has dtype ${JSON.stringify(fileDtype)}`,
      `known are ${[...FILE_DTYPES.keys()].join(', ')}: convert the file first`,
    );
  }
  if (!isSizes(shape)) {
    throw new SafetensorsError(`${tensor} has shape ${JSON.stringify(shape)}, not a list of sizes`, DAMAGED);
  }
  if (!isSizes(offsets) || offsets.length !== 2) {
    throw new SafetensorsError(`${tensor} has data_offsets ${JSON.stringify(offsets)}, not [begin, end]`, DAMAGED);
  }
  const [begin, end] = offsets as [number, number];
  if (begin > end || end > dataBytes) {
    throw new SafetensorsError(`${tensor} lies at [${begin}, ${end}] of ${dataBytes} bytes of data`, DAMAGED);
  }
  const bytes = elementCount(shape) * HOST_DTYPES[dtype].bytes;
  if (bytes !== end - begin) {
    throw new SafetensorsError(
      `${tensor} is ${fileDtype} [${shape.join(', ')}], which takes ${bytes} bytes, but ${end - begin} are given`,
      DAMAGED,
    );
  }
  return { name, dtype, shape, begin, end };
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);
}

function refuseOverlapsAndGaps(sorted: readonly SafetensorsEntry[], dataBytes: number): void {
  let end = 0;
  let before = 'the start of the data';
  for (const entry of sorted) {
    const tensor = JSON.stringify(entry.name);
    if (entry.begin < end) throw new SafetensorsError(`${tensor} and ${before} share bytes`, DAMAGED);
    if (entry.begin > end) throw new SafetensorsError(`nothing describes the bytes before ${tensor}`, DAMAGED);
    end = entry.end;
    before = tensor;
  }
  if (end !== dataBytes) {
    throw new SafetensorsError(`nothing describes the last ${dataBytes - end} bytes of data`, DAMAGED);
  }
}
