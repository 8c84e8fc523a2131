// Row kernels and folded columns on the software adapter against their meaning, with subgroups and without.

import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { create } from 'webgpu';
import { createWebGPUBackend, type WebGPUBackend } from '../../../packages/tensor/src/backends/webgpu/backend.ts';
import type { Target } from '../../../packages/tensor/src/backends/webgpu/target.ts';
import type { ReduceOp } from '../../../packages/tensor/src/compile/kernel.ts';
import type { DType } from '../../../packages/tensor/src/dtype.ts';
import { conversion } from './examples.ts';
import { expectMeaning, programOf, runOn } from './interpret.ts';
import { columnFolds, folding, normalizeBackward, softmax } from './row-examples.ts';

const seed = 20210917;
const pairs: readonly (readonly [ReduceOp, DType])[] = [
  ['sum', 'f32'],
  ['prod', 'f16'],
  ['max', 'f16'],
  ['prod', 'i32'],
  ['min', 'u32'],
  ['max', 'u8'],
  ['sum', 'u8'],
  ['min', 'bool'],
];
/** Rows and columns around the sizes of teams, groups and strips. */
const sizes = [
  [1, 5],
  [9, 64],
  [70, 9],
  [41, 96],
  [13, 130],
] as const;

/** The backend with or without what its device has for subgroups. */
async function open(subgroups: boolean): Promise<WebGPUBackend> {
  const backend = await createWebGPUBackend({ allowSoftware: true });
  const own = (backend as unknown as { target: Target }).target;
  expect(own.subgroups).toBeDefined();
  if (!subgroups) {
    const { subgroups: _, ...rest } = own;
    Object.assign(backend, { target: rest });
  }
  return backend;
}

describe.each([true, false])('with subgroups: %s', (subgroups) => {
  let backend: WebGPUBackend;
  beforeAll(async () => {
    backend = await open(subgroups);
  });
  afterAll(() => backend.close());

  it.each([1, 3, 4, 5, 31, 64, 129, 260, 1025])('softmax of rows of %i', async (extent) => {
    await expectMeaning(backend, softmax(extent > 100 ? 3 : 9, extent));
  });

  it('softmax of rows too long for registers', async () => {
    await expectMeaning(backend, softmax(2, 9001));
    await expectMeaning(backend, softmax(1, 36_000));
  });

  it('reductions of rows of every type, of which several share words', async () => {
    for (const [op, dtype] of pairs) {
      await expectMeaning(backend, folding(op, dtype, 5, 37));
      await expectMeaning(backend, folding(op, dtype, 3, 44));
    }
  });

  it('stages in several passes, with outputs per row and per element', async () => {
    for (const extent of [5, 96, 130]) await expectMeaning(backend, normalizeBackward(7, extent, false));
  });

  it('stages and columns in one kernel', async () => {
    for (const [rows, extent] of sizes) await expectMeaning(backend, normalizeBackward(rows, extent, true));
  });

  it('reductions of columns of every type, by one workgroup and by several', async () => {
    for (const [i, [op, dtype]] of pairs.entries()) {
      await expectMeaning(backend, i % 2 === 0 ? columnFolds(op, dtype, 5, 7) : columnFolds(op, dtype, 67, 12));
    }
  });

  it('columns of any number of rows and any width', async () => {
    const size = fc.oneof(fc.integer({ min: 1, max: 80 }), fc.constantFrom(63, 64, 65, 127, 128, 129, 257));
    await fc.assert(
      fc.asyncProperty(size, size, async (rows, extent) => {
        await expectMeaning(backend, columnFolds('sum', 'f32', rows, extent));
      }),
      { numRuns: 5, seed },
    );
  });

  it('gives the same bits every time', async () => {
    const example = normalizeBackward(90, 36, true);
    expect(await runOn(backend, example)).toEqual(await runOn(backend, example));
  });
});

// Dawn's null backend checks shaders as every backend does, has 16-bit floats and wide subgroups, and runs nothing.
it('every shader is valid with 16-bit storage and other subgroups', async () => {
  const gpu = create(['backend=null', 'enable-dawn-features=allow_unsafe_apis']);
  Object.assign(globalThis, { keptNullGPU: gpu });
  const adapter = await gpu.requestAdapter();
  if (!adapter) throw new Error("Dawn's null backend gave no adapter");
  const backend = await createWebGPUBackend({ adapter });
  const spy = vi.spyOn(backend.device, 'createShaderModule');
  const examples = [
    ...pairs.flatMap(([op, dtype]) => [folding(op, dtype, 5, 37), folding(op, dtype, 3, 44)]),
    ...pairs.flatMap(([op, dtype]) => [columnFolds(op, dtype, 5, 7), columnFolds(op, dtype, 67, 12)]),
    ...[5, 197, 768, 1024, 5000].flatMap((extent) => [softmax(9, extent, 'f16'), normalizeBackward(9, extent, false)]),
    ...[5, 197, 768, 1024].map((extent) => normalizeBackward(900, extent, true)),
    conversion('f16', 'f16', 1 << 14),
    conversion('f32', 'f16', 1 << 14),
  ];
  for (const example of examples) await backend.compile(programOf(example));
  const codes = spy.mock.calls.map(([{ code }]) => code);
  expect(codes.filter((code) => code.includes('array<vec4<f16>>')).length).toBeGreaterThan(3);
  expect(codes.filter((code) => code.includes('enable subgroups;')).length).toBeGreaterThan(10);
  spy.mockRestore();
  await backend.close();
});
