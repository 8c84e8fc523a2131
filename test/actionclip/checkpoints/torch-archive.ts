/** Writes small PyTorch archives for the tests: a pickle from a few opcodes, and a zip that stores its entries. */
import { Uint8ArrayReader, Uint8ArrayWriter, ZipWriter } from '@zip.js/zip.js';

const encoder = new TextEncoder();
const bytes = (...parts: (string | number | Uint8Array)[]): Uint8Array =>
  Uint8Array.from(
    parts.flatMap((part) =>
      typeof part === 'number' ? [part] : [...(typeof part === 'string' ? encoder.encode(part) : part)],
    ),
  );

const int = (value: number): Uint8Array =>
  bytes('J', value & 255, (value >> 8) & 255, (value >> 16) & 255, value >> 24);
const text = (value: string): Uint8Array => {
  const encoded = encoder.encode(value);
  return bytes('X', encoded.byteLength & 255, encoded.byteLength >> 8, 0, 0, encoded);
};
const tuple = (...items: Uint8Array[]): Uint8Array => bytes('(', ...items, 't');
export const global = (module: string, name: string): Uint8Array => bytes(`c${module}\n${name}\n`);
export const call = (callable: Uint8Array, ...args: Uint8Array[]): Uint8Array => bytes(callable, tuple(...args), 'R');
export const number = int;
export const string = text;

export function tensor(
  storage: string,
  key: string,
  { offset = 0, shape, strides }: { offset?: number; shape: number[]; strides: number[] },
): Uint8Array {
  const id = bytes(tuple(text('storage'), global('torch', storage), text(key), text('cpu'), int(1)), 'Q');
  const sizes = (values: number[]) => tuple(...values.map(int));
  const hooks = bytes(global('collections', 'OrderedDict'), ')', 'R');
  const flags = bytes(0x89);
  return call(
    global('torch._utils', '_rebuild_tensor_v2'),
    id,
    int(offset),
    sizes(shape),
    sizes(strides),
    flags,
    hooks,
  );
}

export function dict(entries: Record<string, Uint8Array>): Uint8Array {
  return bytes('}', ...Object.entries(entries).map(([key, value]) => bytes(text(key), value, 's')));
}

export function pickle(root: Uint8Array): Uint8Array {
  return bytes(0x80, 2, root, '.');
}

/** A zip archive of these entries under the folder `archive/`. */
export async function archive(entries: Record<string, Uint8Array | string>, level = 0): Promise<Uint8Array> {
  const writer = new ZipWriter(new Uint8ArrayWriter(), { level, useWebWorkers: false });
  for (const [name, content] of Object.entries(entries)) {
    const data = typeof content === 'string' ? encoder.encode(content) : content;
    await writer.add(`archive/${name}`, new Uint8ArrayReader(data));
  }
  return writer.close();
}

export const floats = (...values: number[]): Uint8Array => new Uint8Array(Float32Array.from(values).buffer);
