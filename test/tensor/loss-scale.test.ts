/** Loss scaling: what a step with a gradient that is no number leaves alone, and how the scale follows. */
import {
  Adam,
  AdamW,
  clipGradNorm,
  compile,
  type Device,
  type HostTensor,
  LossScale,
  type LossScaleOptions,
  type Optimizer,
  OptimizerError,
  type OptimizerOptions,
  SGD,
  type Tensor,
  tensor,
} from '@actionclip/tensor';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type TestDevice, testDevices, use } from './devices.ts';

type Parameters = ConstructorParameters<typeof AdamW>[0];
type Make = (parameters: Parameters, options: OptimizerOptions) => Optimizer;

const kinds: Record<string, Make> = {
  AdamW: (parameters, options) => new AdamW(parameters, { learningRate: 0.05, weightDecay: 0.1, ...options }),
  Adam: (parameters, options) => new Adam(parameters, { learningRate: 0.05, weightDecay: 0.1, ...options }),
  SGD: (parameters, options) => new SGD(parameters, { learningRate: 0.01, weightDecay: 0.1, ...options }),
  'SGD with momentum': (parameters, options) =>
    new SGD(parameters, { learningRate: 0.01, momentum: 0.9, weightDecay: 0.1, ...options }),
};

const first = [0.5, -1.25, 2, 0.0625, 3];
const second = [-0.75, 0.25, 1.5];

interface Run {
  readonly parameters: readonly [Tensor, Tensor];
  readonly optimizer: Optimizer;
  /** Σ factor · (a² + a³ / 4) + Σ b²: its gradient in a is no number where the factor is none. */
  readonly loss: (factor: Tensor) => Tensor;
}

function start(make: Make, options: OptimizerOptions): Run {
  const parameters = [first, second].map((values) => tensor(values, { requiresGrad: true })) as [Tensor, Tensor];
  const [a, b] = parameters;
  const optimizer = make(
    [
      ['a', a],
      ['b', b],
    ],
    options,
  );
  const loss = (factor: Tensor): Tensor =>
    a.square().add(a.mul(a).mul(a).div(4)).mul(factor).sum().add(b.square().sum());
  return { parameters, optimizer, loss };
}

const factors = [1, 2, 0.5, 1.5, 1, 3];
const overflowsAt = 2;
const maxNorm = 2;

function setRate(optimizer: Optimizer, step: number): void {
  for (const group of optimizer.groups) group.learningRate = group.baseLearningRate / (1 + step);
}

/** Steps with changing rates and the factors given; the norms before clipping. */
async function train(run: Run, given: readonly number[], capture: boolean, from = 0): Promise<number[]> {
  const { optimizer, loss } = run;
  const captured = compile((factor: Tensor): Tensor => {
    optimizer.scaleLoss(loss(factor)).backward();
    return optimizer.update({ maxNorm }) as Tensor;
  });
  const norms: number[] = [];
  for (const [i, factor] of given.entries()) {
    setRate(optimizer, from + i);
    optimizer.zeroGrad();
    const value = tensor([factor]);
    if (!capture) optimizer.scaleLoss(loss(value)).backward();
    const norm = capture ? await captured(value) : ((await optimizer.step({ maxNorm })) as Tensor);
    norms.push(await norm.item());
  }
  return norms;
}

const valuesOf = async ({ parameters: [a, b] }: Run): Promise<number[]> => [
  ...Array.from(await a.data()),
  ...Array.from(await b.data()),
];
const numbers = async (run: Run): Promise<Record<string, number[]>> =>
  Object.fromEntries(
    [...(await run.optimizer.stateDict())].map(([name, { data }]) => [name, Array.from(data as Float64Array)]),
  );
const scaleOf = async ({ optimizer }: Run): Promise<number[]> => {
  const { scale, goodSteps } = optimizer.lossScale as LossScale;
  return [await scale.item(), await goodSteps.item()];
};
const withoutScale = (state: Record<string, number[]>): [string, number[]][] =>
  Object.entries(state).filter(([name]) => !name.startsWith('lossScale'));

describe.each(testDevices)('on $name', (testDevice: TestDevice) => {
  let device: Device;
  beforeAll(async () => {
    device = await use(testDevice);
  });
  afterAll(() => device.close());

  describe.each(Object.entries(kinds))('%s', (_, make) => {
    it('moves parameters as without a scale, bit for bit, since the scale is a power of two', async () => {
      const plain = start(make, {});
      const scaled = start(make, { lossScale: new LossScale() });
      const norms = [await train(plain, factors, true), await train(scaled, factors, true)] as const;
      expect(await valuesOf(scaled)).toEqual(await valuesOf(plain));
      expect(norms[1]).toEqual(norms[0]);
      expect(withoutScale(await numbers(scaled))).toEqual(withoutScale(await numbers(plain)));
    });

    it('passes over a step with a gradient that is no number: as if it had not been, at half the scale', async () => {
      for (const bad of [Number.POSITIVE_INFINITY, Number.NaN]) {
        const [run, without] = [0, 1].map(() => start(make, { lossScale: new LossScale() })) as [Run, Run];
        const withBad = [...factors.slice(0, overflowsAt), bad, ...factors.slice(overflowsAt)];
        await train(run, withBad.slice(0, overflowsAt), true);
        const before = [await valuesOf(run), withoutScale(await numbers(run))];
        setRate(run.optimizer, overflowsAt - 1);
        const step = compile((factor: Tensor) => {
          run.optimizer.scaleLoss(run.loss(factor)).backward();
          run.optimizer.update({ maxNorm });
        });
        await step(tensor([bad]));
        expect([await valuesOf(run), withoutScale(await numbers(run))]).toEqual(before);
        expect(await scaleOf(run)).toEqual([2 ** 15, 0]);
        await train(run, factors.slice(overflowsAt), true, overflowsAt);
        await train(without, factors.slice(0, overflowsAt), true);
        await train(without, factors.slice(overflowsAt), true, overflowsAt);
        expect(await valuesOf(run)).toEqual(await valuesOf(without));
      }
    });
  });

  it('captured steps equal uncaptured ones, skipped steps among them', async () => {
    const given = [1, Number.NaN, 2, Number.POSITIVE_INFINITY, 0.5, 1.5, 3];
    const [captured, plain] = [0, 1].map(() =>
      start(kinds.AdamW as Make, { lossScale: new LossScale({ growthInterval: 2 }) }),
    ) as [Run, Run];
    const norms = [await train(captured, given, true), await train(plain, given, false)] as const;
    expect(norms[0]).toEqual(norms[1]);
    expect(await numbers(captured)).toEqual(await numbers(plain));
    expect(await valuesOf(captured)).toEqual(await valuesOf(plain));
    expect((await numbers(captured))['a.step']).toEqual([5]);
  });
});

describe('the scale', () => {
  let device: Device;
  beforeAll(async () => {
    device = await use(testDevices[1] as TestDevice);
  });
  afterAll(() => device.close());

  const run = (options: LossScaleOptions): Run => start(kinds.AdamW as Make, { lossScale: new LossScale(options) });
  const nan = Number.NaN;

  it('doubles after so many good steps in a row, and stays within its bounds', async () => {
    const own = run({ initial: 4, growthInterval: 2, minimum: 2, maximum: 8 });
    const seen: number[][] = [];
    for (const factor of [1, 1, 1, nan, 1, nan, nan, 1, 1, 1, 1, 1, 1]) {
      await train(own, [factor], true);
      seen.push(await scaleOf(own));
    }
    // [scale, good steps]
    const expected = '4,1 8,0 8,1 4,0 4,1 2,0 2,0 2,1 4,0 4,1 8,0 8,1 8,0';
    expect(seen.map(String).join(' ')).toBe(expected);
  });

  it('is part of the state: a resumed run is the unbroken one, bit for bit', async () => {
    const given = [1, nan, 2, 1, nan, 0.5, 1, 1];
    const unbroken = run({ growthInterval: 2 });
    await train(unbroken, given, true);
    const halted = run({ growthInterval: 2 });
    await train(halted, given.slice(0, 4), true);
    const state = await halted.optimizer.stateDict();
    const resumed = run({ growthInterval: 2 });
    for (const [i, parameter] of resumed.parameters.entries())
      parameter.write(await (halted.parameters[i] as Tensor).data());
    resumed.optimizer.loadStateDict(state);
    await train(resumed, given.slice(4), true, 4);
    expect(await numbers(resumed)).toEqual(await numbers(unbroken));
    expect(await valuesOf(resumed)).toEqual(await valuesOf(unbroken));
    expect(await scaleOf(resumed)).toEqual([2 ** 16, 1]);
  });

  it('is not taken by an optimizer that has none, nor needed by one that has', async () => {
    const [scaled, plain] = [run({ initial: 2 }), start(kinds.AdamW as Make, {})];
    await train(scaled, [1], true);
    const state = await scaled.optimizer.stateDict();
    expect(() => plain.optimizer.loadStateDict(state)).toThrow('lossScale.scale is unexpected');
    const half = new Map<string, HostTensor>(state);
    half.delete('lossScale.goodSteps');
    expect(() => scaled.optimizer.loadStateDict(half)).toThrow('lossScale.goodSteps is missing');
    await train(plain, [1], true);
    scaled.optimizer.loadStateDict(await plain.optimizer.stateDict());
    expect(await scaleOf(scaled)).toEqual([2, 1]);
  });

  it.each<[string, LossScaleOptions]>([
    ['a minimum of 0', { minimum: 0 }],
    ['an initial scale beyond its bounds', { initial: 4, maximum: 2 }],
    ['a maximum that is no number', { maximum: Number.POSITIVE_INFINITY }],
    ['an interval of 0', { growthInterval: 0 }],
  ])('refuses %s', (_, options) => {
    expect(() => new LossScale(options)).toThrow(OptimizerError);
  });
});

describe('clipping in the update', () => {
  it('equals clipGradNorm before it, and leaves the gradients as they are', async () => {
    const device = await use(testDevices[0] as TestDevice);
    const [inside, before] = [0, 1].map(() => start(kinds.AdamW as Make, {})) as [Run, Run];
    const one = tensor([1]);
    inside.loss(one).backward();
    before.loss(one).backward();
    const [grad] = inside.parameters.map((parameter) => parameter.grad);
    const expected = clipGradNorm(before.parameters, 0.5);
    await before.optimizer.step();
    const found = (await inside.optimizer.step({ maxNorm: 0.5 })) as Tensor;
    expect(inside.parameters[0].grad).toBe(grad);
    expect(await found.item()).toBe(await expected.item());
    expect(await valuesOf(inside)).toEqual(await valuesOf(before));
    expect(() => inside.optimizer.update({ maxNorm: 0 })).toThrow(OptimizerError);
    await device.close();
  });
});
