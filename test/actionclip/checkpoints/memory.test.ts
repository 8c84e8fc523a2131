import { readFileSync } from 'node:fs';
import {
  type HostTensor,
  openDevice,
  type StateDict,
  serializeSafetensors,
  setDefaultDevice,
} from '@actionclip/tensor';
import { describe, expect, it } from 'vitest';
import { modelOf } from '../../../packages/actionclip/src/checkpoints/build-model.ts';
import { type ByteSource, memorySource } from '../../../packages/actionclip/src/checkpoints/byte-source.ts';
import { openCheckpoint } from '../../../packages/actionclip/src/checkpoints/contents.ts';
import { readCheckpoint } from '../../../packages/actionclip/src/checkpoints/load.ts';
import {
  concatenateStored,
  PIECE_BYTES,
  tensorAt,
} from '../../../packages/actionclip/src/checkpoints/stored-tensor.ts';
import { toHuggingFace } from './hugging-face.ts';

const fixture = (path: string): Uint8Array =>
  readFileSync(new URL(`../../../../shared/fixtures/model/${path}`, import.meta.url));

/** What a source handed out: bytes in memory of their own, and bytes in memory that the reader gave. */
interface Account {
  own: number;
  lent: number;
  largest: number;
  /** Memory that the reader gave and that is not the device's own, which is shared between threads. */
  readonly staging: Set<ArrayBuffer>;
}

/** A source that copies, as files do, and keeps account of it. */
function counted(bytes: Uint8Array, name: string): { source: ByteSource; account: Account } {
  const account: Account = { own: 0, lent: 0, largest: 0, staging: new Set() };
  const read = async (offset: number, length: number, memory?: Uint8Array): Promise<Uint8Array> => {
    account.largest = Math.max(account.largest, length);
    if (memory === undefined) {
      account.own += length;
      return bytes.slice(offset, offset + length);
    }
    account.lent += length;
    if (memory.buffer instanceof ArrayBuffer) account.staging.add(memory.buffer);
    memory.set(bytes.subarray(offset, offset + length));
    return memory.subarray(0, length);
  };
  return { source: { name, size: bytes.byteLength, read }, account };
}

const sizeOf = (tensors: StateDict): number =>
  [...tensors.values()].reduce((sum, { data }) => sum + data.byteLength, 0);

describe('a model that cannot be opened', () => {
  it('leaves nothing on the device where reading fails half-way', async () => {
    const path = 'mean/clip-jit-fp16.pt';
    const { source } = counted(fixture(path), path);
    const device = await openDevice('wasm', { threads: 1 });
    setDefaultDevice(device);
    const contents = await openCheckpoint(source);
    const before = await device.memory();
    let left = 20;
    const tensors = new Map(
      [...contents.tensors].map(([name, tensor]) => {
        const { readInto: _, ...slow } = tensor;
        const pieces: typeof tensor.pieces = (memory) => {
          if (left-- === 0) throw new Error('the disk is gone');
          return tensor.pieces(memory);
        };
        return [name, { ...slow, pieces }];
      }),
    );
    await expect(modelOf({ ...contents, tensors })).rejects.toThrow('the disk is gone');
    expect((await device.memory()).peak).toBeGreaterThan(before.live);
    expect((await device.memory()).live).toBe(before.live);
    await device.close();
  });

  it('is refused before its values are read where the device can never hold it', async () => {
    const path = 'mean/clip-jit-fp16.pt';
    const device = await openDevice('wasm', { threads: 1 });
    setDefaultDevice(device);
    const contents = await openCheckpoint(memorySource(fixture(path), path));
    const name = 'token_embedding.weight';
    const words = contents.tensors.get(name);
    if (words === undefined) throw new Error(`no ${name}`);
    const many = { ...words, shape: [2 ** 24, words.shape[1] ?? 0] };
    const tensors = new Map([...contents.tensors, [name, many]]);
    await expect(modelOf({ ...contents, tensors })).rejects.toThrow(
      /mean\/clip-jit-fp16\.pt: its parameters take \d+ bytes, and the device holds 4294967296/,
    );
    await device.close();
  });
});

describe('opening a model', () => {
  it.each([
    ['transf/checkpoint.pt', 1, 1],
    ['transf/checkpoint.pt', 2, 0],
    ['mean/clip-jit-fp16.pt', 1, 1],
    ['mean/clip-jit-fp16.pt', 2, 4],
  ])(
    'reads every value of %s once, to a device of %i threads through at most %i pieces of memory, and keeps the parameters alone',
    async (path, threads, pieces) => {
      const weights = await readCheckpoint(memorySource(fixture(path), path));
      const { source, account } = counted(fixture(path), path);
      const device = await openDevice('wasm', { threads });
      setDefaultDevice(device);
      const contents = await openCheckpoint(source);
      expect(account.lent).toBe(0);
      const before = await device.memory();
      const { model } = await modelOf(contents);
      const { live, peak } = await device.memory();
      expect(account.lent).toBe(sizeOf(weights.tensors));
      expect(account.staging.size).toBeLessThanOrEqual(pieces);
      // The pickle, the list of entries, which is searched for from the end, and headers: no values.
      expect(account.own).toBeLessThan(2 ** 18);
      const parameters = 4 * model.parameterCount();
      expect(live - before.live).toBeGreaterThanOrEqual(parameters);
      // Pieces of device memory are multiples of 64 bytes.
      expect(live - before.live).toBeLessThanOrEqual(parameters + 64 * model.parameters().length);
      expect(peak).toBe(live);
      await device.close();
    },
  );

  it('of Hugging Face reads no more at once than a matrix that has to be transposed', async () => {
    const clip = await readCheckpoint(memorySource(fixture('mean/clip.pt'), 'clip.pt'));
    const { source, account } = counted(serializeSafetensors(toHuggingFace(clip.tensors)), 'model.safetensors');
    const device = await openDevice('wasm', { threads: 1 });
    setDefaultDevice(device);
    const contents = await openCheckpoint(source);
    const header = account.own;
    await modelOf(contents);
    const transposed = ['visual.proj', 'text_projection'].map((name) => clip.tensors.get(name)?.data.byteLength ?? 0);
    expect(account.own - header).toBe(transposed.reduce((sum, bytes) => sum + bytes));
    expect(account.own - header + account.lent).toBe(sizeOf(clip.tensors));
    await device.close();
  });
});

describe('a tensor that is larger than the memory for its pieces', () => {
  const values = Float32Array.from({ length: 1000 }, (_, i) => i / 7);
  const { source, account } = counted(new Uint8Array(values.buffer), 'values');
  const collect = async (pieces: AsyncIterable<HostTensor['data']>): Promise<number[]> => {
    const all: number[] = [];
    for await (const piece of pieces) all.push(...Array.from(piece as Float32Array));
    return all;
  };

  it('comes in pieces that fit, whole elements in order, also where several are joined', async () => {
    const memory = new Uint8Array(103);
    const first = tensorAt(source, { dtype: 'f32', shape: [20, 30], begin: () => 0 });
    const second = tensorAt(source, { dtype: 'f32', shape: [20, 30], begin: () => 1600 });
    expect(await collect(first.pieces(memory))).toEqual([...values.subarray(0, 600)]);
    const joined = concatenateStored([first, second], 'x');
    expect(joined.shape).toEqual([40, 30]);
    expect(await collect(joined.pieces(memory))).toEqual([...values.subarray(0, 600), ...values.subarray(400)]);
    expect(account.largest).toBe(100);
    expect((await joined.read()).data).toEqual(Float32Array.of(...values.subarray(0, 600), ...values.subarray(400)));
  });

  it('never needs more than a megabyte of it', () => {
    expect(PIECE_BYTES).toBeLessThanOrEqual(2 ** 20);
  });
});
