import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bfloat16ToNumber, fromHalfBits, type HostTensor, serializeSafetensors } from '@actionclip/tensor';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CheckpointError } from '../../../packages/actionclip/src/checkpoints/errors.ts';
import { inPrecision } from '../../../packages/actionclip/src/checkpoints/precision.ts';
import {
  type ReadableTensor,
  readable,
  tensorsInLayout,
  tensorsInPrecision,
  writeSafetensors,
} from '../../../packages/actionclip/src/checkpoints/write.ts';
import { InterruptedError } from '../../../packages/actionclip/src/interrupted.ts';

const f32 = (...values: number[]): HostTensor => ({
  dtype: 'f32',
  shape: [values.length],
  data: Float32Array.from(values),
});
const f64 = (...values: number[]): HostTensor => ({
  dtype: 'f64',
  shape: [values.length],
  data: Float64Array.from(values),
});

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'actionclip-write-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const NARROW = [
  { dtype: 'f16', value: fromHalfBits, infinity: 0x7c00, nearOverflow: 65519.99, overflow: 65520 },
  { dtype: 'bf16', value: bfloat16ToNumber, infinity: 0x7f80, nearOverflow: 3.396e38, overflow: 3.3962e38 },
] as const;

describe.each(NARROW)('weights in $dtype', ({ dtype, value, infinity, nearOverflow, overflow }) => {
  const bitsOf = (tensor: HostTensor): number => Number(inPrecision(tensor, dtype, 'w').data[0]);

  it('keep every number that the dtype has', () => {
    const bits = Array.from({ length: infinity }, (_, i) => i).flatMap((i) => [i, i | 0x8000]);
    expect([...inPrecision(f32(...bits.map(value)), dtype, 'w').data]).toEqual(bits);
  });

  it('are the nearest, and the even one between two that are equally near', () => {
    const lower = Array.from({ length: infinity - 1 }, (_, i) => i);
    const middles = lower.map((bits) => (value(bits) + value(bits + 1)) / 2);
    const even = lower.map((bits) => bits + (bits % 2));
    expect([...inPrecision(f64(...middles), dtype, 'w').data]).toEqual(even);
    // A hair beside the middle decides, even one that a float of 32 bits could not tell from the middle.
    const below = middles.map((middle) => middle * (1 - 2 ** -50));
    const above = middles.map((middle) => middle * (1 + 2 ** -50));
    expect([...inPrecision(f64(...below), dtype, 'w').data]).toEqual(lower);
    expect([...inPrecision(f64(...above), dtype, 'w').data]).toEqual(lower.map((bits) => bits + 1));
  });

  it('are no further from the value than their neighbours, for any value in range', () => {
    fc.assert(
      fc.property(fc.double({ min: -nearOverflow, max: nearOverflow, noNaN: true }), (given) => {
        const bits = bitsOf(f64(given)) & 0x7fff;
        const magnitude = Math.abs(given);
        for (const neighbour of [bits - 1, bits + 1].filter((n) => n >= 0 && n < infinity)) {
          expect(Math.abs(value(bits) - magnitude)).toBeLessThanOrEqual(Math.abs(value(neighbour) - magnitude));
        }
      }),
      { numRuns: 5000 },
    );
  });

  it('keep infinities and what is no number, and are refused by name where they would become infinite', () => {
    expect(bitsOf(f32(Number.POSITIVE_INFINITY))).toBe(infinity);
    expect(bitsOf(f32(Number.NEGATIVE_INFINITY))).toBe(infinity | 0x8000);
    expect(value(bitsOf(f32(Number.NaN)))).toBeNaN();
    expect(value(bitsOf(f64(nearOverflow)))).toBeLessThan(Number.POSITIVE_INFINITY);
    for (const large of [overflow, -overflow]) {
      expect(() => inPrecision(f64(1, large), dtype, 'a.pt: visual.proj')).toThrow(CheckpointError);
      expect(() => inPrecision(f64(1, large), dtype, 'a.pt: visual.proj')).toThrow(/a\.pt: visual\.proj: element 1 is/);
    }
  });
});

describe('weights in f32', () => {
  it('are those of f64 rounded once, and tensors of whole numbers stay as they are', () => {
    expect([...inPrecision(f64(0.1, 1 + 2 ** -24), 'f32', 'w').data]).toEqual([Math.fround(0.1), 1]);
    expect(() => inPrecision(f64(1e300), 'f32', 'w')).toThrow(CheckpointError);
    const counts: HostTensor = { dtype: 'i64', shape: [1], data: BigInt64Array.of(7n) };
    expect(inPrecision(counts, 'f16', 'w')).toBe(counts);
  });
});

describe('a safetensors file written tensor by tensor', () => {
  const tensors = new Map<string, HostTensor>([
    ['b', f32(1, 2, 3)],
    ['a', { dtype: 'bool', shape: [2], data: Uint8Array.of(1, 0) }],
    ['none', { dtype: 'f32', shape: [0, 4], data: new Float32Array(0) }],
    ['c', f64(5)],
  ]);

  it('has the same bytes as one that is put together in memory', async () => {
    const path = join(folder, 'a', 'b', 'model.safetensors');
    const metadata = new Map([['format', 'pt']]);
    const done: number[] = [];
    await writeSafetensors(path, readable(tensors), { metadata, onProgress: (bytes) => done.push(bytes) });
    const bytes = readFileSync(path);
    expect(bytes.equals(serializeSafetensors(tensors, metadata))).toBe(true);
    expect(done).toHaveLength(4);
    expect(done.at(-1)).toBe(bytes.byteLength);
  });

  it('asks for one tensor after the other', async () => {
    let open = 0;
    const watched = new Map<string, ReadableTensor>();
    for (const [name, tensor] of tensors) {
      const read = async (): Promise<HostTensor> => {
        expect(++open).toBe(1);
        await new Promise((resolve) => setImmediate(resolve));
        open--;
        return tensor;
      };
      watched.set(name, { dtype: tensor.dtype, shape: tensor.shape, read });
    }
    await writeSafetensors(join(folder, 'm.safetensors'), watched);
    expect(readdirSync(folder)).toEqual(['m.safetensors']);
  });

  it.each([
    ['a tensor cannot be read', async () => Promise.reject(new CheckpointError('x', 'y')), {}, CheckpointError],
    ['a tensor is not what was announced', async () => f32(1), {}, /the shape and the data must agree/],
    ['the signal is set off', async () => f32(1, 2, 3), { signal: AbortSignal.abort() }, InterruptedError],
  ])('leaves what was there, and nothing else, where %s', async (_, read, options, message) => {
    const path = join(folder, 'm.safetensors');
    writeFileSync(path, 'before');
    const broken = new Map<string, ReadableTensor>([['b', { dtype: 'f32', shape: [3], read }]]);
    await expect(writeSafetensors(path, broken, options)).rejects.toThrow(message);
    expect(readFileSync(path, 'utf8')).toBe('before');
    expect(readdirSync(folder)).toEqual(['m.safetensors']);
  });

  it('rounds on the way', async () => {
    const half = tensorsInPrecision(readable(tensors), 'f16', 'a.pt');
    expect([...half].map(([name, { dtype }]) => [name, dtype])).toEqual([
      ['b', 'f16'],
      ['a', 'bool'],
      ['none', 'f16'],
      ['c', 'f16'],
    ]);
    expect([...((await half.get('b')?.read())?.data ?? [])]).toEqual([0x3c00, 0x4000, 0x4200]);
  });
});

describe('names for other programs', () => {
  const packed: HostTensor = { dtype: 'f32', shape: [6, 1], data: Float32Array.of(1, 2, 3, 4, 5, 6) };
  const layer = 'visual.transformer.resblocks.11.attn.in_proj_weight';

  it('of Hugging Face part query, key and value, and turn the projections', async () => {
    const projection: HostTensor = { dtype: 'f32', shape: [2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6) };
    const given = readable(
      new Map([
        [layer, packed],
        ['visual.proj', projection],
      ]),
    );
    const written = tensorsInLayout(given, 'huggingface', 'a.pt');
    const parts = await Promise.all([...written].map(async ([name, { read }]) => [name, await read()] as const));
    const f = (shape: number[], ...values: number[]) => ({ dtype: 'f32', shape, data: Float32Array.from(values) });
    const prefix = 'vision_model.encoder.layers.11.self_attn';
    expect(parts).toEqual([
      [`${prefix}.q_proj.weight`, f([2, 1], 1, 2)],
      [`${prefix}.k_proj.weight`, f([2, 1], 3, 4)],
      [`${prefix}.v_proj.weight`, f([2, 1], 5, 6)],
      ['visual_projection.weight', f([3, 2], 1, 4, 2, 5, 3, 6)],
    ]);
    for (const [name, { shape }] of parts) expect(written.get(name)?.shape).toEqual(shape);
  });

  it('refuse what has no place, and what does not divide into three', () => {
    const head = readable(new Map([['fusion.shift.weight', packed]]));
    expect(() => tensorsInLayout(head, 'huggingface', 'a.pt')).toThrow(
      /a\.pt: fusion\.shift\.weight has no place in the huggingface layout/,
    );
    const odd = readable(new Map([[layer, f32(1, 2)]]));
    expect(() => tensorsInLayout(odd, 'huggingface', 'a.pt')).toThrow(/does not divide into query, key and value/);
  });
});
