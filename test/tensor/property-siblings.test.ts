/** Elementwise results over the same points: one kernel of several outputs, the numbers of separate ones. */
import { AdamW, compile, type Device, realize, setDefaultDevice, type Tensor, tensor, where } from '@actionclip/tensor';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { arrayOf } from './arbitraries.ts';
import { expectNear } from './comparison.ts';
import { everyDevice, reference, use } from './devices.ts';
import { type NaiveArray, toTensor } from './naive.ts';

/** Steps on matrices: each takes two earlier results and gives another. */
const steps: Readonly<Record<string, (a: Tensor, b: Tensor) => Tensor>> = {
  add: (a, b) => a.add(b),
  mul: (a, b) => a.mul(b).mul(0.25),
  tanh: (a, b) => a.sub(b).tanh(),
  gelu: (a) => a.gelu(),
  where: (a, b) => where(a.lt(b), a, b.mul(0.5)),
  bias: (a, b) => a.add(b.select(0, 1)),
  transpose: (a, b) => a.reshape([5, 6]).transpose().reshape([6, 5]).add(b),
};

interface Recipe {
  readonly sources: readonly NaiveArray[];
  readonly plan: readonly (readonly [string, number, number])[];
  /** Which results are asked for, as bits. */
  readonly asked: number;
}

const recipes: fc.Arbitrary<Recipe> = fc.record({
  sources: fc.tuple(arrayOf([6, 5]), arrayOf([6, 5])),
  plan: fc.array(fc.tuple(fc.constantFrom(...Object.keys(steps)), fc.nat(50), fc.nat(50)), {
    minLength: 2,
    maxLength: 8,
  }),
  asked: fc.integer({ min: 1, max: 1023 }),
});

function cook({ sources, plan }: Recipe): Tensor[] {
  const results = sources.map((array) => toTensor(array));
  for (const [name, i, j] of plan) {
    const pick = (n: number): Tensor => results[results.length - 1 - (n % Math.min(4, results.length))] as Tensor;
    results.push(steps[name]?.(pick(i), pick(j)) as Tensor);
  }
  return results;
}

/** The values of a parameter after each of five AdamW steps, with the rate falling. */
async function train(captured: boolean, shapes: readonly (readonly number[])[]): Promise<NaiveArray[]> {
  const parameters = shapes.map((shape, k) => {
    const size = shape.reduce((a, b) => a * b, 1);
    const parameter = tensor(
      Array.from({ length: size }, (_, i) => Math.sin(i + k)),
      { requiresGrad: true },
    );
    return parameter;
  });
  await realize(parameters);
  const optimizer = new AdamW(parameters, { learningRate: 0.05, weightDecay: 0.1 });
  const loss = (): void => {
    const terms = parameters.map((parameter) => parameter.square().mul(parameter).add(parameter).sum());
    terms.reduce((sum, term) => sum.add(term)).backward();
  };
  const step = compile(() => {
    loss();
    optimizer.update();
  });
  for (let i = 0; i < 5; i++) {
    for (const group of optimizer.groups) group.learningRate = 0.05 / (i + 1);
    if (captured) await step();
    else {
      loss();
      await optimizer.step();
      optimizer.zeroGrad();
    }
  }
  return Promise.all(
    parameters.map(async (parameter) => ({ shape: parameter.shape, data: Array.from(await parameter.data()) })),
  );
}

describe.each(everyDevice)('several results at once on $name', (device) => {
  let opened: Device;
  beforeAll(async () => {
    opened = await use(device);
  });
  afterAll(() => opened.close());

  it('equal those computed one by one', async () => {
    await fc.assert(
      fc.asyncProperty(recipes, async (recipe) => {
        const wanted = (results: readonly Tensor[]): Tensor[] =>
          results.filter((_, i) => i >= 2 && (recipe.asked & (1 << (i - 2))) !== 0);
        const together = wanted(cook(recipe));
        await realize(together);
        for (const [k, result] of wanted(cook(recipe)).entries()) {
          const expected = { shape: result.shape, data: Array.from(await result.data()) };
          const name = recipe.plan.map((step) => step.join()).join(' ');
          await expectNear(together[k] as Tensor, expected, device.functionTolerance * 4, `result ${k} of ${name}`);
        }
      }),
      { numRuns: device.runs },
    );
  });

  it('equal those computed one by one in half precision, bit for bit', async () => {
    const [a, b] = [0, 1].map((k) => Array.from({ length: 30 }, (_, i) => Math.sin(i + 7 * k)));
    const sums = (): Tensor[] => {
      const [x, y] = [tensor(a as number[]), tensor(b as number[])];
      const sum = x.to('f16').add(y.to('f16'));
      return [sum.to('f32'), x.mul(y), sum.to('f32').mul(2)];
    };
    const together = sums();
    await realize(together);
    for (const [k, result] of sums().entries()) {
      expect(Array.from(await (together[k] as Tensor).data())).toEqual(Array.from(await result.data()));
    }
  });

  it('AdamW captured over five steps equals AdamW uncaptured and that of the reference', async () => {
    const shapes = [[37], [4, 5], [1]];
    setDefaultDevice(opened);
    const [captured, plain] = [await train(true, shapes), await train(false, shapes)];
    const oracle = await reference.open();
    setDefaultDevice(oracle);
    const expected = await train(false, shapes);
    setDefaultDevice(opened);
    for (const [k, values] of expected.entries()) {
      await expectNear(toTensor(captured[k] as NaiveArray), plain[k] as NaiveArray, device.tolerance, `parameter ${k}`);
      await expectNear(toTensor(plain[k] as NaiveArray), values, device.tolerance * 10, `parameter ${k}`);
    }
    await oracle.close();
  });
});

describe('an AdamW update', () => {
  it('is one kernel for each parameter, which writes over the old values', async () => {
    const device = await use(everyDevice[1] as (typeof everyDevice)[number]);
    const parameters = [1000, 200].map((size) => tensor(new Float32Array(size).fill(0.5), { requiresGrad: true }));
    const gradients = parameters.map(({ size }) => tensor(new Float32Array(size).fill(0.1)));
    await realize([...parameters, ...gradients]);
    const optimizer = new AdamW(parameters);
    const step = compile(() => {
      parameters.forEach((parameter, i) => {
        parameter.grad = gradients[i] as Tensor;
      });
      optimizer.update();
    });
    await step();
    const { dispatches, peakBytes } = step.stats();
    // One for each parameter, one for the rates with bias correction, and one that counts the steps.
    expect(dispatches).toBe(2 + 2);
    // The parameters, their gradients, the two averages, and for each: its step, rate and decay, and three numbers.
    expect(peakBytes).toBe(4 * (4 * 1200 + 2 * 6));
    await device.close();
  });
});
