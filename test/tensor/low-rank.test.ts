// Low-rank updates of linear layers: what they add, that they add nothing at the start, and their gradients.
import { type Device, Generator, Linear, LowRankUpdate, type Tensor } from '@actionclip/tensor';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { reference, use } from './devices.ts';
import { checkGradient, weights } from './finite-difference.ts';
import { at, build, toTensor } from './naive.ts';

let device: Device;
beforeAll(async () => {
  device = await use(reference);
});
afterAll(() => device.close());

/** A layer whose update is given, as a function of all that it computes with. */
const layer =
  (alpha: number) =>
  (x: Tensor, weight: Tensor, A: Tensor, B: Tensor): Tensor => {
    const [outSize, inSize] = weight.shape as readonly [number, number];
    const linear = new Linear(inSize, outSize, { bias: false });
    linear.weight = weight;
    linear.lora = new LowRankUpdate(inSize, outSize, { rank: A.shape[0] as number, alpha });
    Object.assign(linear.lora, { A, B });
    return linear.forward(x);
  };

const size = fc.integer({ min: 1, max: 5 });

describe('a low-rank update', () => {
  it('makes a layer compute with weight + alpha / rank · B · A', async () => {
    await fc.assert(
      fc.asyncProperty(
        size,
        size,
        size,
        size,
        fc.constantFrom(0.5, 1, 3),
        async (rows, inSize, outSize, rank, alpha) => {
          const [x, w, a, b] = [
            weights([rows, inSize], 1),
            weights([outSize, inSize], 2),
            weights([rank, inSize], 3),
            weights([outSize, rank], 4),
          ] as const;
          const each = (count: number): number[] => [...Array(count).keys()];
          const sum = (count: number, term: (i: number) => number): number =>
            each(count).reduce((s, i) => s + term(i), 0);
          const expected = build([rows, outSize], ([n = 0, o = 0]) =>
            sum(inSize, (i) => {
              const update = sum(rank, (k) => at(b, [o, k]) * at(a, [k, i]));
              return at(x, [n, i]) * (at(w, [o, i]) + (alpha / rank) * update);
            }),
          );
          const given = await layer(alpha)(toTensor(x), toTensor(w), toTensor(a), toTensor(b)).data();
          expected.data.forEach((value, i) => {
            expect(given[i]).toBeCloseTo(value, 5);
          });
        },
      ),
      { numRuns: 30 },
    );
  });

  it('has the gradients of finite differences', () =>
    checkGradient('LoRA', layer(3), [weights([2, 3], 1), weights([4, 3], 2), weights([2, 3], 3), weights([4, 2], 4)]));

  it('adds nothing at the start, when A is within 1/√in and B zero', async () => {
    const generator = new Generator(1);
    const linear = new Linear(4, 6, { generator });
    const x = toTensor(weights([3, 4]));
    const before = Array.from(await linear.forward(x).data());
    const lora = new LowRankUpdate(4, 6, { rank: 2, alpha: 4, generator });
    linear.lora = lora;
    expect(Array.from(await linear.forward(x).data())).toEqual(before);
    const a = Array.from(await lora.A.data(), Math.abs);
    expect(Math.max(...a)).toBeLessThanOrEqual(0.5);
    expect(Math.min(...a)).toBeGreaterThan(0);
    expect([...linear.namedParameters()].map(([name, { shape }]) => `${name} [${shape}]`)).toEqual([
      'weight [6,4]',
      'bias [6]',
      'lora.A [2,4]',
      'lora.B [6,2]',
    ]);
  });
});
