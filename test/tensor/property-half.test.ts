/** Half precision: its rounding, and that fusion changes no number of it. */
import { realize, type Tensor, tensor, where } from '@actionclip/tensor';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fromHalfBits } from '../../packages/tensor/src/dtype.ts';
import { differentiate } from '../../packages/tensor/src/expr/differentiate.ts';
import { constant, half, input, load } from '../../packages/tensor/src/expr/expr.ts';
import { arrayOf } from './arbitraries.ts';
import { everyDevice, use } from './devices.ts';
import { type NaiveArray, toTensor } from './naive.ts';

const words = new Uint32Array(1);
const floats = new Float32Array(words.buffer);
/** The f32 number `steps` places after the positive number `x`. */
function after(x: number, steps: number): number {
  floats[0] = x;
  words[0] = (words[0] as number) + steps;
  return floats[0] as number;
}

/** Every half and the middle between it and the next, with its neighbours: numbers and what they are rounded to. */
function neighbourhoods(): readonly (readonly [x: number, rounded: number])[] {
  const cases: [number, number][] = [];
  for (let bits = 0; bits < 0x7c00; bits++) {
    const low = fromHalfBits(bits);
    // The step after the largest half would be 65536: from the middle on, numbers are rounded to infinity.
    const high = fromHalfBits(bits + 1);
    const middle = (low + Math.min(high, 65536)) / 2;
    cases.push([low, low], [after(middle, -1), low], [middle, bits % 2 === 0 ? low : high], [after(middle, 1), high]);
  }
  cases.push([Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY], [3e38, Number.POSITIVE_INFINITY], [1e-40, 0]);
  return [...cases, ...cases.map(([x, rounded]) => [-x, -rounded] as const), [Number.NaN, Number.NaN]];
}

/** Steps on matrices of f16: each takes two earlier results and gives another. */
const steps: Readonly<Record<string, (a: Tensor, b: Tensor) => Tensor>> = {
  add: (a, b) => a.add(b),
  mul: (a, b) => a.mul(b).mul(0.37),
  tanh: (a, b) => a.sub(b).tanh(),
  gelu: (a) => a.gelu(),
  where: (a, b) => where(a.lt(b), a, b.mul(0.3)),
  relu: (a) => a.relu().neg(),
  wide: (a, b) => a.to('f32').div(3).add(b).to('f16'),
  transpose: (a, b) => a.transpose().add(b),
  rows: (a, b) => a.sub(b.mean(1, true)),
  columns: (a, b) => a.mul(b.max(0)),
  softmax: (a) => a.softmax(1),
  matmul: (a, b) => a.matmul(b).tanh(),
};

interface Recipe {
  readonly sources: readonly NaiveArray[];
  readonly plan: readonly (readonly [string, number, number])[];
}

const recipes: fc.Arbitrary<Recipe> = fc.record({
  sources: fc.tuple(arrayOf([5, 5]), arrayOf([5, 5])),
  plan: fc.array(fc.tuple(fc.constantFrom(...Object.keys(steps)), fc.nat(50), fc.nat(50)), {
    minLength: 2,
    maxLength: 8,
  }),
});

async function cook({ sources, plan }: Recipe, each: (x: Tensor) => Promise<unknown>): Promise<Tensor[]> {
  const results = sources.map((array) => toTensor(array).to('f16'));
  for (const result of results) await each(result);
  for (const [name, i, j] of plan) {
    const pick = (n: number): Tensor => results[results.length - 1 - (n % Math.min(4, results.length))] as Tensor;
    const result = steps[name]?.(pick(i), pick(j)) as Tensor;
    await each(result);
    results.push(result);
  }
  return results.slice(sources.length);
}

describe.each(everyDevice)('half precision on $name', (device) => {
  let close = async (): Promise<void> => undefined;
  beforeAll(async () => {
    const opened = await use(device);
    close = () => opened.close();
  });
  afterAll(() => close());

  it('rounds to the nearest half, ties to even, around every half', async () => {
    const cases = neighbourhoods();
    // Nothing of f16 is stored: the rounding is a part of the kernel.
    const rounded = await tensor(Float32Array.from(cases, ([x]) => x))
      .to('f16')
      .to('f32')
      .data();
    const wrong = cases.flatMap(([x, expected], i) =>
      Object.is(rounded[i], expected) ? [] : [`${x}: ${rounded[i]}, not ${expected}`],
    );
    expect(wrong.slice(0, 10)).toEqual([]);
  });

  it('gives the same bits fused as step by step', async () => {
    await fc.assert(
      fc.asyncProperty(recipes, async (recipe) => {
        const apart = await cook(recipe, (x) => x.data());
        const fused = await cook(recipe, async () => undefined);
        await realize([fused[fused.length - 1] as Tensor]);
        const again = await cook(recipe, async () => undefined);
        await realize(again);
        for (const [k, result] of apart.entries()) {
          const expected = Array.from(await result.data());
          expect(Array.from(await (again[k] as Tensor).data())).toEqual(expected);
          if (k === apart.length - 1) expect(Array.from(await (fused[k] as Tensor).data())).toEqual(expected);
        }
      }),
      { numRuns: device.runs },
    );
  });
});

describe('the rounding as a term', () => {
  const x = input(0);

  it('is done once, folds in constants and passes the slope through', () => {
    expect(half(half(x))).toBe(half(x));
    expect(half(constant(1 + 2 ** -11))).toBe(constant(1));
    expect(half(constant(65520))).toBe(constant(Number.POSITIVE_INFINITY));
    expect(differentiate(half(x), 0)).toBe(constant(1));
    expect(half(load(0, constant(0, 'i32'), 'f32')).op).toBe('half');
  });
});
