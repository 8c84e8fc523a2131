/** Reverse mode, forward mode and second derivatives equal central differences, for every differentiable operation. */
import * as engine from '@actionclip/tensor';
import { gradients, Tensor, tensor } from '@actionclip/tensor';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  apply,
  type ElementwiseName,
  type ElementwiseRow,
  elementwise,
} from '../../packages/tensor/src/ops/elementwise.ts';
import { arrayOf, describeChain, numberIn, viewChains } from './arbitraries.ts';
import { reference, use } from './devices.ts';
import { type Case, cases } from './differentiable.ts';
import { checkForward, checkGradient, checkSecondGradient, type TensorFunction } from './finite-difference.ts';
import type { NaiveArray } from './naive.ts';

/** Elements at least 0.05 apart and away from 0, in an order that `shuffle` gives. */
function apart(shape: readonly number[]): fc.Arbitrary<NaiveArray> {
  const size = shape.reduce((a, b) => a * b, 1);
  const ladder = Array.from({ length: size }, (_, i) => (i - size / 2 + 0.25) * (3 / size));
  return fc.shuffledSubarray(ladder, { minLength: size, maxLength: size }).map((data) => ({ shape, data }));
}

const inputsOf = ({ shapes, range = [-2, 2], distinct }: Case): fc.Arbitrary<NaiveArray[]> =>
  fc.tuple(...shapes.map((shape) => (distinct ? apart(shape) : arrayOf(shape, numberIn(range)))));

const differentiable = (Object.entries(elementwise) as [ElementwiseName, ElementwiseRow][]).filter(
  ([, row]) => !row.predicate && row.domain !== 'integer' && row.domain !== 'bool',
);

/** Operands of a row away from its kinks, and from each other's elements, where extrema and quotients jump. */
function smooth({ arity, testRange = [-3, 3], kinks }: ElementwiseRow): fc.Arbitrary<NaiveArray[]> {
  const [low, high] = testRange;
  const value =
    kinks && high - low >= 1
      ? fc
          .tuple(fc.integer({ min: Math.floor(low), max: Math.ceil(high) - 1 }), fc.integer({ min: 2000, max: 8000 }))
          .map(([base, part]) => base + part / 10000)
      : numberIn(testRange);
  const shapes = [[2, 3], [3], []].slice(0, arity);
  return fc.tuple(...shapes.map((shape) => arrayOf(shape, value))).filter(([a, b]) => {
    if (!a || !b) return true;
    return a.data.every((x) => b.data.every((y) => Math.abs(x - y) > 1e-3));
  });
}

describe('derivatives', () => {
  let close = async (): Promise<void> => undefined;
  beforeAll(async () => {
    const opened = await use(reference);
    close = () => opened.close();
  });
  afterAll(() => close());

  const all = async (
    name: string,
    f: TensorFunction,
    inputs: fc.Arbitrary<NaiveArray[]>,
    numRuns: number,
  ): Promise<void> => {
    await fc.assert(
      fc.asyncProperty(inputs, async (arrays) => {
        await checkGradient(name, f, arrays);
        await checkForward(name, f, arrays);
        await checkSecondGradient(name, f, arrays);
      }),
      { numRuns },
    );
  };

  it.each(differentiable)('of %s equal central differences', async (name, row) => {
    const f: TensorFunction = (...operands) => new Tensor(apply(name, ...operands.map(({ node }) => node)));
    await all(name, f, smooth(row), 4);
  });

  it.each(Object.entries(cases))('of %s equal central differences', async (name, one) => {
    await all(name, one.f, inputsOf(one), 2);
  });

  it('of huberLoss equal central differences where the operands are equal', async () => {
    const same: NaiveArray = { shape: [3], data: [-1.5, 0, 0.25] };
    await checkSecondGradient('huberLoss', (cases.huberLoss as Case).f, [same, same]);
  });

  it('of view chains equal central differences', async () => {
    await fc.assert(
      fc.asyncProperty(viewChains(4, { most: 12 }), async (chain) => {
        const f: TensorFunction = (x) => chain.steps.reduce((value, step) => step.tensor(value), x).square();
        await checkGradient(describeChain(chain), f, [chain.source]);
        await checkForward(describeChain(chain), f, [chain.source]);
      }),
      { numRuns: 60 },
    );
  });

  it('at kinks are those of PyTorch', async () => {
    const at = async (f: TensorFunction, values: readonly number[]): Promise<number[]> => {
      const x = tensor([...values]);
      return [...((await gradients(f(x).sum(), [x])[0]?.data()) ?? [])];
    };
    expect(await at((x) => x.relu(), [-1, 0, 1])).toEqual([0, 0, 1]);
    expect(await at((x) => x.clamp(-1, 1), [-2, -1, 1, 2])).toEqual([0, 1, 1, 0]);
    expect(await at((x) => x.abs(), [-2, 0, 2])).toEqual([-1, 0, 1]);
    expect(await at((x) => x.norm(), [0, 0])).toEqual([0, 0]);
    expect(await at((x) => x.maximum(tensor([0, 0])), [0, 1])).toEqual([0.5, 1]);
    expect(await at((x) => x.max(), [3, 1, 3])).toEqual([0.5, 0, 0.5]);
    expect(await at((x) => x.prod(), [0, 2, 3])).toEqual([6, 0, 0]);
    expect(await at((x) => x.prod(), [0, 0, 3])).toEqual([0, 0, 0]);
    expect(await at((x) => engine.klDivergence(tensor([-1, -1]), x, { reduction: 'sum' }).mul(0), [0, 1])).toEqual([
      0, 0,
    ]);
  });

  it('reach a tensor inside the graph through views of it', async () => {
    const y = tensor([1, 2, 3, 4]).mul(2).reshape([2, 2]);
    const [gradient] = gradients(y.reshape([4]).square().sum(), [y]);
    expect([...((await gradient?.data()) ?? [])]).toEqual([4, 8, 12, 16]);
  });

  it('collect in grad over several calls of backward', async () => {
    const x = tensor([1, 2], { requiresGrad: true });
    x.square().sum().backward();
    x.mul(3).sum().backward();
    expect([...((await x.grad?.data()) ?? [])]).toEqual([5, 7]);
  });

  it('do not flow through detach', async () => {
    const x = tensor([1, 2]);
    const [gradient] = gradients(x.detach().mul(x).sum(), [x]);
    expect([...((await gradient?.data()) ?? [])]).toEqual([1, 2]);
  });
});
