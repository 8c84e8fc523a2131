// Every candidate for heads as models have them is a valid shader within the limits that every device offers.

import { afterAll, beforeAll, expect, it } from 'vitest';
import { create } from 'webgpu';
import { attentionCandidates } from '../../../packages/tensor/src/backends/webgpu/attention/choose.ts';
import { shadersOf } from '../../../packages/tensor/src/backends/webgpu/kernels.ts';
import { Pipelines } from '../../../packages/tensor/src/backends/webgpu/pipelines.ts';
import { baseTarget } from '../../../packages/tensor/src/backends/webgpu/target.ts';
import { type AttentionCase, prepare } from './attention-cases.ts';

// Dawn aborts when its instance is collected.
const kept = globalThis as { nullInstance?: GPU };
let device: GPUDevice;
beforeAll(async () => {
  kept.nullInstance = create(['backend=null']);
  const adapter = await kept.nullInstance.requestAdapter();
  if (!adapter) throw new Error('Dawn has no null adapter');
  device = await adapter.requestDevice();
});
afterAll(() => device.destroy());

const image: AttentionCase = { batch: [1, 1], queries: 197, keys: 197, width: 64, valueWidth: 64, packed: true };
const cases: readonly AttentionCase[] = [
  image,
  { ...image, queries: 77, keys: 77, causal: true },
  { ...image, queries: 50, keys: 50, mask: 'f32' },
  { ...image, packed: false, queries: 8, keys: 33, mask: 'bool', causal: true },
  { ...image, queries: 9, keys: 9, width: 5, valueWidth: 5 },
  { ...image, queries: 9, keys: 9, width: 128, valueWidth: 128 },
];

for (const c of cases) {
  it(JSON.stringify(c), async () => {
    const pipelines = new Pipelines(device);
    for (const backward of [false, true]) {
      const { kernel } = prepare({ ...c, backward });
      const schedules = attentionCandidates(kernel, baseTarget);
      expect(schedules.length).toBeGreaterThan(0);
      const shaders = schedules.flatMap((schedule) => shadersOf(kernel, baseTarget, schedule).shaders);
      for (const { bindings } of shaders) expect(bindings.length).toBeLessThanOrEqual(baseTarget.buffers);
      await Promise.all(shaders.map((shader) => pipelines.get(shader)));
    }
  });
}
