/** A safetensors file read by ranges: the header first, checked in full, then single tensors when asked for. */
import {
  type HostTensor,
  parseSafetensorsHeader,
  type SafetensorsEntry,
  safetensorsHeaderLength,
} from '@actionclip/tensor';
import type { ByteSource } from './byte-source.ts';
import { CheckpointError } from './errors.ts';
import { type StoredTensor, tensorAt } from './stored-tensor.ts';

export interface SafetensorsSource {
  readonly entries: ReadonlyMap<string, SafetensorsEntry>;
  readonly metadata: ReadonlyMap<string, string>;
  /** Every tensor by its name, not yet read. */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /** Reads one tensor. */
  read(name: string): Promise<HostTensor>;
}

const LENGTH_BYTES = 8;

/** @throws CheckpointError where the bytes are no complete, consistent safetensors file. */
export async function openSafetensors(bytes: ByteSource): Promise<SafetensorsSource> {
  const { entries, metadata, dataStart } = await readHeader(bytes);
  const tensors = new Map<string, StoredTensor>();
  for (const [name, { dtype, shape, begin }] of entries) {
    tensors.set(name, tensorAt(bytes, { dtype, shape, begin: () => dataStart + begin }));
  }
  return {
    entries,
    metadata,
    tensors,
    async read(name: string): Promise<HostTensor> {
      const tensor = tensors.get(name);
      if (tensor === undefined) {
        throw new CheckpointError(`${bytes.name}: there is no tensor ${name}`, 'check the name');
      }
      return tensor.read();
    },
  };
}

async function readHeader(
  bytes: ByteSource,
): Promise<{ entries: Map<string, SafetensorsEntry>; metadata: ReadonlyMap<string, string>; dataStart: number }> {
  const start = await bytes.read(0, Math.min(LENGTH_BYTES, bytes.size));
  try {
    const length = safetensorsHeaderLength(start, bytes.size);
    const dataStart = LENGTH_BYTES + length;
    const json = await bytes.read(LENGTH_BYTES, length);
    const { entries, metadata } = parseSafetensorsHeader(json, bytes.size - dataStart);
    return { entries: new Map(entries.map((entry) => [entry.name, entry])), metadata, dataStart };
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new CheckpointError(
      `${bytes.name}: not readable as a checkpoint (${reason})`,
      'expected is a .safetensors file or what torch.save writes',
      { cause },
    );
  }
}
