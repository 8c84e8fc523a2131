// The WebGPU backend in Chromium: the same kernels, with the same meaning, through `navigator.gpu`.

import { afterAll, beforeAll, expect, it } from 'vitest';
import { createWebGPUBackend, type WebGPUBackend } from '../../packages/tensor/src/backends/webgpu/backend.ts';
import { contraction, conversion, examples, reductionCase, scatterCase } from '../tensor/webgpu/examples.ts';
import { expectMeaning, programOf } from '../tensor/webgpu/interpret.ts';

let backend: WebGPUBackend;
beforeAll(async () => {
  backend = await createWebGPUBackend({ allowSoftware: true });
});
afterAll(() => backend.close());

it('computes what the kernels mean', async () => {
  for (const example of [
    conversion('u8', 'f16', 11),
    conversion('f16', 'u8', 11),
    reductionCase('sum', 'f32', [3], [300]),
    reductionCase('max', 'i32', [3, 2], [7]),
    contraction({ batch: [2], m: 17, n: 20, k: 9, transposeA: true, epilogue: true }),
    contraction({ m: 65, n: 66, k: 17, transposeB: true, prologue: true }),
    scatterCase(2, 9, 5, 4),
  ]) {
    await expectMeaning(backend, example);
  }
});

it('compiles every kernel of the spread', async () => {
  for (const example of examples) {
    const { stats } = await backend.compile(programOf(example));
    expect(stats.submits).toBe(1);
  }
});

it('refuses a software adapter that is not allowed', async () => {
  await expect(createWebGPUBackend()).rejects.toThrow(/software adapter/);
});
