// A captured step on WebGPU: one submit, nothing made once it is steady, memory within its plan, and no leaks.

import { AdamW, compile, type Device, openDevice, realize, type Tensor, tensor } from '@actionclip/tensor';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { WebGPUBackend } from '../../../packages/tensor/src/backends/webgpu/backend.ts';
import { between, countObjects, type ObjectCounts } from './count-objects.ts';

let device: Device;
let counts: () => ObjectCounts;
beforeAll(async () => {
  device = await openDevice('webgpu', { allowSoftware: true });
  counts = countObjects(((await device.backend()) as WebGPUBackend).device);
});
afterAll(() => device.close());

const noise = (n: number, seed: number): Float32Array =>
  Float32Array.from({ length: n }, (_, i) => Math.sin(1 + i * 12.9898 + seed * 78.233));

/** A step of a small regression: x [4, 6], y [4, 3]. */
function regression(layout: 'flat' | 'separate' = 'separate') {
  const weight = tensor(noise(18, 1), { shape: [6, 3], requiresGrad: true, device });
  const bias = tensor(noise(3, 2), { requiresGrad: true, device });
  const optimizer = new AdamW([weight, bias], { learningRate: 0.01, layout });
  const step = compile((x: Tensor, y: Tensor) => {
    const loss = x.matmul(weight).add(bias).tanh().sub(y).square().mean();
    loss.backward();
    optimizer.update();
    return loss;
  });
  const batch = (i: number) =>
    [
      tensor(noise(24, 10 + i), { shape: [4, 6], device }),
      tensor(noise(12, 90 + i), { shape: [4, 3], device }),
    ] as const;
  return { step, batch, optimizer, parameters: [weight, bias] };
}

describe('a captured training step', () => {
  it.each(['separate', 'flat'] as const)(
    'with %s parameters makes nothing after its first calls, and is one submit, with fresh arguments at every step',
    async (layout) => {
      const { step, batch, optimizer, parameters } = regression(layout);
      await realize(parameters);
      const pending: Promise<number>[] = [];
      const run = async (i: number): Promise<void> => {
        const inputs = batch(i);
        const loss = await step(...inputs);
        for (const input of inputs) input.dispose();
        pending.push(loss.item().finally(() => loss.dispose()));
        if (pending.length > 2) await pending[pending.length - 3];
      };
      for (let i = 0; i < 6; i++) await run(i);
      await Promise.all(pending);
      const before = counts();
      for (let i = 6; i < 16; i++) {
        for (const group of optimizer.groups) group.learningRate = 0.01 / i;
        await run(i);
        expect(step.stats().created).toEqual({ buffers: 0, bindGroups: 0, pipelines: 0 });
      }
      const losses = await Promise.all(pending);
      // For each step its run and the copy of its loss; its two arguments and its rate.
      expect(between(before, counts())).toMatchObject({
        ...{ buffers: 0, liveBuffers: 0, bindGroups: 0, pipelines: 0, modules: 0, submits: 20, writes: 30 },
      });
      expect(step.stats()).toMatchObject({ passes: 1, submits: 1, runs: 16, traces: 1, ran: 'webgpu' });
      expect(new Set(losses).size).toBe(16);
    },
  );

  it('gives with fresh, repeated, and computed arguments what an uncaptured one gives', async () => {
    const [captured, plain] = [regression(), regression()];
    const kept = captured.batch(0);
    for (let i = 0; i < 6; i++) {
      const inputs = i % 3 === 0 ? captured.batch(i) : i % 3 === 1 ? kept : captured.batch(i).map((x) => x.mul(2));
      const [x, y] = inputs as [Tensor, Tensor];
      const loss = await (await captured.step(x, y)).item();
      const [weight, bias] = plain.parameters as [Tensor, Tensor];
      const expected = x.matmul(weight).add(bias).tanh().sub(y).square().mean();
      plain.optimizer.zeroGrad();
      expected.backward();
      await plain.optimizer.step();
      expect(loss).toBe(await expected.item());
    }
    const read = (tensors: readonly Tensor[]) => Promise.all(tensors.map(async (t) => [...(await t.data())]));
    expect(await read(captured.parameters)).toEqual(await read(plain.parameters));
  });

  it('stays within its planned memory', async () => {
    const own = await openDevice('webgpu', { allowSoftware: true });
    const weight = tensor(noise(64 * 64, 1), { shape: [64, 64], requiresGrad: true, device: own });
    const optimizer = new AdamW([weight]);
    const step = compile((x: Tensor) => {
      const loss = x.mul(weight).sum(0).tanh().mul(weight).square().mean();
      loss.backward();
      optimizer.update();
      return loss;
    });
    const fresh = (i: number) => tensor(noise(64 * 64, i), { shape: [64, 64], device: own });
    const planned = await step.prepare(fresh(0));
    expect(planned).toMatchObject({ runs: 0, traces: 1 });
    const { memory, peakBytes } = planned;
    expect(Object.values(memory).reduce((sum, bytes) => sum + bytes, 0)).toBe(peakBytes);
    expect(memory.tensors).toBeGreaterThanOrEqual(3 * 4 * 64 * 64);
    expect(memory.arguments).toBe(4 * 64 * 64);
    for (let i = 0; i < 5; i++) {
      const loss = await step(fresh(i));
      expect((await own.memory()).peak).toBeLessThanOrEqual(peakBytes);
      loss.dispose();
    }
    expect((await own.memory()).live).toBeGreaterThan(0.9 * (peakBytes - memory.program) - 1024);
    await own.close();
  });
});

it('a captured function gives back the memory that it keeps between calls, and takes it again', async () => {
  const own = await openDevice('webgpu', { allowSoftware: true });
  // Longer than the rows that become one kernel: the inner sum needs memory between two.
  const x = tensor(noise(20_000, 1), { device: own });
  const f = compile((y: Tensor) => y.sub(y.exp().sum()).exp().sum());
  const first = await (await f(x)).item();
  await (await f(x)).item();
  const held = (await own.memory()).live;
  await f.trim();
  expect((await own.memory()).live).toBeLessThan(held);
  expect(await (await f(x)).item()).toBe(first);
  expect(f.stats().traces).toBe(1);
  await own.close();
});

it('uncaptured computations of one moment go to the device together', async () => {
  const x = tensor(noise(5, 1), { device });
  await realize([x.add(0)]);
  const results = [x.mul(2), x.mul(3), x.mul(4), x.mul(5)];
  const before = counts();
  await Promise.all(results.map((result) => realize([result])));
  expect(between(before, counts()).submits).toBe(1);
  const [host] = await Promise.all([x.data()]);
  for (const [i, result] of results.entries()) {
    expect([...(await result.data())]).toEqual([...host].map((value) => Math.fround(value * (i + 2))));
  }
});

it('a computation that was sent together with one that fails is still done', async () => {
  const x = tensor(noise(5, 1), { device });
  const gone = tensor(noise(5, 2), { device });
  const good = x.mul(7);
  const bad = gone.mul(7);
  gone.dispose();
  const outcomes = await Promise.allSettled([realize([good]), realize([bad])]);
  expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
  expect([...(await good.data())]).toEqual([...(await x.data())].map((value) => Math.fround(value * 7)));
});

describe('nothing leaks', () => {
  it('over 1,000 captured steps', async () => {
    const { step, batch } = regression();
    const run = async (i: number): Promise<void> => {
      const inputs = batch(i % 7);
      const loss = await step(...inputs);
      for (const tensor of [...inputs, loss]) tensor.dispose();
    };
    for (let i = 0; i < 10; i++) await run(i);
    const before = counts();
    for (let i = 0; i < 990; i++) await run(i);
    expect(between(before, counts())).toMatchObject({
      ...{ buffers: 0, liveBuffers: 0, bindGroups: 0, pipelines: 0, modules: 0, submits: 990 },
    });
    await step.dispose();
  });

  it('over 1,000 uncaptured runs of changing shapes', async () => {
    const own = await openDevice('webgpu', { allowSoftware: true });
    const count = countObjects(((await own.backend()) as WebGPUBackend).device);
    const run = async (i: number): Promise<void> => {
      const n = 1 + ((i * 37) % 1000);
      const x = tensor(noise(n, i), { device: own });
      const y = x.mul(2).exp().sum();
      const z = x.sub(y);
      await realize([z]);
      for (const tensor of [x, z]) tensor.dispose();
    };
    for (let i = 0; i < 300; i++) await run(i);
    const before = count();
    for (let i = 300; i < 1000; i++) await run(i);
    const { liveBuffers, pipelines, modules } = between(before, count());
    expect(liveBuffers).toBeLessThanOrEqual(16);
    expect({ pipelines, modules }).toEqual({ pipelines: 0, modules: 0 });
    expect((await own.memory()).live).toBe(0);
    await own.close();
  });

  it('when captured functions are given up', async () => {
    const own = await openDevice('webgpu', { allowSoftware: true });
    const count = countObjects(((await own.backend()) as WebGPUBackend).device);
    for (let i = 0; i < 20; i++) {
      const x = tensor(noise(50, i), { device: own });
      const f = compile((y: Tensor) => y.sub(y.sum()).square());
      const result = await f(x);
      for (const tensor of [x, result]) tensor.dispose();
      await f.dispose();
      expect((await own.memory()).live).toBe(0);
    }
    expect(count().liveBuffers).toBeLessThanOrEqual(8);
    await own.close();
  });
});
