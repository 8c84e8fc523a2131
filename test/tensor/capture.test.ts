/** Captured functions: the same numbers as without capture, what may vary between runs, and what they forbid. */
import {
  AdamW,
  CaptureError,
  clipGradNorm,
  compile,
  cosineSchedule,
  type Device,
  DisposedError,
  defineOp,
  dropout,
  Generator,
  live,
  openDevice,
  Tensor,
  tensor,
} from '@actionclip/tensor';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const open = {
  reference: () => openDevice('reference'),
  wasm: () => openDevice('wasm', { threads: 1 }),
  webgpu: () => openDevice('webgpu', { allowSoftware: true }),
};
const names = ['reference', 'wasm', 'webgpu'] as const;
const devices: Record<string, Device> = {};
beforeAll(async () => {
  for (const name of names) devices[name] = await open[name]();
});
afterAll(async () => {
  for (const device of Object.values(devices)) await device.close();
});

/** Numbers in (-1, 1) that look random. */
const noise = (count: number, seed: number): Float32Array =>
  Float32Array.from({ length: count }, (_, i) => Math.sin(12.9898 * (i + 1) + 78.233 * seed));

const bits = (values: ArrayLike<number>): number[] => Array.from(values, (value) => (Object.is(value, -0) ? 0 : value));

describe.each(names)('on %s', (name) => {
  const on = (): { device: Device } => ({ device: devices[name] as Device });
  const input = (count: number, shape: readonly number[], seed: number): Tensor =>
    tensor(noise(count, seed), { shape, ...on() });

  /** Two layers with dropout between them, trained on changing batches with a changing rate. */
  function training(): {
    forward: (x: Tensor, y: Tensor) => [Tensor, Tensor];
    optimizer: AdamW;
    weights: [Tensor, Tensor];
  } {
    const weights: [Tensor, Tensor] = [input(12, [4, 3], 1), input(6, [3, 2], 2)];
    for (const weight of weights) weight.requiresGrad = true;
    const [first, second] = weights;
    const generator = new Generator(7);
    const optimizer = new AdamW(
      [{ parameters: [['first', first]], learningRate: 0.05 }, { parameters: [['second', second]] }],
      { learningRate: 0.01, weightDecay: 0.1 },
    );
    const forward = (x: Tensor, y: Tensor): [Tensor, Tensor] => {
      optimizer.zeroGrad();
      const hidden = dropout(x.matmul(first).relu(), 0.25, generator);
      const loss = hidden.matmul(second).sub(y).square().mean();
      loss.backward();
      return [loss, clipGradNorm(weights, 0.5)];
    };
    return { forward, optimizer, weights };
  }
  const schedule = cosineSchedule({ epochs: 7, warmupEpochs: 2 });
  const setRate = (optimizer: AdamW, step: number): void => {
    for (const group of optimizer.groups) group.learningRate = group.baseLearningRate * schedule(step + 0.5);
  };
  const batch = (step: number): [Tensor, Tensor] => [input(20, [5, 4], 10 + step), input(10, [5, 2], 50 + step)];

  it('seven captured steps equal seven uncaptured ones, bit for bit', async () => {
    const [plain, captured] = [training(), training()];
    const step = compile((x: Tensor, y: Tensor) => {
      const results = captured.forward(x, y);
      captured.optimizer.update();
      return results;
    });
    for (let i = 0; i < 7; i++) {
      setRate(plain.optimizer, i);
      setRate(captured.optimizer, i);
      const expected = plain.forward(...batch(i));
      await plain.optimizer.step();
      const found = await step(...batch(i));
      for (const [k, tensor] of found.entries()) expect(await tensor.item()).toBe(await (expected[k] as Tensor).item());
      for (const [k, weight] of captured.weights.entries())
        expect(bits(await weight.data())).toEqual(bits(await (plain.weights[k] as Tensor).data()));
    }
    const states = [await plain.optimizer.stateDict(), await captured.optimizer.stateDict()] as const;
    expect(states[1]).toEqual(states[0]);
    expect(states[0].get('first.step')?.data[0]).toBe(7);
    expect(step.stats()).toMatchObject({ traces: 1, runs: 7, ran: name });
  });

  it('draws of a captured function equal those of an uncaptured one, in the order of the calls', async () => {
    const draw = (generator: Generator): ((x: Tensor) => Tensor) => {
      return (x) => {
        const first = generator.uniform([4]);
        generator.normal([3]); // Never used: it counts all the same.
        const second = generator.normal([4]);
        return second.sub(first).mul(dropout(x, 0.5, generator));
      };
    };
    const [plain, inside] = [new Generator(3), new Generator(3)];
    const captured = compile(draw(inside));
    const x = input(4, [4], 1);
    const seen = new Set<string>();
    for (let i = 0; i < 4; i++) {
      const expected = bits(await draw(plain)(x).data());
      expect(bits(await (await captured(x)).data())).toEqual(expected);
      seen.add(expected.join());
      expect(inside.counter).toBe(plain.counter);
    }
    expect(seen.size).toBe(4);
  });

  it('memory does not grow over 200 captured steps', async () => {
    const own = await open[name]();
    const weight = tensor(noise(4096, 1), { requiresGrad: true, device: own });
    const optimizer = new AdamW([weight]);
    const x = tensor(noise(4096, 2), { device: own });
    const step = compile((data: Tensor) => {
      const loss = weight.mul(data).sub(1).square().mean();
      loss.backward();
      optimizer.update();
      return loss;
    });
    const sizes = new Set<number>();
    for (let i = 0; i < 200; i++) {
      const loss = await step(x);
      loss.dispose();
      if (i > 0) sizes.add((await own.memory()).live);
    }
    expect(sizes.size).toBe(1);
    // The weight, two averages, the data, the product and the gradient: the update is in place.
    const { peakBytes, memory } = step.stats();
    expect(peakBytes).toBeGreaterThanOrEqual(4 * 4 * 4096);
    expect(peakBytes - memory.program).toBeLessThan(6.1 * 4 * 4096);
    await own.close();
  });

  it('a function captured for evaluation sees the weights of now', async () => {
    const { forward, optimizer, weights } = training();
    const evaluate = compile((x: Tensor) => x.matmul(weights[0]));
    const train = compile((x: Tensor, y: Tensor) => {
      const [loss] = forward(x, y);
      optimizer.update();
      return loss;
    });
    const [x] = batch(0);
    for (let i = 0; i < 3; i++) {
      expect(bits(await (await evaluate(x)).data())).toEqual(bits(await x.matmul(weights[0]).data()));
      await train(...batch(i));
      forward(...batch(i));
      await optimizer.step();
    }
    expect(evaluate.stats()).toMatchObject({ traces: 1, runs: 3 });
  });
});

describe('a captured function', () => {
  const on = (): { device: Device } => ({ device: devices.reference as Device });
  const values = (...data: number[]): Tensor => tensor(data, on());

  it('is traced again for arguments of another shape or dtype, and not for those it knows', async () => {
    let traces = 0;
    const double = compile((x: Tensor) => {
      traces++;
      return x.mul(2);
    });
    for (const x of [values(1, 2), values(3, 4), values(1), tensor([1, 2], { dtype: 'i32', ...on() }), values(5)])
      expect(bits(await (await double(x)).data())).toEqual(bits(await x.mul(2).data()));
    expect(traces).toBe(3);
    expect(double.stats()).toMatchObject({ traces: 3, runs: 5 });
  });

  it('keeps to the device that it was traced on', async () => {
    const double = compile((x: Tensor) => x.mul(2));
    await double(values(1));
    const elsewhere = tensor([1], { device: devices.wasm as Device });
    await expect(double(elsewhere)).rejects.toThrow(
      'argument 0 is on device wasm, and the function was traced on reference',
    );
  });

  it('tells what a run does', async () => {
    const f = compile((x: Tensor) => x.mul(2).add(1).sum());
    expect(() => f.stats()).toThrow(CaptureError);
    await f(values(1, 2, 3));
    const stats = f.stats();
    expect(stats).toMatchObject({ dispatches: 1, passes: 1, submits: 1, pipelines: 1, ran: 'reference' });
    expect(stats.kernels).toEqual([expect.stringContaining('mul')]);
    expect(stats.peakBytes).toBe(3 * 4 + 4);
  });

  it.each<[string, (x: Tensor) => unknown, string]>([
    ['reading elements', (x) => x.data(), 'reading a tensor inside a captured function'],
    ['reading a number', (x) => x.sum().item(), 'reading a tensor inside a captured function'],
    ['Math.random', () => Math.random(), 'Math.random inside a captured function'],
    ['new Date', () => new Date(), 'new Date inside a captured function'],
    ['Date()', () => Date(), 'Date() inside a captured function'],
    ['Date.now', () => Date.now(), 'Date.now inside a captured function'],
  ])('forbids %s by name, even where the error is caught inside', async (_, forbidden, message) => {
    const throws = compile((x: Tensor) => {
      forbidden(x);
      return x.mul(2);
    });
    await expect(throws(values(1))).rejects.toThrow(CaptureError);
    await expect(throws(values(1))).rejects.toThrow(message);
    const swallows = compile((x: Tensor) => {
      try {
        forbidden(x);
      } catch {
        return x;
      }
      return x.mul(2);
    });
    await expect(swallows(values(1))).rejects.toThrow(message);
    expect(Math.random()).toBeLessThan(1);
    expect(new Date(0).getTime()).toBe(0);
    expect(Date.now()).toBeGreaterThan(0);
  });

  it('may not be asynchronous, nor call another one', async () => {
    const wait = (async (x: Tensor) => x) as unknown as (x: Tensor) => Tensor;
    await expect(compile(wait)(values(1))).rejects.toThrow('asynchronous');
    const inner = compile((x: Tensor) => x.mul(2));
    const outer = compile((x: Tensor) => {
      void inner(x).catch(() => undefined);
      return x.mul(3);
    });
    await expect(outer(values(1))).rejects.toThrow(CaptureError);
  });

  it('that throws leaves values, gradients and step counts as they were', async () => {
    const weight = tensor([1, 2], { requiresGrad: true, ...on() });
    const optimizer = new AdamW([['weight', weight]], { learningRate: 0.1 });
    let fail = true;
    const step = compile((x: Tensor) => {
      const loss = weight.mul(x).square().sum();
      loss.backward();
      optimizer.update();
      if (fail) throw new RangeError('no');
      return loss;
    });
    await expect(step(values(1, 1))).rejects.toThrow(RangeError);
    expect(bits(await weight.data())).toEqual([1, 2]);
    expect(weight.grad).toBeUndefined();
    fail = false;
    expect(await (await step(values(1, 1))).item()).toBe(5);
    expect((await optimizer.stateDict()).get('weight.step')?.data[0]).toBe(1);
  });

  it('asks live values at every run, not while it is traced, in the order in which they were made', async () => {
    const asked: string[] = [];
    let now = 0;
    const f = compile((x: Tensor) => {
      const a = live(() => [asked.push('a'), ++now], [2], 'f32', devices.reference);
      const b = live(() => [asked.push('b'), ++now], [2], 'f32', devices.reference);
      expect(asked.length % 2).toBe(0);
      return x.mul(b.select(0, 1)).add(a.select(0, 1));
    });
    expect(bits(await (await f(values(10))).data())).toEqual([10 * 2 + 1]);
    expect(bits(await (await f(values(10))).data())).toEqual([10 * 4 + 3]);
    expect(asked).toEqual(['a', 'b', 'a', 'b']);
  });

  it('outside of which a live value is asked once', async () => {
    let count = 0;
    const x = live(() => [++count], [1], 'f32', devices.reference);
    expect(await x.add(0).item()).toBe(1);
    expect(await x.add(0).item()).toBe(1);
    expect(count).toBe(1);
  });

  it('sees weights that were loaded, and does not count a run whose argument was given up', async () => {
    const weight = tensor([1], { requiresGrad: true, ...on() });
    const optimizer = new AdamW([['weight', weight]], { learningRate: 0.5, weightDecay: 0 });
    const step = compile((x: Tensor) => {
      weight.mul(x).sum().backward();
      optimizer.update();
    });
    await step(values(1));
    const state = await optimizer.stateDict();
    const before = (await weight.data())[0] as number;
    await step(values(1));
    const after = await weight.data();
    weight.write(Float64Array.of(before));
    optimizer.loadStateDict(state);
    const gone = values(1);
    gone.dispose();
    await expect(step(gone)).rejects.toThrow(DisposedError);
    await step(values(1));
    expect(bits(await weight.data())).toEqual(bits(after));
    expect((await optimizer.stateDict()).get('weight.step')?.data[0]).toBe(2);
  });

  it('counts the steps of every parameter by itself', async () => {
    const parameters = (): [Tensor, Tensor] =>
      [1, 2].map((value) => tensor([value], { requiresGrad: true, ...on() })) as [Tensor, Tensor];
    const train = async (together: (a: Tensor, b: Tensor, optimizer: AdamW) => () => Promise<void>) => {
      const [a, b] = parameters();
      const optimizer = new AdamW([a, b], { learningRate: 0.1 });
      const both = together(a, b, optimizer);
      await both();
      optimizer.zeroGrad();
      a.square().sum().backward();
      await optimizer.step();
      optimizer.zeroGrad();
      await both();
      return [...(await optimizer.stateDict()).values()];
    };
    const captured = await train((a, b, optimizer) =>
      compile(() => {
        a.mul(b).sum().backward();
        optimizer.update();
      }),
    );
    const plain = await train((a, b, optimizer) => async () => {
      a.mul(b).sum().backward();
      await optimizer.step();
    });
    expect(captured).toEqual(plain);
    expect(captured.filter(({ dtype }) => dtype === 'i32').map(({ data }) => data[0])).toEqual([3, 2]);
  });

  it('tells operations of one name apart by what they do, and follows the tensors that they close over', async () => {
    const factor = values(5);
    const timesTwo = defineOp({ name: 'mine', forward: ([x]) => (x as Tensor).mul(2) });
    const timesFactor = defineOp({ name: 'mine', forward: ([x]) => (x as Tensor).mul(factor) });
    const x = values(1);
    expect(await timesTwo([x], undefined).item()).toBe(2);
    expect(await timesFactor([x], undefined).item()).toBe(5);
    expect(await (await compile((y: Tensor) => timesFactor([y], undefined))(x)).item()).toBe(5);
  });

  it('returns tensors only', async () => {
    await expect(compile((x: Tensor) => x.size)(values(1))).rejects.toThrow('something else than tensors');
    const both = compile((x: Tensor) => [x, x.neg()] as const);
    const [same, negative] = await both(values(2));
    expect([await same.item(), await negative.item()]).toEqual([2, -2]);
  });

  it('needs stored values where it assigns', async () => {
    const pending = new Tensor(values(1, 2).mul(2).node);
    const f = compile(() => {
      pending.assign(pending.add(1));
    });
    await expect(f()).rejects.toThrow('without a stored value');
    expect(bits(await pending.data())).toEqual([2, 4]);
    await f();
    expect(bits(await pending.data())).toEqual([3, 5]);
  });
});
