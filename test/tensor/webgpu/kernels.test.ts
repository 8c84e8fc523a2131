// Kernels on the software adapter against their meaning: the spread, and random loops, contractions and scatters.

import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createWebGPUBackend, type WebGPUBackend } from '../../../packages/tensor/src/backends/webgpu/backend.ts';
import type { ReduceOp } from '../../../packages/tensor/src/compile/kernel.ts';
import { fromHalfBits } from '../../../packages/tensor/src/dtype.ts';
import {
  accumulator,
  add,
  axis,
  cast,
  constant,
  div,
  type Expr,
  load,
  lt,
  mod,
  mul,
  select,
  term,
} from '../../../packages/tensor/src/expr/expr.ts';
import { range } from '../../../packages/tensor/src/expr/simplify.ts';
import {
  contraction,
  examples,
  integer,
  loopCase,
  retyped,
  rowMajorStrides,
  scatterCase,
  strided,
} from './examples.ts';
import { type Case, expectMeaning, runOn } from './interpret.ts';

let backend: WebGPUBackend;
beforeAll(async () => {
  backend = await createWebGPUBackend({ allowSoftware: true });
});
afterAll(() => backend.close());

const seed = 20210917;

describe('the spread', () => {
  for (const example of examples) it(example.name, () => expectMeaning(backend, example));
});

it('a buffer read as floats and overwritten with integers is bound once', async () => {
  const floats = new Float32Array(Int32Array.from(retyped.buffers[0]?.values ?? []).buffer);
  const [result] = await runOn(backend, retyped);
  expect(result).toEqual(Array.from(floats, (x) => Math.trunc(Math.fround(x * 100))));
});

it('halves are stored to nearest even, and every half is loaded as what it is', async () => {
  const edges = [
    65_504,
    65_519.996,
    65_520,
    1e9,
    Infinity,
    -Infinity,
    NaN,
    0,
    2 ** -24,
    2 ** -25,
    1.5 * 2 ** -24,
    2 ** -14,
  ];
  const ties = Array.from({ length: 64 }, (_, i) => 1 + (i + 0.5) / 1024);
  const denormalTies = Array.from({ length: 16 }, (_, i) => (i + 0.5) * 2 ** -24);
  const nearTies = ties.flatMap((x) => [x + 2 ** -23, x - 2 ** -23]);
  const floats = [...edges, ...ties, ...denormalTies, ...nearTies].flatMap((x) => [Math.fround(x), Math.fround(-x)]);
  const toHalves = loopCase('to halves', {
    shape: [floats.length],
    inputs: [['f32', floats]],
    outputs: [['f16', load(0, axis(0, floats.length), 'f32')]],
  });
  await expectMeaning(backend, toHalves);

  const halves = Array.from({ length: 65_536 }, (_, bits) => fromHalfBits(bits));
  const fromHalves = loopCase('from halves', {
    shape: [halves.length],
    inputs: [['f16', halves]],
    outputs: [['f32', load(0, axis(0, halves.length), 'f32')]],
  });
  await expectMeaning(backend, fromHalves);
});

/** An index into `length` elements: a random affine, divided, wrapped or selected term of the axes, kept within bounds. */
const indexTerm = (extents: readonly number[], length: number): fc.Arbitrary<Expr> => {
  const coefficient = fc.integer({ min: -9, max: 9 });
  const affine = fc
    .tuple(fc.array(coefficient, { minLength: extents.length, maxLength: extents.length }), coefficient)
    .map(([strides, offset]) => strided(extents, strides, 0, offset));
  const { term: tied } = fc.letrec<{ term: Expr }>((tie) => ({
    term: fc.oneof(
      { maxDepth: 3 },
      affine,
      fc.tuple(tie('term'), fc.integer({ min: 1, max: 6 })).map(([e, n]) => div(e, integer(n))),
      fc.tuple(tie('term'), fc.integer({ min: 1, max: 6 })).map(([e, n]) => mod(e, integer(n))),
      fc.tuple(tie('term'), tie('term'), tie('term')).map(([a, b, c]) => select(lt(a, b), b, c)),
      fc.tuple(tie('term'), tie('term')).map(([a, b]) => add(a, b)),
    ),
  }));
  return tied.map((e) => {
    const bounds = range(e);
    if (bounds.min >= 0 && bounds.max < length) return e;
    return term('min', [term('max', [e, integer(0)]), integer(length - 1)]);
  });
};

const extents = (most: number, maxLength: number): fc.Arbitrary<number[]> =>
  fc.array(fc.integer({ min: 1, max: most }), { minLength: 1, maxLength });

it('random maps over strided, divided, selected and gathered indices', async () => {
  const length = 24;
  const example = extents(5, 4).chain((shape) =>
    fc.tuple(indexTerm(shape, length), indexTerm(shape, length), fc.boolean()).map(([first, second, gather]): Case => {
      const chosen = gather ? load(1, second, 'i32') : second;
      return loopCase('random map', {
        shape,
        inputs: [
          ['f32', length],
          ['i32', Array.from({ length }, (_, i) => (7 * i) % length)],
        ],
        outputs: [
          ['f32', add(mul(load(0, first, 'f32'), load(0, chosen, 'f32')), constant(0.25))],
          ['i32', add(first, chosen)],
        ],
        tolerance: 1e-6,
      });
    }),
  );
  await fc.assert(
    fc.asyncProperty(example, (one) => expectMeaning(backend, one)),
    { numRuns: 40, seed },
  );
});

it('random reductions over any axes, short and long', async () => {
  const example = fc
    .record({
      op: fc.constantFrom<ReduceOp>('sum', 'prod', 'max', 'min'),
      shape: extents(4, 3),
      extent: fc.oneof(extents(4, 3), extents(13, 3), extents(700, 1)),
      integers: fc.boolean(),
      order: fc.integer(),
    })
    .map(({ op, shape, extent, integers, order }): Case => {
      const all = [...shape, ...extent];
      const length = all.reduce((a, b) => a * b, 1);
      const strides = rowMajorStrides(all);
      // Walked backwards along one axis, so that the body is no plain row.
      const flipped = Math.abs(order) % all.length;
      const offset = (strides[flipped] as number) * ((all[flipped] as number) - 1);
      const index = strided(
        all,
        strides.map((s, k) => (k === flipped ? -s : s)),
        0,
        offset,
      );
      const type = integers ? 'i32' : 'f32';
      const x = load(0, index, type);
      const body = integers || op !== 'prod' ? x : add(constant(1), mul(x, constant(1e-3)));
      const folded = cast(accumulator(type), 'f32');
      return loopCase(`${op} of ${type} [${shape}; ${extent}]`, {
        shape,
        inputs: [[type, length]],
        reduce: { op, extent, body },
        outputs: [['f32', integers ? folded : add(folded, cast(axis(0, shape[0] as number), 'f32'))]],
        tolerance: 2e-6 * Math.sqrt(length),
      });
    });
  await fc.assert(
    fc.asyncProperty(example, (one) => expectMeaning(backend, one)),
    { numRuns: 40, seed },
  );
});

it('maxima and minima keep NaN, by thread and by workgroup', async () => {
  for (const k of [5, 300]) {
    for (const op of ['max', 'min'] as const) {
      const values = Array.from({ length: 2 * k }, (_, i) => (i === k + 3 ? Number.NaN : -i));
      await expectMeaning(
        backend,
        loopCase(`${op} with NaN over ${k}`, {
          shape: [2],
          inputs: [['f32', values]],
          reduce: { op, extent: [k], body: load(0, strided([2, k], [k, 1]), 'f32') },
          outputs: [['f32', accumulator('f32')]],
        }),
      );
    }
  }
});

it('random contractions straddle the edges of their tiles, in every layout', async () => {
  const size = fc.oneof(fc.integer({ min: 1, max: 20 }), fc.constantFrom(15, 16, 17, 31, 33, 47, 48, 63, 64, 65));
  const parts = fc.record({
    batch: fc.oneof({ weight: 2, arbitrary: fc.constant([]) }, { weight: 1, arbitrary: extents(3, 2) }),
    m: size,
    n: size,
    k: fc.integer({ min: 1, max: 35 }),
    transposeA: fc.boolean(),
    transposeB: fc.boolean(),
    epilogue: fc.boolean(),
    prologue: fc.boolean(),
    to: fc.constantFrom('f32' as const, 'f16' as const),
  });
  await fc.assert(
    fc.asyncProperty(parts, (one) => expectMeaning(backend, contraction(one))),
    { numRuns: 30, seed },
  );
});

it('random scatters pass over indices outside and give the same sums every time', async () => {
  const size = fc.integer({ min: 1, max: 9 });
  await fc.assert(
    fc.asyncProperty(size, size, size, size, async (outer, count, inner, rows) => {
      const example = scatterCase(outer, count, inner, rows);
      await expectMeaning(backend, example);
      expect(await runOn(backend, example)).toEqual(await runOn(backend, example));
    }),
    { numRuns: 15, seed },
  );
});

it('indices of a scatter may have strides along every axis', async () => {
  const example = scatterCase(2, 3, 4, 5);
  const [kernel] = example.kernels;
  if (kernel?.kind !== 'scatter') throw new Error('the example is a scatter');
  const indices = Array.from({ length: 24 }, (_, i) => (5 * i) % 7);
  const strides = { outer: 1, count: 2, inner: 6 };
  await expectMeaning(backend, {
    ...example,
    kernels: [{ ...kernel, indexStrides: strides }],
    buffers: example.buffers.map((buffer, i) => (i === 1 ? { ...buffer, values: indices } : buffer)),
  });
});

it('more workgroups than one dimension allows', async () => {
  const n = 65_535 * 256 + 1000;
  const value = add(mul(axis(0, n), integer(3)), integer(7));
  const executable = await backend.compile({
    buffers: [{ bytes: 4 * n }],
    bindings: 1,
    kernels: [{ kind: 'loop', name: 'many', shape: [n], inputs: [], outputs: [{ buffer: 0, dtype: 'i32', value }] }],
  });
  const slot = backend.alloc(4 * n);
  backend.run(executable, [slot]);
  const result = await backend.read(slot, n, 'i32');
  backend.free(slot);
  const wrong = result.findIndex((x, i) => x !== 3 * i + 7);
  expect(wrong).toBe(-1);
});
