// Elementwise kernels by strips of four on the software adapter against their meaning.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createWebGPUBackend, type WebGPUBackend } from '../../../packages/tensor/src/backends/webgpu/backend.ts';
import { stripLoopShader } from '../../../packages/tensor/src/backends/webgpu/loop-strips.ts';
import { baseTarget } from '../../../packages/tensor/src/backends/webgpu/target.ts';
import type { LoopKernel } from '../../../packages/tensor/src/compile/kernel.ts';
import type { DType } from '../../../packages/tensor/src/dtype.ts';
import { add, axis, constant, load, mul, term } from '../../../packages/tensor/src/expr/expr.ts';
import { conversion, linearIndex, loopCase, strided } from './examples.ts';
import { type Case, expectMeaning } from './interpret.ts';

let backend: WebGPUBackend;
beforeAll(async () => {
  backend = await createWebGPUBackend({ allowSoftware: true });
});
afterAll(() => backend.close());

const kernelOf = ({ kernels }: Case): LoopKernel => kernels[0] as LoopKernel;
const byStrips = (example: Case): boolean => stripLoopShader(kernelOf(example), baseTarget) !== undefined;

/** The least number of elements that is computed by strips, and a little more than whole workgroups of them. */
const n = 16_384 + 4 * 77;

describe('strips of four elements', () => {
  it.each<readonly [DType, DType]>([
    ['f32', 'f32'],
    ['f16', 'f32'],
    ['f32', 'f16'],
    ['u8', 'f32'],
    ['f32', 'u8'],
    ['bool', 'i32'],
    ['i32', 'bool'],
    ['u32', 'f16'],
  ])('of %s to %s', async (from, to) => {
    const example = conversion(from, to, n);
    expect(byStrips(example)).toBe(true);
    await expectMeaning(backend, example);
  });

  it('with values per row, per column and per point, in several outputs', async () => {
    const shape = [131, 132];
    const [row, column] = [axis(0, 131), axis(1, 132)];
    const own = load(0, linearIndex(shape), 'f32');
    const example = loopCase('bias and scale', {
      shape,
      inputs: [
        ['f32', 131 * 132],
        ['f16', 132],
        ['f32', 131],
      ],
      outputs: [
        ['f32', add(mul(own, load(2, row, 'f32')), load(1, column, 'f32'))],
        ['f16', term('max', [own, constant(0)])],
        ['i32', linearIndex(shape)],
      ],
      tolerance: 1e-6,
    });
    expect(byStrips(example)).toBe(true);
    await expectMeaning(backend, example);
  });

  it('over what they read, as an optimizer does', async () => {
    const own = load(0, axis(0, n), 'f32');
    const moment = load(1, axis(0, n), 'f32');
    const next = add(mul(moment, constant(0.9)), mul(load(2, axis(0, n), 'f32'), constant(0.1)));
    const example = loopCase('update', {
      shape: [n],
      inputs: [
        ['f32', n],
        ['f32', n],
        ['f32', n],
      ],
      outputs: [
        ['f32', add(own, mul(next, constant(-0.01))), 0],
        ['f32', next, 1],
      ],
      tolerance: 1e-6,
    });
    expect(byStrips(example)).toBe(true);
    await expectMeaning(backend, example);
  });

  it('of rows with gaps between them, and of a table that is bound by single elements', async () => {
    const shape = [128, 132];
    const gaps = load(0, strided(shape, [140, 1], 0, 8), 'f32');
    const chosen = load(1, load(2, axis(0, 128), 'i32'), 'f32');
    const example = loopCase('rows with gaps', {
      shape,
      inputs: [
        ['f32', 128 * 140],
        ['f32', 10],
        ['i32', Array.from({ length: 128 }, (_, i) => (7 * i) % 10)],
      ],
      outputs: [['f32', add(gaps, chosen)]],
      tolerance: 1e-6,
    });
    expect(byStrips(example)).toBe(true);
    await expectMeaning(backend, example);
  });

  it('not where loads are no neighbours, start within a strip, or rows do not divide', async () => {
    const copy = (shape: readonly number[], strides: readonly number[], offset: number): Case =>
      loopCase(`copy of [${shape}] by [${strides}] from ${offset}`, {
        shape,
        inputs: [['f32', 30_000]],
        outputs: [['f32', load(0, strided(shape, strides, 0, offset), 'f32')]],
      });
    for (const example of [
      copy([128, 132], [1, 128], 0),
      copy([128, 132], [132, 1], 3),
      copy([128, 132], [133, 1], 0),
      copy([16_384 + 2], [1], 0),
    ]) {
      expect(byStrips(example)).toBe(false);
      await expectMeaning(backend, example);
    }
  });
});
