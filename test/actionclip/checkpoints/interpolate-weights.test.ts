import type { HostTensor } from '@actionclip/tensor';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CheckpointError } from '../../../packages/actionclip/src/checkpoints/errors.ts';
import { interpolateWeights, type Weights } from '../../../packages/actionclip/src/checkpoints/interpolate-weights.ts';
import { readable } from '../../../packages/actionclip/src/checkpoints/write.ts';

const f32 = (values: readonly number[]): HostTensor => ({
  dtype: 'f32',
  shape: [values.length],
  data: Float32Array.from(values),
});
const weights = (source: string, tensors: Record<string, HostTensor>): Weights => ({
  source,
  tensors: readable(new Map(Object.entries(tensors))),
});
const valuesOf = async (pretrained: Weights, finetuned: Weights, alpha: number, name: string): Promise<number[]> =>
  Array.from((await interpolateWeights(pretrained, finetuned, alpha).get(name)?.read())?.data ?? [], Number);

const pair = fc
  .array(
    fc.tuple(fc.float({ noNaN: true, noDefaultInfinity: true }), fc.float({ noNaN: true, noDefaultInfinity: true })),
  )
  .map((pairs) => [pairs.map(([a]) => a), pairs.map(([, b]) => b)] as const);

describe('weights between two checkpoints', () => {
  it('are those of the one at alpha 1 and of the other at alpha 0', async () => {
    await fc.assert(
      fc.asyncProperty(pair, async ([before, after]) => {
        const a = weights('clip', { x: f32(before) });
        const b = weights('tuned', { x: f32(after) });
        expect(await valuesOf(a, b, 1, 'x')).toEqual(before.map((value) => value + 0));
        expect(await valuesOf(a, b, 0, 'x')).toEqual(after);
      }),
    );
  });

  it('lie between the two, and those of half and half do not depend on which is which', async () => {
    await fc.assert(
      fc.asyncProperty(pair, fc.double({ min: 0, max: 1, noNaN: true }), async ([before, after], alpha) => {
        const a = weights('clip', { x: f32(before) });
        const b = weights('tuned', { x: f32(after) });
        for (const [i, value] of (await valuesOf(a, b, alpha, 'x')).entries()) {
          const [low = 0, high = 0] = [before[i] ?? 0, after[i] ?? 0].sort((p, q) => p - q);
          // Two products and a sum are rounded, so that the mean of two equal values may move in its last bit.
          const slack = 2 ** -23 * Math.max(Math.abs(low), Math.abs(high)) + 2 ** -149;
          expect(value).toBeGreaterThanOrEqual(low - slack);
          expect(value).toBeLessThanOrEqual(high + slack);
        }
        expect(await valuesOf(a, b, 0.5, 'x')).toEqual(await valuesOf(b, a, 0.5, 'x'));
      }),
    );
  });

  it('have the temporal prompts of the fine-tuned one alone, in its own dtype', async () => {
    const half: HostTensor = { dtype: 'f16', shape: [1], data: Uint16Array.of(0x3c00) };
    const a = weights('clip', { x: f32([2]), 'fusion.old': f32([9]) });
    const b = weights('tuned', { x: half, 'fusion.shift.weight': half, 'visual.time_embedding': f32([3]) });
    const mixed = interpolateWeights(a, b, 0.5);
    expect([...mixed].map(([name, { dtype }]) => `${name} ${dtype}`)).toEqual([
      'x f32',
      'fusion.shift.weight f16',
      'visual.time_embedding f32',
    ]);
    expect((await mixed.get('x')?.read())?.data).toEqual(Float32Array.of(1.5));
    expect((await mixed.get('fusion.shift.weight')?.read())?.data).toEqual(half.data);
  });

  it.each([
    ['another shape', { x: f32([1, 2]) }, /clip\.pt and tuned\.pt have different towers: x is \[1\] and \[2\]/],
    ['a parameter more', { x: f32([1]), y: f32([1]) }, /y is absent and \[1\]/],
    ['a parameter less', {}, /x is \[1\] and absent/],
  ])('are refused for towers with %s', (_, tensors, message) => {
    const a = weights('clip.pt', { x: f32([1]) });
    expect(() => interpolateWeights(a, weights('tuned.pt', tensors), 0.5)).toThrow(message);
    expect(() => interpolateWeights(a, weights('tuned.pt', tensors), 0.5)).toThrow(CheckpointError);
  });

  it.each([-0.1, 1.1, Number.NaN])('are refused for alpha %f', (alpha) => {
    const a = weights('clip', { x: f32([1]) });
    expect(() => interpolateWeights(a, a, alpha)).toThrow(/with alpha/);
  });
});
