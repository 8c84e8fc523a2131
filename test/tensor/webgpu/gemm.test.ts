// Matrix products by every schedule, layout and element type against their meaning, on sizes that straddle the tiles.

import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Backend } from '../../../packages/tensor/src/backends/backend.ts';
import { createWebGPUBackend, type WebGPUBackend } from '../../../packages/tensor/src/backends/webgpu/backend.ts';
import { candidates, type GemmSchedule, shapeClass } from '../../../packages/tensor/src/backends/webgpu/gemm/choose.ts';
import { shadersOf } from '../../../packages/tensor/src/backends/webgpu/kernels.ts';
import { baseTarget } from '../../../packages/tensor/src/backends/webgpu/target.ts';
import type { Kernel, LoopKernel } from '../../../packages/tensor/src/compile/kernel.ts';
import {
  accumulator,
  add,
  axis,
  cast,
  constant,
  div,
  load,
  mod,
  mul,
  sub,
} from '../../../packages/tensor/src/expr/expr.ts';
import { contraction, integer, linearIndex, loopCase, strided } from './examples.ts';
import { type Case, expectMeaning, runOn } from './interpret.ts';

let backend: WebGPUBackend;
beforeAll(async () => {
  backend = await createWebGPUBackend({ allowSoftware: true });
});
afterAll(() => backend.close());

const seed = 20210917;

type Tiles = Extract<GemmSchedule, { kind: 'tiles' }>;

/** A schedule whose text is short: the software adapter takes seconds to compile a long one. */
const tiles = (tileM: number, tileN: number, threadM: number, threadN: number, more: Partial<Tiles> = {}): Tiles => ({
  kind: 'tiles',
  tileM,
  tileN,
  tileK: 8,
  threadM,
  threadN,
  unroll: 4,
  split: 1,
  ...more,
});

/** Few threads, so that small products have several workgroups. */
const direct: GemmSchedule = { kind: 'direct', rows: 4, across: 2, down: 4 };

/** The same backend, which computes matrix products by `schedule`. */
function forced(schedule: GemmSchedule): Backend {
  return {
    name: backend.name,
    description: backend.description,
    limits: backend.limits,
    alloc: (bytes) => backend.alloc(bytes),
    free: (slot) => backend.free(slot),
    write: (slot, data, dtype) => backend.write(slot, data, dtype),
    read: (slot, length, dtype) => backend.read(slot, length, dtype),
    compile: (program) => backend.compile(program, new Map(program.kernels.map((kernel) => [kernel, schedule]))),
    run: (executable, slots) => backend.run(executable, slots),
    memory: () => backend.memory(),
    close: () => backend.close(),
  };
}

const kernelOf = ({ kernels }: Case): Kernel => kernels[0] as Kernel;
/** The kernel of left [k, m]ᵀ · right [k, n], without any contents. */
function productOf(m: number, n: number, k: number): Kernel {
  const a = load(0, add(mul(axis(2, k), integer(m)), axis(0, m)), 'f32');
  const b = load(1, add(mul(axis(2, k), integer(n)), axis(1, n)), 'f32');
  return {
    kind: 'loop',
    name: 'product',
    shape: [m, n],
    inputs: [
      { buffer: 0, dtype: 'f32' },
      { buffer: 1, dtype: 'f32' },
    ],
    reduce: { op: 'sum', extent: [k], body: mul(a, b), factors: [a, b] },
    outputs: [{ buffer: 2, dtype: 'f32', value: accumulator('f32') }],
  };
}
const shaderOf = (example: Case, schedule: GemmSchedule): string =>
  shadersOf(kernelOf(example), baseTarget, schedule)
    .shaders.map(({ code }) => code)
    .join('\n');

const layouts = [
  { transposeA: false, transposeB: false },
  { transposeA: false, transposeB: true },
  { transposeA: true, transposeB: false },
  { transposeA: true, transposeB: true },
];

describe.each([tiles(32, 16, 4, 4), direct])('every layout, read by vectors and by elements: $kind', (schedule) => {
  for (const layout of layouts) {
    const name = `${layout.transposeA ? 'T' : 'N'}${layout.transposeB ? 'T' : 'N'}`;
    it(`${name} by vectors`, async () => {
      const example = contraction({ m: 36, n: 20, k: 12, ...layout });
      expect(shaderOf(example, schedule).match(/array<vec4<f32>>/g)).toHaveLength(3);
      await expectMeaning(forced(schedule), example);
    });
    it(`${name} by elements`, async () => {
      const example = contraction({ m: 33, n: 19, k: 13, ...layout });
      expect(shaderOf(example, schedule)).not.toContain('array<vec4<f32>>');
      await expectMeaning(forced(schedule), example);
    });
  }
});

describe('every tile', () => {
  const all: readonly Tiles[] = [
    tiles(128, 128, 8, 8),
    tiles(128, 64, 8, 4, { unroll: 8 }),
    tiles(64, 128, 4, 8),
    tiles(64, 64, 8, 8, { tileK: 16 }),
    tiles(64, 64, 4, 4, { tileK: 32 }),
    tiles(32, 32, 4, 4, { unroll: 8 }),
    tiles(16, 16, 1, 4, { tileK: 16 }),
    tiles(16, 16, 2, 4),
  ];
  for (const schedule of all) {
    const { tileM, tileN, tileK, threadM, threadN } = schedule;
    it(`${tileM}x${tileN}x${tileK} by ${threadM}x${threadN}`, async () => {
      const sizes = { m: tileM + 1, n: tileN + 4, k: 12 };
      await expectMeaning(forced(schedule), contraction({ ...sizes, transposeB: true }));
    });
  }
});

/** Workgroups that share one sum. */
const splitOf = (schedule: GemmSchedule | undefined): number => (schedule && 'split' in schedule ? schedule.split : 1);

describe('what a schedule lists', () => {
  const gradient = productOf(768, 768, 12_608);
  const products = candidates(productOf(8, 8, 8), baseTarget);

  it('fits the workgroup memory and the threads of a device', () => {
    const wide = productOf(1024, 1024, 256);
    for (const target of [
      baseTarget,
      { ...baseTarget, workgroupBytes: 49_152 },
      { ...baseTarget, workgroupThreads: 64 },
    ]) {
      const found = candidates(wide, target).filter((schedule) => schedule.kind === 'tiles');
      expect(found.length).toBeGreaterThan(3);
      for (const { tileM, tileN, tileK, threadM, threadN } of found) {
        expect((tileM + tileN) * tileK * 4).toBeLessThanOrEqual(target.workgroupBytes);
        expect((tileM / threadM) * (tileN / threadN)).toBeLessThanOrEqual(target.workgroupThreads);
      }
    }
    const large = { ...baseTarget, workgroupBytes: 49_152 };
    expect(candidates(wide, large).length).toBeGreaterThan(candidates(wide, baseTarget).length);
  });

  it('shares long sums with few outputs among workgroups, and short ones not', () => {
    expect(splitOf(candidates(gradient, baseTarget)[0])).toBeGreaterThan(1);
    expect(products.every((schedule) => splitOf(schedule) === 1)).toBe(true);
    const wide = candidates(productOf(12_608, 3072, 768), baseTarget);
    expect(wide[0]).toMatchObject({ tileM: 128, tileN: 128, split: 1 });
    // Two parts would fill the last round of workgroups a little better, which does not pay for a second dispatch.
    expect(splitOf(candidates(productOf(12_608, 768, 768), baseTarget)[0])).toBe(1);
  });

  it('survives JSON, and names one class for like sizes', () => {
    const schedule = JSON.parse(JSON.stringify(products[0])) as GemmSchedule;
    expect(schedule).toEqual(products[0]);
    const classOf = (m: number, n: number, k: number): string => shapeClass(productOf(m, n, k));
    expect(classOf(100, 64, 32)).toBe(classOf(120, 68, 36));
    expect(classOf(100, 64, 32)).not.toBe(classOf(101, 64, 32));
    expect(classOf(100, 64, 32)).not.toBe(classOf(200, 64, 32));
    expect(
      shapeClass(
        kernelOf(
          loopCase('copy', { shape: [4], inputs: [['f32', 4]], outputs: [['f32', load(0, axis(0, 4), 'f32')]] }),
        ),
      ),
    ).toBe('');
  });
});

describe('sums in parts', () => {
  for (const split of [2, 4, 8]) {
    it(`${split} parts, with an epilogue, the last ones empty`, async () => {
      const schedule = tiles(16, 16, 2, 4, { split });
      await expectMeaning(forced(schedule), contraction({ m: 17, n: 20, k: 37, transposeA: true, epilogue: true }));
    });
  }

  it('of batches, into halves', async () => {
    const example = contraction({ batch: [2, 2], m: 9, n: 10, k: 24, to: 'f16', epilogue: true });
    await expectMeaning(forced(tiles(16, 16, 1, 4, { split: 2 })), example);
  });

  it('come out the same every time', async () => {
    const example = contraction({ m: 20, n: 20, k: 64, transposeA: true });
    const device = forced(tiles(16, 16, 1, 4, { split: 4 }));
    expect(await runOn(device, example)).toEqual(await runOn(device, example));
  });
});

describe('sums of factors beside the product', () => {
  for (const layout of layouts) {
    const name = `${layout.transposeA ? 'T' : 'N'}${layout.transposeB ? 'T' : 'N'}`;
    it(`${name}, by vectors and by elements, of one factor and of both`, async () => {
      const by = tiles(16, 16, 2, 4);
      await expectMeaning(forced(by), contraction({ m: 36, n: 20, k: 12, ...layout, sums: [0] }));
      await expectMeaning(forced(by), contraction({ m: 17, n: 35, k: 13, ...layout, sums: [0, 1], epilogue: true }));
    });
  }

  it('by tiles that are wider than a workgroup has threads, and by those that are narrower', async () => {
    const example = contraction({ m: 35, n: 36, k: 20, sums: [0, 1], prologue: true });
    await expectMeaning(forced(tiles(32, 16, 8, 4)), example);
    await expectMeaning(forced(tiles(16, 32, 8, 4)), example);
    await expectMeaning(forced(tiles(16, 32, 1, 4)), example);
  });

  for (const split of [2, 4]) {
    it(`in ${split} parts, of batches too, the last ones empty`, async () => {
      const schedule = tiles(16, 16, 2, 4, { split });
      await expectMeaning(forced(schedule), contraction({ m: 17, n: 20, k: 37, transposeA: true, sums: [0, 1] }));
      const batches = contraction({ batch: [2, 2], m: 9, n: 18, k: 24, epilogue: true, sums: [1, 0] });
      await expectMeaning(forced(schedule), batches);
    });
  }

  it('take one more dispatch only where the sums are split anyway', () => {
    const example = contraction({ m: 32, n: 32, k: 1024, transposeA: true, sums: [0, 1] });
    const counts = [1, 4].map(
      (split) => shadersOf(kernelOf(example), baseTarget, tiles(16, 16, 2, 4, { split })).shaders.length,
    );
    expect(counts).toEqual([1, 2]);
  });

  it('by a dispatch of their own, where a variant does not compute them', async () => {
    const example = contraction({ batch: [2], m: 9, n: 20, k: 12, transposeA: true, sums: [0, 1] });
    const schedule: GemmSchedule = { kind: 'direct', rows: 4, across: 8, down: 8 };
    expect(shadersOf(kernelOf(example), baseTarget, schedule).shaders).toHaveLength(3);
    await expectMeaning(forced(schedule), example);
  });

  it('of a product that is too small for tiles are computed by themselves', async () => {
    const example = contraction({ m: 3, n: 20, k: 37, sums: [0, 1] });
    expect(candidates(kernelOf(example), baseTarget)).toEqual([]);
    await expectMeaning(backend, example);
  });
});

/** The patches of `count` frames of 8-bit pixels, 3 x size x size, normalised by channel, times a matrix of weights. */
function patchEmbedding(count: number, size: number, patch: number, width: number): Case {
  const across = size / patch;
  const [rows, steps] = [count * across * across, 3 * patch * patch];
  const [row, k] = [axis(0, rows), axis(2, steps)];
  const channel = div(k, integer(patch * patch));
  const y = add(
    mul(mod(div(row, integer(across)), integer(across)), integer(patch)),
    mod(div(k, integer(patch)), integer(patch)),
  );
  const x = add(mul(mod(row, integer(across)), integer(patch)), mod(k, integer(patch)));
  const frame = add(mul(div(row, integer(across * across)), integer(3)), channel);
  const pixel = load(0, add(mul(add(mul(frame, integer(size)), y), integer(size)), x), 'u32');
  const a = sub(mul(cast(pixel, 'f32'), load(1, channel, 'f32')), load(2, channel, 'f32'));
  const b = load(3, add(mul(axis(1, width), integer(steps)), k), 'f32');
  const example = loopCase('patch embedding', {
    shape: [rows, width],
    inputs: [
      ['u8', count * 3 * size * size],
      ['f32', [0.1, 0.2, 0.05]],
      ['f32', [2, 1, 3]],
      ['f32', width * steps],
    ],
    reduce: { op: 'sum', extent: [steps], body: mul(a, b), factors: [a, b] },
    outputs: [['f32', accumulator('f32')]],
    tolerance: 1e-6 * steps,
  });
  return { ...example, scale: 100 };
}

it('normalised patches of 8-bit frames are fetched four pixels at a time', async () => {
  expect(shaderOf(patchEmbedding(2, 8, 4, 20), tiles(16, 16, 4, 4))).toMatch(/held_u32_0 = vectors\d\[/);
});

describe.each([tiles(16, 16, 4, 4), direct])(
  'factors and outputs that are more than plain floats: $kind',
  (schedule) => {
    it('normalised patches of 8-bit frames', () => expectMeaning(forced(schedule), patchEmbedding(2, 8, 4, 20)));

    for (const dtype of ['f16', 'u8'] as const) {
      it(`${dtype} factors, by vectors and by elements`, async () => {
        for (const k of [16, 15]) {
          const kind = contraction({ m: 20, n: 12, k, dtype: 'f16', to: 'f16', transposeB: true });
          await expectMeaning(forced(schedule), dtype === 'f16' ? kind : bytes(20, 12, k));
        }
      });
    }

    it('batches, one factor the same in all of them', async () => {
      const [batch, m, n, k] = [3, 5, 12, 8];
      const a = load(0, strided([m], [k], 1), 'f32');
      const left = load(0, add(a.args[0] as typeof a, axis(3, k)), 'f32');
      const right = load(1, add(strided([batch], [k * n]), add(mul(axis(3, k), integer(n)), axis(2, n))), 'f32');
      await expectMeaning(
        forced(schedule),
        loopCase('broadcast factor', {
          shape: [batch, m, n],
          inputs: [
            ['f32', m * k],
            ['f32', batch * k * n],
          ],
          reduce: { op: 'sum', extent: [k], body: mul(left, right), factors: [left, right] },
          outputs: [['f32', accumulator('f32')]],
          tolerance: 1e-5,
        }),
      );
    });

    it('a bias, a residual that is overwritten, and outputs of every width', async () => {
      for (const n of [24, 20, 18]) await expectMeaning(forced(schedule), residual(18, n, 12));
    });

    it('a buffer that is a factor and a residual too is bound as both', async () => {
      const [m, n, k] = [8, 12, 12];
      const a = load(0, add(mul(axis(0, m), integer(k)), axis(2, k)), 'f32');
      const b = load(1, add(mul(axis(2, k), integer(n)), axis(1, n)), 'f32');
      // The first factor's transpose: elements along a row of the output are not neighbours.
      const seen = load(0, add(mul(mod(axis(1, n), integer(m)), integer(k)), axis(0, m)), 'f32');
      const example = loopCase('twice', {
        shape: [m, n],
        inputs: [
          ['f32', m * k],
          ['f32', k * n],
        ],
        reduce: { op: 'sum', extent: [k], body: mul(a, b), factors: [a, b] },
        outputs: [['f32', add(accumulator('f32'), seen)]],
        tolerance: 1e-5,
      });
      const { shaders } = shadersOf(kernelOf(example), baseTarget, schedule);
      expect(shaders[0]?.bindings.filter(({ buffer }) => buffer === 0)).toHaveLength(2);
      await expectMeaning(forced(schedule), example);
      // Where bindings are scarce, no buffer takes two.
      const scarce = shadersOf(kernelOf(example), { ...baseTarget, buffers: 3 }, schedule);
      expect(scarce.shaders[0]?.bindings).toHaveLength(3);
    });
  },
);

/** Bytes times bytes, as floats. */
function bytes(m: number, n: number, k: number): Case {
  const a = cast(load(0, add(mul(axis(0, m), integer(k)), axis(2, k)), 'u32'), 'f32');
  const b = cast(load(1, add(mul(axis(1, n), integer(k)), axis(2, k)), 'u32'), 'f32');
  return loopCase(`bytes ${m}x${n}x${k}`, {
    shape: [m, n],
    inputs: [
      ['u8', m * k],
      ['u8', n * k],
    ],
    reduce: { op: 'sum', extent: [k], body: mul(a, b), factors: [a, b] },
    outputs: [['f32', accumulator('f32')]],
  });
}

/** sum + bias written over a residual that it is added to, and copies of other types. */
function residual(m: number, n: number, k: number): Case {
  const point = linearIndex([m, n]);
  const a = load(0, add(mul(axis(0, m), integer(k)), axis(2, k)), 'f32');
  const b = load(1, add(mul(axis(2, k), integer(n)), axis(1, n)), 'f32');
  const sum = add(add(accumulator('f32'), load(2, axis(1, n), 'f32')), load(3, point, 'f32'));
  const bits = cast(add(cast(axis(1, n), 'i32'), axis(0, m)), 'u32');
  const example = loopCase(`residual ${m}x${n}x${k}`, {
    shape: [m, n],
    inputs: [
      ['f32', m * k],
      ['f32', k * n],
      ['f32', n],
      ['f32', m * n],
    ],
    reduce: { op: 'sum', extent: [k], body: mul(a, b), factors: [a, b] },
    outputs: [
      ['f32', sum, 3],
      ['f16', mul(sum, constant(0.5))],
      [n % 4 === 0 ? 'u8' : 'u32', bits],
      ['bool', cast(bits, 'bool')],
    ],
    tolerance: 1e-5,
  });
  return example;
}

it('random products by random schedules', async () => {
  const size = fc.oneof(fc.integer({ min: 1, max: 40 }), fc.constantFrom(4, 8, 12, 16, 20, 32, 36));
  const parts = fc.record({
    batch: fc.oneof({ weight: 3, arbitrary: fc.constant([]) }, { weight: 1, arbitrary: fc.constant([2]) }),
    m: size,
    n: size,
    k: fc.integer({ min: 1, max: 40 }),
    transposeA: fc.boolean(),
    transposeB: fc.boolean(),
    epilogue: fc.boolean(),
    prologue: fc.boolean(),
  });
  const schedule = fc
    .record({
      tileM: fc.constantFrom(16, 32),
      tileN: fc.constantFrom(16, 32),
      tileK: fc.constantFrom(8, 16),
      threadM: fc.constantFrom(1, 2, 4, 8),
      split: fc.constantFrom(1, 1, 3),
    })
    .map(({ tileM, tileN, tileK, threadM, split }): Tiles => tiles(tileM, tileN, threadM, 4, { tileK, split }));
  await fc.assert(
    fc.asyncProperty(parts, schedule, (one, by) => expectMeaning(forced(by), contraction(one))),
    { numRuns: 8, seed },
  );
});

it('a forced schedule says nothing about kernels that are no products', () => {
  const copy = loopCase('copy', {
    shape: [4],
    inputs: [['f32', 4]],
    outputs: [['f32', load(0, axis(0, 4), 'f32')]],
  });
  const kernel = kernelOf(copy) as LoopKernel;
  expect(shadersOf(kernel, baseTarget, tiles(16, 16, 1, 4))).toEqual(shadersOf(kernel, baseTarget));
});
