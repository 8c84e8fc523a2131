/** What is computed from the results of products and other reductions: a part of the same kernel, and the same numbers. */
import {
  compile,
  Device,
  dropout,
  Generator,
  randn,
  realize,
  setDefaultDevice,
  type Tensor,
  tensor,
  where,
} from '@actionclip/tensor';
import { FeedForward } from '@actionclip/transformer';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createReferenceBackend } from '../../packages/tensor/src/backends/reference/backend.ts';
import type { LoopKernel, Program } from '../../packages/tensor/src/compile/kernel.ts';
import { arrayOf, numberIn } from './arbitraries.ts';
import { expectNear } from './comparison.ts';
import { everyDevice, reference, use } from './devices.ts';
import { type NaiveArray, toTensor } from './naive.ts';

/** Steps on [..., rows, width] tensors: each takes two earlier results and a square weight, and gives another result. */
const steps: Readonly<Record<string, (a: Tensor, b: Tensor, weight: Tensor) => Tensor>> = {
  product: (a, _, weight) => a.matmul(weight).mul(0.5),
  linear: (a, b, weight) => a.matmul(weight.transpose()).add(weight.select(0, 0)).add(b),
  gradient: (a, b, weight) => a.matmul(weight).mul(b.tanh()),
  gelu: (a) => a.quickGelu(),
  add: (a, b) => a.add(b),
  flat: (a, b) =>
    a
      .reshape([-1])
      .sub(b.reshape([-1]))
      .tanh()
      .reshape(a.shape),
  above: (a, b) => where(a.gt(b), a, b),
  flipped: (a, b) =>
    a
      .flip(a.shape.length - 1)
      .mul(0.5)
      .add(b),
  columns: (a) => a.sub(a.mean(0, true)),
  scaled: (a) => a.div(a.square().sum().add(1)),
};

interface Recipe {
  readonly weight: NaiveArray;
  readonly sources: readonly NaiveArray[];
  readonly plan: readonly (readonly [string, number, number])[];
  /** Which results are asked for, as bits. */
  readonly asked: number;
}

/** Products on both sides of the smallest that backends tile, of whole vectors and not. */
const shapes = [
  [6, 5],
  [4, 8],
  [2, 3],
  [17, 4],
  [2, 5, 8],
  [1, 6],
];

const recipes: fc.Arbitrary<Recipe> = fc.constantFrom(...shapes).chain((shape) => {
  const width = shape[shape.length - 1] as number;
  const step = fc.constantFrom('product', 'linear', 'gradient', ...Object.keys(steps));
  return fc.record({
    weight: arrayOf([width, width], numberIn([-1, 1])),
    sources: fc.tuple(arrayOf(shape, numberIn([-2, 2])), arrayOf(shape, numberIn([-2, 2]))),
    plan: fc.array(fc.tuple(step, fc.nat(50), fc.nat(50)), { minLength: 2, maxLength: 8 }),
    asked: fc.integer({ min: 1, max: 255 }),
  });
});

/** All results of a recipe, in order. */
function cook({ weight, sources, plan }: Recipe): Tensor[] {
  const square = toTensor(weight);
  const results = sources.map((array) => toTensor(array));
  for (const [name, i, j] of plan) {
    const pick = (n: number): Tensor => results[results.length - 1 - (n % Math.min(4, results.length))] as Tensor;
    results.push(steps[name]?.(pick(i), pick(j), square) as Tensor);
  }
  return results.slice(sources.length);
}

/** The results that a recipe asks for, and the last one. */
const wanted = (recipe: Recipe): Tensor[] =>
  cook(recipe).filter((_, i, all) => (recipe.asked & (1 << i)) !== 0 || i === all.length - 1);

/** The largest finite element of all results of a recipe: where they cancel, this is what they were rounded to. */
async function magnitudeOf(recipe: Recipe): Promise<number> {
  const results = await Promise.all(cook(recipe).map(valuesOf));
  const finite = results.flatMap(({ data }) => data.filter(Number.isFinite));
  return finite.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
}

const valuesOf = async (x: Tensor): Promise<NaiveArray> => ({ shape: x.shape, data: Array.from(await x.data()) });

describe.each(everyDevice)('epilogues of several results on $name', (device) => {
  let opened: Device;
  let oracle: Device;
  beforeAll(async () => {
    opened = await use(device);
    oracle = await reference.open();
  });
  afterAll(() => Promise.all([opened.close(), oracle.close()]));

  it('equal results computed one by one, and those of the reference', async () => {
    await fc.assert(
      fc.asyncProperty(recipes, async (recipe) => {
        const name = recipe.plan.map((step) => step.join()).join(' ');
        setDefaultDevice(oracle);
        const expected = await Promise.all(wanted(recipe).map(valuesOf));
        const magnitude = await magnitudeOf(recipe);
        setDefaultDevice(opened);
        const together = wanted(recipe);
        await realize(together);
        for (const [k, single] of wanted(recipe).entries()) {
          const result = together[k] as Tensor;
          const tolerance = device.functionTolerance * 4;
          await expectNear(result, await valuesOf(single), tolerance, `result ${k} of ${name}, apart`, magnitude);
          await expectNear(result, expected[k] as NaiveArray, tolerance, `result ${k} of ${name}`, magnitude);
        }
      }),
      { numRuns: device.runs },
    );
  });

  it.each([8, 9])('find every place of products in several batches, with %i columns', async (columns) => {
    const waves = (shape: readonly number[], step: number): Tensor =>
      tensor(
        Array.from({ length: shape.reduce((a, b) => a * b) }, (_, i) => Math.sin(step * i)),
        { shape },
      );
    const results = (): Tensor[] => {
      const product = waves([2, 3, 5, 6], 0.7).matmul(waves([2, 3, 6, columns], 0.3));
      const sum = product.add(waves([2, 3, 5, columns], 0.9));
      return device.smallWholeNumbers ? [sum] : [sum, dropout(product, 0.5, new Generator(1))];
    };
    setDefaultDevice(oracle);
    const expected = await Promise.all(results().map(valuesOf));
    setDefaultDevice(opened);
    for (const [k, result] of results().entries())
      await expectNear(result, expected[k] as NaiveArray, device.functionTolerance * 4, `result ${k}`, 6);
  });

  it('are rounded as the buffers of narrow types between them are, bit for bit', async () => {
    const [a, b] = [0, 3].map((k) => Array.from({ length: 64 }, (_, i) => ((i * 7 + k) % 11) / 8));
    const results = (): Tensor[] => {
      const [x, y] = [tensor(a as number[]), tensor(b as number[])].map((flat) => flat.reshape([8, 8]));
      const product = (x as Tensor).matmul(y as Tensor);
      const halves = product.mul(1 / 3).to('f16');
      if (device.smallWholeNumbers) return [halves, halves.to('f32').mul(2)];
      const bytes = product.mul(64).to('i32').to('u8');
      return [halves, halves.to('f32').mul(2), bytes, bytes.to('f32').add(0.5)];
    };
    const together = results();
    await realize(together);
    for (const [k, result] of results().entries())
      expect((await valuesOf(together[k] as Tensor)).data, `result ${k}`).toEqual((await valuesOf(result)).data);
  });
});

describe('kernels of products', () => {
  /** The programs that a reference device has compiled. */
  const programs: Program[] = [];
  const backend = createReferenceBackend();
  const watched = Object.create(backend, {
    compile: {
      value: (program: Program) => {
        programs.push(program);
        return backend.compile(program);
      },
    },
  });
  const kernelsOf = async (results: readonly Tensor[]): Promise<LoopKernel[]> => {
    await realize(results);
    return programs[programs.length - 1]?.kernels as LoopKernel[];
  };
  beforeAll(() => setDefaultDevice(new Device('reference', async () => watched)));

  it('are all that the MLP of a block has, with what its backward pass needs among their outputs', async () => {
    const mlp = new FeedForward(8);
    const x = randn([6, 8]);
    await realize([x, ...mlp.parameters()]);
    const hidden = mlp.c_fc.forward(x);
    const kernels = await kernelsOf([hidden, mlp.c_proj.forward(hidden.quickGelu())]);
    expect(kernels.map(({ reduce, outputs }) => [reduce?.factors?.length, outputs.length])).toEqual([
      [2, 2],
      [2, 1],
    ]);
    const step = compile(() => {
      const loss = mlp.forward(x).square().sum();
      loss.backward();
      return [loss, ...mlp.parameters().map(({ grad }) => grad as Tensor)];
    });
    await step();
    const activations = step.stats().kernels.filter((name) => name.includes('quickGelu'));
    expect(activations.length).toBeGreaterThan(0);
    for (const name of activations) expect(name).toMatch(/contract|reduce/);
  });

  it('compute what their values load at their own point, where others want it too', async () => {
    const [x, y, z] = [randn([6, 8]), randn([8, 8]), randn([6, 8])];
    await realize([x, y, z]);
    const scale = z.exp().add(z.tanh());
    const kernels = await kernelsOf([scale, x.matmul(y).mul(scale)]);
    expect(kernels.map(({ outputs }) => outputs.length)).toEqual([2]);
  });

  it('stay apart where another point, a factor or a cycle comes between', async () => {
    const [x, y] = [randn([8, 8]), randn([8, 8])];
    await realize([x, y]);
    const product = x.matmul(y);
    expect(await kernelsOf([product, product.flip(1).tanh()])).toHaveLength(2);
    const activation = x.exp().add(x.tanh());
    expect(await kernelsOf([activation, activation.matmul(y)])).toHaveLength(2);
    const first = x.matmul(y).add(1);
    const second = first.matmul(y);
    // The sum needs both products, and the second of them needs the first.
    const kernels = await kernelsOf([first, second, first.add(second)]);
    expect(kernels.map(({ outputs }) => outputs.length)).toEqual([1, 2]);
  });
});
