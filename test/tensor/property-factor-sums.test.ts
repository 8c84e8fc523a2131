/** Sums of a contraction's factors, such as the gradient of a bias: the same numbers, from the kernel of the product. */
import {
  AdamW,
  autocast,
  compile,
  type Device,
  gradients,
  linear,
  realize,
  setDefaultDevice,
  type Tensor,
  tensor,
} from '@actionclip/tensor';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createWebGPUBackend } from '../../packages/tensor/src/backends/webgpu/backend.ts';
import { shadersOf } from '../../packages/tensor/src/backends/webgpu/kernels.ts';
import { baseTarget } from '../../packages/tensor/src/backends/webgpu/target.ts';
import type { Kernel, Program } from '../../packages/tensor/src/compile/kernel.ts';
import { arrayOf } from './arbitraries.ts';
import { expectNear } from './comparison.ts';
import { everyDevice, type TestDevice, use } from './devices.ts';
import { build, matmul, type NaiveArray, toTensor } from './naive.ts';
import { spied } from './spied.ts';
import { recordingDevice } from './webgpu/programs.ts';

const separate = spied([]);
const summing = spied(['factorSums']);
const withRows = spied(['rows', 'columns', 'factorSums']);

const sumsOf = (kernels: readonly Kernel[]): number =>
  kernels.reduce((count, kernel) => {
    if (kernel.kind !== 'loop') return count;
    return count + kernel.outputs.filter(({ factorSum }) => factorSum !== undefined).length;
  }, 0);

/** Kernels that reduce, and are no matrix products. */
const reductions = (kernels: readonly Kernel[]): readonly Kernel[] =>
  kernels.filter(
    (kernel) => kernel.kind === 'rows' || (kernel.kind === 'loop' && kernel.reduce && !kernel.reduce.factors),
  );

const waves = (...shape: number[]): Tensor =>
  tensor(
    Float64Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(3 * i + shape.length)),
    {
      shape,
    },
  );

/** Computed on a device, with the kernels that this took. */
async function computed(
  { device, programs }: { device: Device; programs: Program[] },
  make: () => readonly Tensor[],
): Promise<{ numbers: NaiveArray[]; kernels: readonly Kernel[] }> {
  setDefaultDevice(device);
  const before = programs.length;
  const results = make();
  await realize(results);
  const numbers = await Promise.all(results.map(async (x) => ({ shape: x.shape, data: Array.from(await x.data()) })));
  return { numbers, kernels: programs.slice(before).flatMap(({ kernels }) => kernels) };
}

const extent = fc.constantFrom(3, 16, 17, 20, 33);

it('any sums beside any products, of which some are of the same elements, come out as by themselves', async () => {
  let found = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.record({ batch: fc.constantFrom(1, 1, 3), m: extent, n: extent, k: extent, turned: fc.boolean() }),
      async ({ batch, m, n, k, turned }) => {
        const make = (): Tensor[] => {
          const [a, b] = [turned ? waves(batch, k, m).transpose(1, 2) : waves(batch, m, k), waves(batch, k, n)];
          const left = a.mul(2);
          return [left.matmul(b), left.sum(2), b.sum(1), a.sum(2), left.sum(1), b.sum(2), left.sum([0, 2])];
        };
        const expected = await computed(separate, make);
        for (const device of [summing, withRows]) {
          const { numbers, kernels } = await computed(device, make);
          found += sumsOf(kernels);
          for (const [i, array] of numbers.entries()) {
            expect(array.shape).toEqual(expected.numbers[i]?.shape);
            await expectNear(toTensor(array), expected.numbers[i] as NaiveArray, 1e-12, `result ${i}`);
          }
        }
      },
    ),
    { numRuns: 25 },
  );
  expect(found).toBeGreaterThan(20);
});

describe('which sums are joined', () => {
  beforeEach(() => setDefaultDevice(summing.device));

  const joined = async (make: () => readonly Tensor[]): Promise<number> => {
    const { kernels } = await computed(summing, make);
    expect(kernels.some((kernel) => kernel.kind === 'loop' && kernel.reduce?.factors)).toBe(true);
    return sumsOf(kernels);
  };

  it('those along the steps of the product, of either factor', async () => {
    const [a, b] = [waves(20, 24), waves(24, 18)];
    expect(await joined(() => [a.matmul(b), a.sum(1)])).toBe(1);
    expect(await joined(() => [a.matmul(b), b.sum(0)])).toBe(1);
    expect(await joined(() => [a.matmul(b), a.sum(1), b.sum(0)])).toBe(2);
    expect(await joined(() => [a.matmul(b), a.sum(0), b.sum(1), a.sum(), a.max(1), a.square().sum(1)])).toBe(0);
  });

  it('also where elementwise work on the product joins it too', async () => {
    const [a, b, c] = [waves(20, 24), waves(24, 18), waves(20, 18)];
    const make = (): Tensor[] => {
      const product = a.matmul(b);
      return [product, product.mul(c).tanh(), a.sum(1), b.sum(0).mul(2)];
    };
    const { numbers, kernels } = await computed(summing, make);
    expect(kernels).toHaveLength(2);
    expect(kernels.map((kernel) => kernel.outputs.length).sort()).toEqual([1, 3]);
    const [sum] = (await computed(separate, () => [waves(20, 24).sum(1)])).numbers;
    expect(numbers[2]).toEqual(sum);
  });

  it('not those that the product itself needs, or that need the product', async () => {
    const [a, b] = [waves(20, 20), waves(20, 20)];
    expect(await joined(() => [a.matmul(b).add(a.sum(1, true))])).toBe(0);
    const square = a.matmul(b);
    expect(await joined(() => [square, square.sum(1)])).toBe(0);
  });

  it('not those of products that are too small for tiles, and not those of halves', async () => {
    expect(await joined(() => [waves(20, 9).matmul(waves(9, 20)), waves(20, 9).sum(1)])).toBe(0);
    const [a, b] = [waves(20, 24), waves(24, 18)];
    expect(await joined(() => autocast(() => [a.matmul(b), a.sum(1)]))).toBe(0);
  });
});

/** The gradients of linear(x, weight, bias) for a gradient `dy` of its result. */
const linearGradients = (x: Tensor, weight: Tensor, bias: Tensor, dy: Tensor): Tensor[] => {
  for (const input of [x, weight, bias]) input.requiresGrad = true;
  return gradients(linear(x, weight, bias), [x, weight, bias], dy);
};

describe.each(everyDevice)('on $name', (testDevice: TestDevice) => {
  let device: Device;
  beforeAll(async () => {
    device = await use(testDevice);
  });
  afterAll(() => device.close());

  it('the gradients of a linear layer are products and sums', async () => {
    const example = fc
      .tuple(extent, extent, extent)
      .chain(([rows, wide, narrow]) =>
        fc.tuple(arrayOf([rows, wide]), arrayOf([narrow, wide]), arrayOf([narrow]), arrayOf([rows, narrow])),
      );
    await fc.assert(
      fc.asyncProperty(example, async ([x, weight, bias, dy]) => {
        setDefaultDevice(device);
        const found = linearGradients(toTensor(x), toTensor(weight), toTensor(bias), toTensor(dy));
        await realize(found);
        const turned = build([...dy.shape].reverse(), ([i = 0, j = 0]) => dy.data[j * (dy.shape[1] ?? 0) + i] ?? 0);
        const ones = build([dy.shape[0] ?? 0], () => 1);
        const expected = [matmul(dy, weight), matmul(turned, x), matmul(turned, ones)];
        for (const [i, result] of found.entries()) {
          await expectNear(result, expected[i] as NaiveArray, 10 * testDevice.tolerance, `gradient ${i}`);
        }
      }),
      { numRuns: Math.min(testDevice.runs, 10) },
    );
  });
});

describe('on webgpu', () => {
  it('no kernel of the backward pass of linear layers sums a bias by itself', async () => {
    const backend = await createWebGPUBackend({ allowSoftware: true });
    const programs: Program[] = [];
    const device = recordingDevice(backend, programs);
    setDefaultDevice(device);
    const [x, w, b] = [waves(2, 16, 20), waves(24, 20), waves(24)];
    const [v, c, dy] = [waves(18, 24), waves(18), waves(2, 16, 18)];
    for (const input of [x, w, b, v, c]) input.requiresGrad = true;
    await realize([x, w, b, v, c, dy]);
    programs.length = 0;
    const backward = compile(() => gradients(linear(linear(x, w, b).tanh(), v, c), [x, w, b, v, c], dy));
    await backward();
    const kernels = programs.flatMap((program) => program.kernels);
    expect(sumsOf(kernels)).toBe(2);
    expect(reductions(kernels)).toEqual([]);
    const dispatches = kernels.flatMap((kernel) => shadersOf(kernel, baseTarget).shaders);
    expect(dispatches).toHaveLength(kernels.length);
    await device.close();
  });
});

it('steps of an optimizer with flat parameters, captured, are those without joined sums', async () => {
  const train = async ({ device, programs }: typeof separate): Promise<{ losses: number[]; sums: number }> => {
    setDefaultDevice(device);
    programs.length = 0;
    const [weight, bias] = [waves(96, 20), waves(96)];
    for (const parameter of [weight, bias]) parameter.requiresGrad = true;
    const optimizer = new AdamW(
      [
        {
          parameters: [
            ['weight', weight],
            ['bias', bias],
          ],
        },
      ],
      { layout: 'flat' },
    );
    await realize([weight, bias]);
    const step = compile((x: Tensor) => {
      const loss = linear(x, weight, bias).tanh().square().mean();
      loss.backward();
      optimizer.update();
      return [loss];
    });
    const losses: number[] = [];
    for (let i = 0; i < 3; i++) {
      optimizer.zeroGrad();
      for (const loss of await step(waves(32, 20).mul(i + 1))) losses.push(await loss.item());
    }
    return { losses, sums: sumsOf(programs.flatMap(({ kernels }) => kernels)) };
  };
  const [expected, found] = [await train(separate), await train(withRows)];
  expect(found.sums).toBeGreaterThan(0);
  expect(expected.sums).toBe(0);
  found.losses.forEach((loss, i) => {
    expect(loss).toBeCloseTo(expected.losses[i] as number, 10);
  });
  expect(new Set(expected.losses).size).toBe(3);
});
