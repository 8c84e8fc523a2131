/** Attention as one kernel: equal to its definition in 64 bits, forward and backward, whatever the sizes and masks. */
import {
  AdamW,
  compile,
  type Device,
  full,
  gradients,
  openDevice,
  packedAttention,
  realize,
  scaledDotProductAttention,
  setDefaultDevice,
  type Tensor,
  type TypedArray,
  tensor,
} from '@actionclip/tensor';
import { MultiheadAttention } from '@actionclip/transformer';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { near } from '../comparison.ts';
import { type NaiveArray, sizeOf, toTensor } from '../naive.ts';

let reference: Device;
const wasm: Device[] = [];
beforeAll(async () => {
  reference = await openDevice('reference');
  for (const threads of [1, 2]) wasm.push(await openDevice('wasm', { threads }));
});
afterAll(async () => {
  for (const device of [reference, ...wasm]) await device.close();
});

/** Numbers in [-1, 1) without a pattern. */
function noise(shape: readonly number[], seed: number): NaiveArray {
  let state = (seed * 2654435761 + 12345) >>> 0;
  const data = Array.from({ length: sizeOf(shape) }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.fround(state / 2 ** 31 - 1);
  });
  return { shape, data };
}

type Mask = 'none' | 'added' | 'boolean';
interface Case {
  readonly batch: readonly number[];
  readonly queries: number;
  readonly keys: number;
  readonly width: number;
  readonly valueWidth: number;
  readonly mask: Mask;
  /** Which axes of the mask are there; the others are broadcast. */
  readonly maskAxes: readonly [boolean, boolean, boolean];
  readonly causal: boolean;
  readonly packed: boolean;
  readonly seed: number;
}

function maskOf({ batch, queries, keys, mask, maskAxes, packed, seed }: Case): Tensor | undefined {
  if (mask === 'none') return undefined;
  const [leading, row, column] = maskAxes;
  const own = [...(leading ? batch : []), row ? queries : 1, column ? (packed ? queries : keys) : 1];
  const values = toTensor(noise(own, seed + 9));
  if (mask === 'added') return values;
  // The first key is for everyone, so that no row is empty.
  return column ? values.gt(0).logicalOr(tensor([0]).eq(firstOf(own))) : values.gt(-2);
}

/** The position along the last axis. */
const firstOf = (shape: readonly number[]): Tensor =>
  toTensor({ shape, data: Array.from({ length: sizeOf(shape) }, (_, i) => i % (shape[shape.length - 1] as number)) });

/** The result, and the gradients of its product with some tensor: of q, k, v, or of the packed tensor; and of the mask. */
function results(c: Case): Tensor[] {
  const { batch, queries, keys, width, valueWidth, causal, packed, seed } = c;
  const mask = maskOf(c);
  const options = { mask, causal };
  const operands = packed
    ? [[...batch.slice(0, -1), queries, 3, batch[batch.length - 1] as number, width]]
    : [
        [...batch, queries, width],
        [...batch, keys, width],
        [...batch, keys, valueWidth],
      ];
  const inputs = operands.map((shape, i) => toTensor(noise(shape, seed + i)).mul(2));
  const [q, k, v] = inputs as [Tensor, Tensor, Tensor];
  const output = packed ? packedAttention(q, options) : scaledDotProductAttention(q, k, v, options);
  const loss = output.mul(toTensor(noise(output.shape, seed + 5))).sum();
  return [output, ...gradients(loss, c.mask === 'added' && mask ? [...inputs, mask] : inputs)];
}

async function on<T>(device: Device, body: () => Promise<T>): Promise<T> {
  setDefaultDevice(device);
  return body();
}

const contents = async (tensors: readonly Tensor[]): Promise<TypedArray[]> => {
  const data: TypedArray[] = [];
  for (const each of tensors) data.push(await each.data());
  return data;
};

async function checkCase(c: Case): Promise<void> {
  const expected = await on(reference, () => contents(results(c)));
  const runs: TypedArray[][] = [];
  for (const device of wasm) runs.push(await on(device, () => contents(results(c))));
  for (const [i, array] of expected.entries()) {
    // What is added up is of about 1 in size, however small the sum.
    const scale = Array.from(array).reduce((most, value) => Math.max(most, Math.abs(value)), 1);
    const far = array.findIndex((value, at) => !near(runs[0]?.[i]?.[at] ?? Number.NaN, value, 1e-5, scale));
    if (far >= 0) expect.fail(`result ${i} of ${JSON.stringify(c)}: ${runs[0]?.[i]?.[far]}, not ${array[far]}`);
  }
  expect(runs[1]).toEqual(runs[0]);
}

const kernelsOf = async (
  inputs: readonly Tensor[],
  f: (...inputs: Tensor[]) => Tensor[],
): Promise<readonly string[]> => {
  const step = compile((...args: Tensor[]) => f(...args));
  await step(...inputs);
  return step.stats().kernels;
};

const plain: Case = {
  batch: [2, 3],
  queries: 17,
  keys: 17,
  width: 8,
  valueWidth: 8,
  mask: 'none',
  maskAxes: [true, true, true],
  causal: false,
  packed: false,
  seed: 1,
};

describe('attention as one kernel', () => {
  const length = fc.constantFrom(1, 3, 5, 6, 7, 8, 9, 17, 50);
  const size = fc.constantFrom(1, 3, 4, 5, 16, 17, 64);

  it('equals its definition, with its gradients, on any number of threads', async () => {
    const cases = fc.record<Case>({
      batch: fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 3 }),
      queries: length,
      keys: length,
      width: size,
      valueWidth: size,
      mask: fc.constantFrom<Mask>('none', 'added', 'boolean'),
      maskAxes: fc.tuple(fc.boolean(), fc.boolean(), fc.boolean()),
      causal: fc.boolean(),
      packed: fc.boolean(),
      seed: fc.nat(1000),
    });
    await fc.assert(
      fc.asyncProperty(cases, async (c) => {
        if (sizeOf(c.batch) * c.queries * c.keys * (c.width + c.valueWidth) < 400_000) await checkCase(c);
      }),
      { numRuns: 60 },
    );
  });

  it('equals its definition for long sequences, whose queries are taken block by block', async () => {
    await checkCase({ ...plain, batch: [1], queries: 197, keys: 197, width: 64, valueWidth: 64 });
    await checkCase({ ...plain, batch: [1], queries: 197, keys: 197, width: 16, valueWidth: 16, causal: true });
    await checkCase({ ...plain, batch: [1], queries: 70, keys: 1500, width: 5, valueWidth: 3, mask: 'added' });
    await checkCase({ ...plain, batch: [1], queries: 300, keys: 300, width: 4, valueWidth: 9, causal: true });
    await checkCase({ ...plain, batch: [1], queries: 150, keys: 40, width: 4, valueWidth: 9, causal: true });
  });

  it('is NaN where a query may look nowhere, and nowhere else', async () => {
    const run = async (): Promise<TypedArray[]> => {
      const [q, k, v] = [0, 1, 2].map((i) => toTensor(noise([9, 4], i))) as [Tensor, Tensor, Tensor];
      const mask = firstOf([9, 9]).ge(toTensor({ shape: [9, 1], data: [0, 0, 0, 9, 0, 0, 0, 0, 9] }));
      const output = scaledDotProductAttention(q, k, v, { mask });
      return contents([output, ...gradients(output.sum(), [q, k, v])]);
    };
    const expected = await on(reference, run);
    for (const device of wasm) {
      const actual = await on(device, run);
      for (const [i, array] of expected.entries()) {
        const pattern = (data: TypedArray): boolean[] => Array.from(data, Number.isNaN);
        expect(pattern(actual[i] as TypedArray)).toEqual(pattern(array));
      }
    }
    expect(Array.from(expected[0] as TypedArray).filter(Number.isNaN)).toHaveLength(8);
  });

  it('takes views of a packed projection as they lie, and writes where the output projection reads', async () => {
    await on(wasm[0] as Device, async () => {
      const packed = toTensor(noise([2, 9, 3, 4, 8], 1));
      const weight = toTensor(noise([32, 32], 2));
      const kernels = await kernelsOf([packed, weight], (x, w) => [
        packedAttention(x as Tensor)
          .reshape([18, 32])
          .matmul(w as Tensor),
      ]);
      expect(kernels).toEqual(['attention', 'reshape+contract']);
      const parts = await kernelsOf([packed], (x) => {
        const heads = (x as Tensor).permute(2, 0, 3, 1, 4);
        return [scaledDotProductAttention(heads.select(0, 0), heads.select(0, 1), heads.select(0, 2))];
      });
      expect(parts).toEqual(['attention']);
    });
  });

  it('stores what does not lie in rows first', async () => {
    const run = async (): Promise<TypedArray> => {
      const [q, k] = [toTensor(noise([2, 4, 9], 1)), toTensor(noise([2, 9, 8], 2))];
      const every = k.reshape([2, 9, 4, 2]).select(-1, 1);
      return scaledDotProductAttention(q.transpose(), every.mul(2), k.flip(1), { mask: full([2, 9, 1], 0.5) }).data();
    };
    const expected = await on(reference, run);
    const actual = await on(wasm[1] as Device, run);
    for (const [i, value] of expected.entries()) expect(actual[i]).toBeCloseTo(value, 5);
  });

  it('leaves few queries and whole numbers to the definition', async () => {
    await on(wasm[0] as Device, async () => {
      const few = [toTensor(noise([2, 4], 1)), toTensor(noise([9, 4], 2)), toTensor(noise([9, 4], 3))];
      expect(
        await kernelsOf(few, (q, k, v) => [scaledDotProductAttention(q as Tensor, k as Tensor, v as Tensor)]),
      ).not.toContain('attention');
      await checkCase({ ...plain, batch: [2], queries: 2, keys: 9 });
      const whole = tensor(
        [
          [1, 2],
          [3, 4],
        ],
        { dtype: 'i32' },
      );
      expect((await scaledDotProductAttention(whole, whole, whole).data()).every(Number.isFinite)).toBe(true);
    });
  });

  it('has a gradient that follows its differences, and a second derivative', async () => {
    const shape = [1, 9, 3, 2, 4];
    const [at, along] = [noise(shape, 1), noise(shape, 2)];
    const shifted = (by: number): NaiveArray => ({
      shape,
      data: at.data.map((value, i) => value + by * (along.data[i] as number)),
    });
    const loss = (x: Tensor): Tensor => packedAttention(x).square().sum();
    const slope = (x: Tensor): Tensor => (gradients(loss(x), [x])[0] as Tensor).mul(toTensor(along)).sum();
    const difference = async (f: (x: Tensor) => Tensor): Promise<number> =>
      on(reference, async () => {
        const step = 1e-5;
        const [up, down] = [await f(toTensor(shifted(step))).item(), await f(toTensor(shifted(-step))).item()];
        return (up - down) / (2 * step);
      });
    const [first, second] = [await difference(loss), await difference(slope)];
    await on(wasm[0] as Device, async () => {
      const x = toTensor(at);
      expect(Math.abs((await slope(x).item()) / first - 1)).toBeLessThan(1e-4);
      const curvature = (gradients(slope(x), [x])[0] as Tensor).mul(toTensor(along)).sum();
      expect(Math.abs((await curvature.item()) / second - 1)).toBeLessThan(1e-4);
    });
  });

  it('trains inside of a captured step as the definition does', async () => {
    const run = async (): Promise<{ losses: number[]; kernels: readonly string[] }> => {
      const module = new MultiheadAttention(16, { heads: 4 });
      const values = [...module.namedParameters()].map(([name, parameter], i) => [name, parameter, i] as const);
      for (const [, parameter, i] of values) parameter.assign(toTensor(noise(parameter.shape, i)).mul(0.3));
      await realize(values.map(([, parameter]) => parameter));
      const optimizer = new AdamW([{ parameters: values.map(([, parameter]) => parameter) }], { epsilon: 1e-3 });
      for (const group of optimizer.groups) group.learningRate = 1e-2;
      const step = compile((x: Tensor) => {
        const loss = module
          .forward(x, full([10, 10], -1e9).triu(1))
          .square()
          .mean();
        loss.backward();
        optimizer.update();
        return [loss];
      });
      const losses: number[] = [];
      for (let i = 0; i < 4; i++) {
        const [loss] = await step(toTensor(noise([2, 10, 16], 7)));
        losses.push(await (loss as Tensor).item());
      }
      return { losses, kernels: step.stats().kernels };
    };
    const expected = await on(reference, run);
    for (const device of wasm) {
      const { losses, kernels } = await on(device, run);
      expect(kernels).toEqual(expect.arrayContaining(['attention', 'attentionBackward']));
      for (const [i, loss] of losses.entries())
        expect(Math.abs(loss / (expected.losses[i] as number) - 1)).toBeLessThan(1e-4);
      expect(losses[3]).toBeLessThan(losses[0] as number);
    }
  });
});
