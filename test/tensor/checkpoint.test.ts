/** Checkpointing: the same numbers from less memory. */
import {
  checkpoint,
  compile,
  type Device,
  dropout,
  Generator,
  grad,
  jvp,
  layerNorm,
  realize,
  SGD,
  scaledDotProductAttention,
  type Tensor,
  tensor,
} from '@actionclip/tensor';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { expectNear } from './comparison.ts';
import { testDevices, use } from './devices.ts';

const [rows, width] = [12, 8];
const waves = (count: number, phase: number): Tensor =>
  tensor(Array.from({ length: count }, (_, i) => Math.sin(1.7 * i + phase)));
const parametersOf = (layers: number): Tensor[] =>
  Array.from({ length: 2 * layers }, (_, i) => {
    const parameter = waves(width * width, i)
      .mul(0.4)
      .reshape([width, width]);
    return parameter;
  });

type Segment = (x: Tensor, up: Tensor, down: Tensor) => Tensor;
type Wrap = (segment: (x: Tensor) => Tensor) => (x: Tensor) => Tensor;
const kept: Wrap = (segment) => segment;

/** A residual block: normalisation, attention, two products with an activation and dropout between them. */
const block =
  (generator: Generator): Segment =>
  (x, up, down) => {
    const h = layerNorm(x, [width]);
    const mixed = scaledDotProductAttention(h, h, h);
    const inner = dropout(mixed.matmul(up).gelu(), 0.25, generator);
    return x.add(inner.matmul(down).softmax(1));
  };

/** A chain of blocks that close over their parameters, of which each is a segment. */
function chain(wrap: Wrap, generator: Generator, x: Tensor, parameters: readonly Tensor[]): Tensor {
  const one = block(generator);
  let h = x;
  for (let i = 0; i + 1 < parameters.length; i += 2) {
    const [up, down] = parameters.slice(i, i + 2) as [Tensor, Tensor];
    h = wrap((y) => one(y, up, down))(h);
  }
  return h;
}

const valuesOf = async (tensors: readonly Tensor[]): Promise<number[][]> => {
  await realize(tensors);
  return Promise.all(tensors.map(async (x) => Array.from(await x.data())));
};

describe.each(testDevices)('checkpointing on $name', (device) => {
  let opened: Device;
  beforeAll(async () => {
    opened = await use(device);
  });
  afterAll(() => opened.close());

  const start = (): Tensor => waves(rows * width, 3).reshape([rows, width]);

  it('changes no value and no gradient, not even where dropout draws', async () => {
    const parameters = parametersOf(2);
    await realize(parameters);
    const results = (wrap: Wrap): Promise<number[][]> => {
      const generator = new Generator(5);
      const loss = (x: Tensor, ...weights: Tensor[]): Tensor => chain(wrap, generator, x, weights).square().sum();
      const x = start();
      return valuesOf([loss(x, ...parameters), ...grad(loss)(x, ...parameters)]);
    };
    expect(await results(checkpoint)).toEqual(await results(kept));
  });

  it('changes nothing in a captured step, call after call', async () => {
    const step = (wrap: Wrap): (() => Promise<Tensor[]>) => {
      const generator = new Generator(7);
      const parameters = parametersOf(2);
      for (const parameter of parameters) parameter.requiresGrad = true;
      const x = start();
      const captured = compile(() => {
        const loss = chain(wrap, generator, x, parameters).square().mean();
        loss.backward();
        for (const parameter of parameters) parameter.assign(parameter.sub((parameter.grad as Tensor).mul(0.1)));
        return [loss];
      });
      return async () => {
        await realize([...parameters, x]);
        return [...(await captured()), ...parameters];
      };
    };
    const [checkpointed, plain] = [step(checkpoint), step(kept)];
    for (let i = 0; i < 3; i++) expect(await valuesOf(await checkpointed())).toEqual(await valuesOf(await plain()));
  });

  it('moves parameters in the flat storage of an optimizer like those by themselves', async () => {
    const steps = async (wrap: Wrap, layout: 'flat' | 'separate'): Promise<number[][]> => {
      const parameters = parametersOf(2);
      for (const parameter of parameters) parameter.requiresGrad = true;
      const optimizer = new SGD([{ parameters, learningRate: 0.1 }], { layout });
      const x = start();
      await realize([...parameters, x]);
      const generator = new Generator(7);
      const step = compile(() => {
        chain(wrap, generator, x, parameters).square().mean().backward();
        optimizer.update();
        return [];
      });
      for (let i = 0; i < 3; i++) await step();
      return valuesOf(parameters);
    };
    const expected = await steps(kept, 'separate');
    expect(await steps(checkpoint, 'separate')).toEqual(expected);
    expect(await steps(checkpoint, 'flat')).toEqual(await steps(kept, 'flat'));
    for (const [i, parameter] of (await steps(checkpoint, 'flat')).entries()) {
      for (const [k, value] of parameter.entries()) expect(value).toBeCloseTo(expected[i]?.[k] ?? Number.NaN, 5);
    }
  });

  it('keeps gradients of gradients and changes along a direction', async () => {
    const results = (wrap: Wrap): Tensor[] => {
      const [up, down] = parametersOf(1) as [Tensor, Tensor];
      const inner = (x: Tensor): Tensor =>
        wrap((y) => y.matmul(up).tanh().matmul(down))(x)
          .square()
          .sum();
      const slope = (x: Tensor): Tensor => (grad(inner)(x)[0] as Tensor).square().sum();
      const x = start();
      return [...grad(slope)(x), jvp(inner, [x], [waves(rows * width, 1).reshape([rows, width])]).tangent];
    };
    // Their sums are taken in another order.
    for (const [k, result] of results(checkpoint).entries()) {
      const plain = results(kept)[k] as Tensor;
      const expected = { shape: plain.shape, data: Array.from(await plain.data()) };
      await expectNear(result, expected, device.functionTolerance * 4, `result ${k}`);
    }
  });

  it('nests, and passes through what it does not compute', async () => {
    const results = (wrap: Wrap): Promise<number[][]> => {
      const [up, down] = parametersOf(1) as [Tensor, Tensor];
      const inner: Wrap = (segment) => wrap((y) => wrap(segment)(y).tanh());
      const loss = (x: Tensor, u: Tensor): Tensor =>
        inner((y) => y.matmul(u).gelu().matmul(down))(wrap((y) => y)(x)).sum();
      return valuesOf(grad(loss)(start(), up));
    };
    expect(await results(checkpoint)).toEqual(await results(kept));
  });
});

describe('the memory of a deep chain', () => {
  it('is that of its segments’ operands and of one segment', async () => {
    const device = await use(testDevices[0] as (typeof testDevices)[number]);
    const peak = async (wrap: Wrap, layers: number): Promise<number> => {
      const parameters = parametersOf(layers);
      for (const parameter of parameters) parameter.requiresGrad = true;
      const x = waves(100 * width, 3).reshape([100, width]);
      await realize([...parameters, x]);
      const generator = new Generator(5);
      const step = compile(() => {
        chain(wrap, generator, x, parameters).square().sum().backward();
        return parameters.map((parameter) => parameter.grad as Tensor);
      });
      await step();
      return step.stats().peakBytes;
    };
    const [short, long] = [4, 12];
    const growth = async (wrap: Wrap): Promise<number> => ((await peak(wrap, long)) - (await peak(wrap, short))) / 8;
    const [plain, checkpointed] = [await growth(kept), await growth(checkpoint)];
    // A layer more is one operand of its segment, two parameters and their gradients, and its part of slots that are larger
    // than what is in them.
    const layer = 4 * (100 * width + 4 * width * width);
    expect(checkpointed).toBeLessThan(1.25 * layer);
    expect(plain).toBeGreaterThan(10 * layer);
    await device.close();
  });
});
