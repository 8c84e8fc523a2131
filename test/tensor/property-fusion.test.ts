/** What is fused into one kernel equals what is computed step by step, on every device and under every limit. */
import {
  compile,
  concat,
  Device,
  gradients,
  setDefaultDevice,
  stack,
  type Tensor,
  tensor,
  where,
} from '@actionclip/tensor';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Backend } from '../../packages/tensor/src/backends/backend.ts';
import { createReferenceBackend } from '../../packages/tensor/src/backends/reference/backend.ts';
import { arrayOf } from './arbitraries.ts';
import { expectNear } from './comparison.ts';
import { everyDevice, use } from './devices.ts';
import { type NaiveArray, toTensor } from './naive.ts';

const size = 4;

/** Steps on square matrices: each takes two earlier results and gives another of the same shape. */
const steps: Readonly<Record<string, (a: Tensor, b: Tensor) => Tensor>> = {
  add: (a, b) => a.add(b),
  mul: (a, b) => a.mul(b),
  sigmoid: (a) => a.sigmoid(),
  tanh: (a, b) => a.sub(b).tanh(),
  gelu: (a) => a.gelu(),
  where: (a, b) => where(a.lt(b), a, b.mul(0.5)),
  transpose: (a) => a.transpose(),
  flip: (a, b) => a.flip(0).add(b),
  roll: (a) => a.roll(1, 1),
  rows: (a, b) => a.sub(b.mean(1, true)),
  columns: (a, b) => b.add(a.max(0)),
  total: (a, b) => a.mul(b.sum().tanh()),
  softmax: (a) => a.softmax(1),
  matmul: (a, b) => a.matmul(b).tanh(),
  transposed: (a, b) => a.T.matmul(b).mul(0.25),
  slice: (a, b) =>
    a
      .slice(0, 0, 2)
      .pad([
        [1, 1],
        [0, 0],
      ])
      .add(b),
  reshape: (a, b) =>
    a
      .reshape([size * size])
      .reshape([size, size])
      .mul(b),
  broadcast: (a, b) => a.select(0, 1).add(b.select(1, 2).unsqueeze(1)),
};

interface Recipe {
  readonly sources: readonly NaiveArray[];
  readonly plan: readonly (readonly [string, number, number])[];
}

const recipes: fc.Arbitrary<Recipe> = fc.record({
  sources: fc.array(arrayOf([size, size]), { minLength: 2, maxLength: 3 }),
  plan: fc.array(fc.tuple(fc.constantFrom(...Object.keys(steps)), fc.nat(50), fc.nat(50)), {
    minLength: 2,
    maxLength: 10,
  }),
});

/** All results of a recipe; `after` sees each as soon as it is defined. */
async function cook({ sources, plan }: Recipe, after: (x: Tensor) => Promise<unknown>): Promise<Tensor[]> {
  const results = sources.map((array) => toTensor(array));
  for (const [name, i, j] of plan) {
    const pick = (n: number): Tensor => results[results.length - 1 - (n % Math.min(4, results.length))] as Tensor;
    const result = steps[name]?.(pick(i), pick(j));
    if (!result) throw new Error(`there is no step ${name}`);
    await after(result);
    results.push(result);
  }
  return results;
}

const nothing = async (): Promise<void> => undefined;
const compute = (x: Tensor): Promise<unknown> => x.data();
const last = (results: readonly Tensor[]): Tensor => results[results.length - 1] as Tensor;
const describeRecipe = ({ plan }: Recipe): string => plan.map(([name, i, j]) => `${name}(${i},${j})`).join(' ');

describe.each(everyDevice)('fusion on $name', (device) => {
  let close = async (): Promise<void> => undefined;
  beforeAll(async () => {
    const opened = await use(device);
    close = () => opened.close();
  });
  afterAll(() => close());

  it('a graph computed at once equals the graph computed node by node', async () => {
    await fc.assert(
      fc.asyncProperty(recipes, async (recipe) => {
        const apart = last(await cook(recipe, compute));
        const together = last(await cook(recipe, nothing));
        const expected = { shape: apart.shape, data: Array.from(await apart.data()) };
        await expectNear(together, expected, device.functionTolerance * 4, describeRecipe(recipe));
      }),
      { numRuns: device.runs },
    );
  });

  it('gradients computed at once equal those computed node by node', async () => {
    await fc.assert(
      fc.asyncProperty(recipes, async (recipe) => {
        const gradientOf = async (after: (x: Tensor) => Promise<unknown>): Promise<NaiveArray> => {
          const results = await cook(recipe, after);
          const sources = results.slice(0, recipe.sources.length);
          for (const source of sources) source.requiresGrad = true;
          last(results).sum().backward();
          const first = sources.find((source) => source.grad !== undefined)?.grad;
          return first ? { shape: first.shape, data: Array.from(await first.data()) } : { shape: [0], data: [] };
        };
        const apart = await gradientOf(compute);
        const together = await gradientOf(nothing);
        expect(together.shape).toEqual(apart.shape);
        await expectNear(toTensor(together), apart, device.functionTolerance * 20, describeRecipe(recipe));
      }),
      { numRuns: Math.max(2, Math.floor(device.runs / 2)) },
    );
  });
});

describe.each(everyDevice)('many operands on $name', (device) => {
  it('more tensors are joined than a kernel can read', async () => {
    const opened = await use(device);
    const pieces = Array.from({ length: 23 }, (_, i) => tensor([i, i + 0.5]));
    const joined = concat(pieces).reshape([23, 2]);
    await expectNear(joined.sum(1), { shape: [23], data: pieces.map((_, i) => 2 * i + 0.5) }, device.tolerance);
    await expectNear(stack(pieces, 1).select(0, 1), { shape: [23], data: pieces.map((_, i) => i + 0.5) }, 0);
    await opened.close();
  });
});

describe.each(everyDevice)('transposed products on $name', (device) => {
  it('are computed as they are read, unless something else reads them too', async () => {
    const opened = await use(device);
    const [x, w] = [tensor([1, 2, 3, 4, 5, 6]).reshape([3, 2]), tensor([1, -1, 2, 0.5]).reshape([2, 2])];
    const gradient = compile((a: Tensor, b: Tensor) => gradients(a.matmul(b.transpose()).mul(a).sum(), [b]));
    const [found] = await gradient(x, w);
    await expectNear(found as Tensor, { shape: [2, 2], data: [35, 44, 44, 56] }, device.tolerance);
    expect(gradient.stats().dispatches).toBe(1);
    const both = compile((a: Tensor, b: Tensor) => [
      a.matmul(b),
      a.matmul(b).transpose().tanh(),
      a.matmul(b).transpose(),
    ]);
    const [product, , turned] = await both(x, w);
    await expectNear(product as Tensor, { shape: [3, 2], data: [5, 0, 11, -1, 17, -2] }, device.tolerance);
    await expectNear(turned as Tensor, { shape: [2, 3], data: [5, 11, 17, 0, -1, -2] }, device.tolerance);
    await opened.close();
  });
});

describe('fusion under tight limits', () => {
  it.each([4, 5, 8])('%i buffers for each kernel give the same results', async (buffersPerKernel) => {
    const backend = createReferenceBackend();
    const limited: Backend = Object.create(backend, {
      limits: { value: { ...backend.limits, buffersPerKernel } },
    });
    let widest = 0;
    limited.compile = (program) => {
      for (const kernel of program.kernels) {
        const buffers = new Set([...kernel.inputs, ...kernel.outputs].map(({ buffer }) => buffer));
        widest = Math.max(widest, buffers.size);
      }
      return backend.compile(program);
    };
    const free = new Device('reference', async () => createReferenceBackend());
    const tight = new Device('reference', async () => limited);
    await fc.assert(
      fc.asyncProperty(recipes, async (recipe) => {
        setDefaultDevice(free);
        const wide = last(await cook(recipe, nothing));
        const expected = { shape: wide.shape, data: Array.from(await wide.data()) };
        setDefaultDevice(tight);
        await expectNear(last(await cook(recipe, nothing)), expected, 1e-12, describeRecipe(recipe));
      }),
      { numRuns: 40 },
    );
    expect(widest).toBeLessThanOrEqual(buffersPerKernel);
  });
});
