// The profile of runs: every kernel by name, with the device's own time.

import { compile, openDevice, setDefaultDevice, tensor } from '@actionclip/tensor';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { WebGPUBackend } from '../../../packages/tensor/src/backends/webgpu/backend.ts';
import type { Device } from '../../../packages/tensor/src/runtime/device.ts';

let device: Device;
beforeAll(async () => {
  device = await openDevice('webgpu', { allowSoftware: true });
  setDefaultDevice(device);
});
afterAll(() => device.close());

it('counts the dispatches of all runs, and leaves results and later runs as they are', async () => {
  const backend = (await device.backend()) as WebGPUBackend;
  const step = compile((x: ReturnType<typeof tensor>) => x.matmul(x).softmax(-1));
  const x = tensor(Float32Array.from({ length: 256 }, Math.sin), { shape: [16, 16] });
  const expected = await (await step(x)).data();
  const results: unknown[] = [];
  const times = await backend.profile(async () => {
    for (let i = 0; i < 3; i++) results.push(await (await step(x)).data());
  });
  expect(results).toEqual([expected, expected, expected]);
  const { dispatches, kernels } = step.stats();
  expect(times.reduce((sum, time) => sum + time.dispatches, 0)).toBe(3 * dispatches);
  expect(new Set(times.map(({ name }) => name))).toEqual(new Set(kernels));
  for (const { milliseconds } of times) expect(milliseconds).toBeGreaterThanOrEqual(0);
  expect(times.some(({ milliseconds }) => milliseconds > 0)).toBe(true);
  expect(await (await step(x)).data()).toEqual(expected);
});

it('ends with an error of the work, and profiles no more', async () => {
  const backend = (await device.backend()) as WebGPUBackend;
  const failing = backend.profile(() => Promise.reject(new Error('of the work')));
  await expect(failing).rejects.toThrow('of the work');
  expect(await tensor([1, 2]).add(1).data()).toEqual(Float32Array.of(2, 3));
});
