/** Reductions of rows and what follows from them: one kernel where a device has row kernels, and the same numbers. */
import {
  compile,
  type Device,
  gradients,
  layerNorm,
  openDevice,
  setDefaultDevice,
  type Tensor,
  tensor,
  where,
} from '@actionclip/tensor';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Program } from '../../packages/tensor/src/compile/kernel.ts';
import { arrayOf, numberIn } from './arbitraries.ts';
import { expectNear } from './comparison.ts';
import { type NaiveArray, toTensor } from './naive.ts';
import { spied } from './spied.ts';

const separate = spied([]);
const joined = spied(['rows']);
const withColumns = spied(['rows', 'columns']);
let wasm: Device;
beforeAll(async () => {
  wasm = await openDevice('wasm', { threads: 2, engineFlags: false });
});
afterAll(() => wasm.close());

const lengths = [1, 3, 4, 5, 31, 64, 197, 1000];
const lastAxis = (x: Tensor): number => x.shape.length - 1;
const means = (x: Tensor): Tensor => x.mean(lastAxis(x), true);

/** Steps on [.., length] tensors: each takes two earlier results and a weight per column, and gives another result. */
const steps: Readonly<Record<string, (a: Tensor, b: Tensor, weight: Tensor) => Tensor>> = {
  add: (a, b) => a.add(b),
  scale: (a, b, weight) => a.mul(weight).sub(b.mul(0.5)),
  exp: (a) => a.tanh().exp(),
  centre: (a) => a.sub(means(a)),
  unit: (a) => a.div(a.square().sum(lastAxis(a), true).sqrt().add(1)),
  // Continuous where both are equal, so that rounding cannot decide.
  above: (a, b) => where(a.gt(means(b)), a, means(b)),
  largest: (a, b) => a.sub(b.max(lastAxis(b), true)),
  least: (a, b, weight) => b.min(lastAxis(b), true).add(a.mul(weight)),
  softmax: (a) => a.softmax(lastAxis(a)),
  logSoftmax: (a) => a.logSoftmax(lastAxis(a)),
  normalize: (a, _, weight) => layerNorm(a, [weight.shape[0] as number], weight, weight.mul(0.5)),
  flipped: (a) => a.flip(lastAxis(a)).sub(means(a)),
};

interface Case {
  readonly shape: readonly number[];
  readonly sources: readonly NaiveArray[];
  readonly weight: NaiveArray;
  readonly plan: readonly (readonly [string, number, number])[];
}

const cases = (names: readonly string[], most: number): fc.Arbitrary<Case> =>
  fc.tuple(fc.constantFrom(...lengths), fc.constantFrom([1], [2], [5], [2, 3])).chain(([length, outer]) =>
    fc.record({
      shape: fc.constant([...outer, length]),
      sources: fc.tuple(arrayOf([...outer, length]), arrayOf([...outer, length])),
      weight: arrayOf([length], numberIn([-2, 2])),
      plan: fc.array(fc.tuple(fc.constantFrom(...names), fc.nat(50), fc.nat(50)), { minLength: 1, maxLength: most }),
    }),
  );

function cook({ sources, weight, plan }: Case): { inputs: Tensor[]; results: Tensor[]; result: Tensor } {
  const inputs = [...sources, weight].map((array) => toTensor(array));
  for (const input of inputs) input.requiresGrad = true;
  const results = inputs.slice(0, 2);
  const columns = inputs[2] as Tensor;
  for (const [name, i, j] of plan) {
    const pick = (n: number): Tensor => results[results.length - 1 - (n % Math.min(3, results.length))] as Tensor;
    results.push(steps[name]?.(pick(i), pick(j), columns) as Tensor);
  }
  return { inputs, results, result: results[results.length - 1] as Tensor };
}

const hostOf = async (x: Tensor): Promise<NaiveArray> => ({ shape: x.shape, data: Array.from(await x.data()) });

/** The same tensors on a device: computed there at once. */
async function on(device: Device, make: () => readonly Tensor[]): Promise<NaiveArray[]> {
  setDefaultDevice(device);
  const results = make();
  return Promise.all(results.map(hostOf));
}

/** The largest finite element of a chain's results: where they cancel, this is what they were rounded to. */
async function magnitudeOf(example: Case): Promise<number> {
  const results = await on(separate.device, () => cook(example).results);
  const finite = results.flatMap(({ data }) => data.filter(Number.isFinite));
  return finite.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
}

async function expectAgreement(
  make: () => readonly Tensor[],
  tolerance: number,
  label: string,
  magnitude = 0,
): Promise<void> {
  const expected = await on(separate.device, make);
  const compare = async (device: Device, bound: number): Promise<void> => {
    setDefaultDevice(device);
    const results = make();
    for (const [k, result] of results.entries()) {
      await expectNear(result, expected[k] as NaiveArray, bound, `${label}, result ${k} on ${device.name}`, magnitude);
    }
  };
  await compare(joined.device, 1e-12);
  await compare(withColumns.device, 1e-12);
  await compare(wasm, tolerance);
}

const label = ({ shape, plan }: Case): string => `[${shape}] ${plan.map((step) => step.join()).join(' ')}`;
const withGradients = (example: Case): readonly Tensor[] => {
  const { inputs, result } = cook(example);
  const slopes = toTensor({
    shape: result.shape,
    data: Array.from({ length: result.size }, (_, i) => ((i * 7) % 5) - 2),
  });
  return [
    result,
    ...gradients(
      result.mul(slopes).sum(),
      inputs.filter((input) => dependsOn(result, input)),
    ),
  ];
};

/** Whether there is a gradient: inputs that a recipe never uses have none. */
function dependsOn(result: Tensor, input: Tensor): boolean {
  const seen = new Set<unknown>();
  const visit = (node: { readonly inputs: readonly never[] }): boolean => {
    if ((node as unknown) === input.node) return true;
    if (seen.has(node)) return false;
    seen.add(node);
    return node.inputs.some(visit);
  };
  return visit(result.node as never);
}

describe('row kernels', () => {
  it.each(lengths)('softmax, logSoftmax and layerNorm of rows of %i, and their gradients', async (length) => {
    for (const name of ['softmax', 'logSoftmax', 'normalize']) {
      await fc.assert(
        fc.asyncProperty(arrayOf([6, length]), arrayOf([length], numberIn([-2, 2])), async (source, weight) => {
          const example: Case = { shape: [6, length], sources: [source, source], weight, plan: [[name, 0, 0]] };
          await expectAgreement(() => withGradients(example), 2e-5, `${name} of rows of ${length}`);
        }),
        { numRuns: 3 },
      );
    }
  });

  it('any chain of steps along rows', async () => {
    await fc.assert(
      fc.asyncProperty(cases(Object.keys(steps), 7), async (example) =>
        expectAgreement(() => [cook(example).result], 1e-4, label(example), await magnitudeOf(example)),
      ),
      { numRuns: 60 },
    );
  });

  it('gradients of any chain of steps along rows', async () => {
    await fc.assert(
      fc.asyncProperty(
        cases(['add', 'scale', 'exp', 'centre', 'unit', 'softmax', 'logSoftmax', 'normalize'], 3),
        (example) => expectAgreement(() => withGradients(example), 5e-4, label(example)),
      ),
      { numRuns: 30 },
    );
  });

  it('masks of minus infinity, views and other element types', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...lengths.filter((length) => length > 1)),
        fc.constantFrom('f32', 'f16', 'i32'),
        fc.nat(1000),
        async (length, dtype, seed) => {
          const numbers = Array.from({ length: 6 * length }, (_, i) => ((i * 31 + seed * 7) % 23) - 11);
          const make = (): readonly Tensor[] => {
            const source = tensor(numbers)
              .reshape([length, 2, 3])
              .to(dtype as 'f32')
              .permute(1, 2, 0);
            const hidden = Array.from({ length: 3 * length }, (_, i) =>
              (i + seed) % 3 === 0 && i % length > 0 ? -Infinity : 0,
            );
            const scores = source
              .to('f32')
              .mul(0.25)
              .add(tensor(hidden).reshape([3, length]));
            const weights = scores.softmax(2);
            return [
              weights,
              weights.mul(source.to('f32')).sum(2),
              scores.logSoftmax(2).exp(),
              source.sub(source.max(2, true)),
            ];
          };
          await expectAgreement(make, 2e-5, `${dtype} rows of ${length}`);
        },
      ),
      { numRuns: 24 },
    );
  });

  it('softmax and layerNorm are one kernel each, forward and backward', async () => {
    setDefaultDevice(joined.device);
    const waves = (...shape: number[]): Tensor => {
      const size = shape.reduce((a, b) => a * b, 1);
      return tensor(Array.from({ length: size }, (_, i) => Math.sin(i))).reshape(shape);
    };
    const [x, weight, bias, slopes] = [waves(4, 3, 20), waves(20), waves(20), waves(4, 3, 20)] as const;
    await Promise.all([x, weight, bias, slopes].map((input) => input.data()));
    x.requiresGrad = true;
    const kernelsOf = async (make: () => Tensor[]): Promise<readonly string[]> => {
      const step = compile(make);
      await step();
      return step.stats().kernels;
    };
    expect(await kernelsOf(() => [x.softmax(2)])).toHaveLength(1);
    expect(await kernelsOf(() => [layerNorm(x, [20], weight, bias)])).toHaveLength(1);
    expect(await kernelsOf(() => gradients(x.softmax(2).mul(slopes).sum(), [x]))).toHaveLength(1);
    expect(await kernelsOf(() => gradients(layerNorm(x, [20], weight, bias).mul(slopes).sum(), [x]))).toHaveLength(1);
  });

  it('the gradients of scale and shift are folded in the kernel of the gradient of x, where the device folds columns', async () => {
    setDefaultDevice(withColumns.device);
    const waves = (...shape: number[]): Tensor => {
      const size = shape.reduce((a, b) => a * b, 1);
      return tensor(Array.from({ length: size }, (_, i) => Math.sin(i))).reshape(shape);
    };
    const [x, weight, bias, slopes] = [waves(10, 9, 20), waves(20), waves(20), waves(10, 9, 20)] as const;
    await Promise.all([x, weight, bias, slopes].map((input) => input.data()));
    for (const input of [x, weight, bias]) input.requiresGrad = true;
    const all = compile(() => gradients(layerNorm(x, [20], weight, bias).mul(slopes).sum(), [x, weight, bias]));
    await all();
    expect(all.stats().kernels).toHaveLength(1);
    // Sums of the columns of what another kernel computes, and sums of several matrices of which one is the same.
    const sums = compile(() => {
      const y = x.tanh().mul(slopes);
      return [y, y.sum([0, 1]), x.mul(slopes).sum([0, 1]), x.max(0).max(0)];
    });
    await sums();
    expect(sums.stats().kernels.length).toBeLessThanOrEqual(3);
  });

  it('only devices that have row kernels are given them', () => {
    const kinds = ({ programs }: { programs: Program[] }): Set<string> =>
      new Set(programs.flatMap(({ kernels }) => kernels.map(({ kind }) => kind)));
    expect(kinds(separate).has('rows')).toBe(false);
    expect(kinds(joined).has('rows')).toBe(true);
  });
});
