// Products of subgroup matrices on the software adapter, which has none: with fragments emulated over workgroup memory,
// so that staging, edges, layouts, epilogues, split sums and scales run as they do on hardware.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createWebGPUBackend, type WebGPUBackend } from '../../../packages/tensor/src/backends/webgpu/backend.ts';
import { type GemmSchedule, loadVariants } from '../../../packages/tensor/src/backends/webgpu/gemm/choose.ts';
import { shadersOf } from '../../../packages/tensor/src/backends/webgpu/kernels.ts';
import { baseTarget, type Target } from '../../../packages/tensor/src/backends/webgpu/target.ts';
import type { LoopKernel } from '../../../packages/tensor/src/compile/kernel.ts';
import { type ContractionParts, contraction } from './examples.ts';
import { type Case, expectContents, interpret, randomSource } from './interpret.ts';
import { runShaders } from './run-shaders.ts';

let backend: WebGPUBackend;
beforeAll(async () => {
  await loadVariants(emulated);
  backend = await createWebGPUBackend({ allowSoftware: true });
});
afterAll(() => backend.close());

const emulated: Target = {
  ...baseTarget,
  subgroups: { smallest: 16, largest: 16 },
  matrices: [{ componentType: 'f16', resultComponentType: 'f32', M: 8, N: 8, K: 8 }],
  matrixSyntax: 'emulated',
};

const small: GemmSchedule = {
  kind: 'matrix',
  tileM: 32,
  tileN: 16,
  tileK: 16,
  subgroupsM: 2,
  subgroupsN: 1,
  fragment: { m: 8, n: 8, k: 8 },
  split: 1,
  products: 1,
};

async function expectBy(schedule: GemmSchedule, example: Case): Promise<void> {
  expectContents(
    example,
    await runShaders(backend, shadersOf(example.kernels[0] as LoopKernel, emulated, schedule), example),
  );
}

describe('factors of half precision', () => {
  const cases: readonly ContractionParts[] = [
    // Whole fragments, which are stored straight into the output; then edges of every kind.
    { m: 40, n: 24, k: 32 },
    { m: 40, n: 24, k: 24, dtype: 'f16', transposeA: true },
    { m: 33, n: 17, k: 19, transposeB: true, epilogue: true },
    { m: 33, n: 17, k: 19, dtype: 'f16', transposeA: true, transposeB: true, epilogue: true, prologue: true },
    { batch: [2, 2], m: 24, n: 40, k: 40, dtype: 'f16', transposeB: true, epilogue: true },
    { batch: [3], m: 16, n: 24, k: 16, transposeA: true, prologue: true },
    { m: 35, n: 22, k: 40, transposeA: true, transposeB: true, to: 'f16' },
    // Sums that start from what is added to them.
    { batch: [2], m: 40, n: 24, k: 20, added: 'row' },
    { batch: [2], m: 40, n: 24, k: 20, added: 'residual' },
  ];
  for (const parts of cases) {
    const example = contraction({ ...parts, half: true });
    it(example.name, () => expectBy(small, example));
  }

  it('sums that are split over workgroups', async () => {
    const parts = { batch: [2], m: 33, n: 20, k: 70, half: true, epilogue: true, to: 'f16' } as const;
    await expectBy({ ...small, split: 3 }, contraction(parts));
  });

  it('the first candidate, where subgroups have matrices', async () => {
    const example = contraction({ m: 37, n: 50, k: 40, half: true });
    const [kernel] = example.kernels as [LoopKernel];
    const { shaders } = shadersOf(kernel, emulated);
    expect(shaders[0]?.code).toContain('multiply_add(');
    expectContents(example, await runShaders(backend, { shaders }, example));
  });

  it('factors in 32 bits are no reason for it', () => {
    const { shaders } = shadersOf(contraction({ m: 37, n: 50, k: 40 }).kernels[0] as LoopKernel, emulated);
    expect(shaders.map(({ code }) => code).join()).not.toContain('multiply_add(');
  });
});

describe('three products for factors in 32 bits', () => {
  const three: GemmSchedule = { ...small, products: 3 };

  it('have nearly the accuracy of f32', () =>
    expectBy(three, contraction({ m: 33, n: 20, k: 24, transposeB: true, epilogue: true })));

  it('also where sums are split', () =>
    expectBy({ ...three, split: 2 }, contraction({ batch: [2], m: 17, n: 24, k: 40 })));

  it('take rows and columns of any magnitude', async () => {
    const [m, n, k] = [20, 18, 24] as const;
    const example = contraction({ m, n, k });
    const random = randomSource(3);
    const rows = Array.from({ length: m }, (_, i) => 2 ** (6 * i - 60));
    const columns = Array.from({ length: n }, (_, j) => 2 ** (7 * j - 60));
    const a = rows.flatMap((scale) => Array.from({ length: k }, () => Math.fround(scale * (random() - 0.5))));
    const b = Array.from({ length: k }, () => columns.map((scale) => Math.fround(scale * (random() - 0.5)))).flat();
    const values = [a, b, ...example.buffers.slice(2).map((buffer) => buffer.values)];
    const scaled = {
      ...example,
      buffers: example.buffers.map((buffer, i) => ({ ...buffer, values: values[i] ?? [] })),
    };
    const [kernel] = example.kernels as [LoopKernel];
    const output = kernel.outputs[0]?.buffer as number;
    const actual = (await runShaders(backend, shadersOf(kernel, emulated, three), scaled))[output] as number[];
    const expected = interpret(scaled)[output] as number[];
    const relative = expected.map((value, i) => {
      const size = (rows[Math.floor(i / n)] as number) * (columns[i % n] as number);
      return Math.abs((actual[i] as number) - value) / size;
    });
    expect(Math.max(...relative)).toBeLessThan(2 ** -20);
  });
});
