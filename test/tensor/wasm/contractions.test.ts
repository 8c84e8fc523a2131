/** Contractions and scatters against their interpretation, on any sizes, layouts and numbers of threads. */
import fc from 'fast-check';
import { describe, it } from 'vitest';
import type { LoopKernel, ScatterKernel } from '../../../packages/tensor/src/compile/kernel.ts';
import {
  accumulator,
  add,
  axis,
  constant,
  type Expr,
  load,
  mul,
  term,
} from '../../../packages/tensor/src/expr/expr.ts';
import { axesOf, check, empty, int, linear, product, random } from './checks.ts';

interface ContractionCase {
  readonly batch: readonly number[];
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly transposed: readonly [boolean, boolean];
  readonly shared: readonly [boolean, boolean];
}

function contraction({ batch, m, n, k, transposed, shared }: ContractionCase): {
  kernel: LoopKernel;
  lengths: number[];
} {
  const b = batch.length;
  const [row, column, step] = [axis(b, m), axis(b + 1, n), axis(b + 2, k)];
  const batchIndex = linear(axesOf(batch), batch);
  const factor = (slot: number, rows: Expr, size: number): Expr => {
    const matrix = transposed[slot] ? linear([step, rows], [k, size]) : linear([rows, step], [size, k]);
    const index = shared[slot] ? matrix : add(mul(batchIndex, int(size * k)), matrix);
    return load(slot, index, 'f32');
  };
  const factors = [factor(0, row, m), mul(factor(1, column, n), constant(0.5))] as const;
  const value = add(mul(accumulator('f32'), constant(2)), load(2, column, 'f32'));
  const count = product(batch);
  return {
    kernel: {
      kind: 'loop',
      name: `[${batch}] ${m}x${k}x${n}`,
      shape: [...batch, m, n],
      inputs: [0, 1, 2].map((buffer) => ({ buffer, dtype: 'f32' as const })),
      reduce: { op: 'sum', extent: [k], body: mul(factors[0], factors[1]), factors },
      outputs: [
        { buffer: 3, dtype: 'f32', value },
        { buffer: 4, dtype: 'f16', value: term('max', [accumulator('f32'), constant(0)]) },
      ],
    },
    lengths: [(shared[0] ? 1 : count) * m * k, (shared[1] ? 1 : count) * n * k, n, count * m * n, count * m * n],
  };
}

async function checkContraction(c: ContractionCase, seed: number): Promise<void> {
  const { kernel, lengths } = contraction(c);
  const buffers = lengths.map((length, i) =>
    i < 3 ? random(seed + i, length) : empty(i === 3 ? 'f32' : 'f16', length),
  );
  // Terms are at most 1 in magnitude: half a unit in the last place for each.
  await check([kernel], buffers, 6e-8 * Math.max(10, c.k));
}

describe('contractions', () => {
  const size = fc.oneof(fc.integer({ min: 1, max: 40 }), fc.constantFrom(1, 4, 5, 8, 50, 64, 97));
  it('any sizes, layouts, batches and broadcast batches, with an epilogue', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 2 }),
        size,
        size,
        size,
        fc.tuple(fc.boolean(), fc.boolean()),
        fc.tuple(fc.boolean(), fc.boolean()),
        fc.nat(1000),
        async (batch, m, n, k, transposed, shared, seed) => {
          if (product(batch) * m * n * k > 300_000) return;
          await checkContraction({ batch, m, n, k, transposed, shared }, seed);
        },
      ),
      { numRuns: 80 },
    );
  });

  it('several tiles in every direction', async () => {
    for (const transposed of [
      [false, false],
      [true, true],
    ] as const) {
      await checkContraction({ batch: [], m: 103, n: 135, k: 9, transposed, shared: [true, true] }, 7);
      await checkContraction({ batch: [], m: 9, n: 13, k: 801, transposed, shared: [true, true] }, 8);
    }
  });
});

describe('scatter', () => {
  it('adds what the indices say, and passes over indices outside', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 30 }),
        fc.constantFrom(1, 3, 4, 63, 64, 65, 130),
        fc.integer({ min: 1, max: 20 }),
        fc.boolean(),
        fc.nat(1000),
        async (outer, count, inner, size, perElement, seed) => {
          const kernel: ScatterKernel = {
            kind: 'scatter',
            name: 'scatter',
            outer,
            count,
            inner,
            size,
            indexStrides: perElement
              ? { outer: count * inner, count: inner, inner: 1 }
              : { outer: 0, count: 1, inner: 0 },
            inputs: [
              { buffer: 0, dtype: 'f32' },
              { buffer: 1, dtype: 'i32' },
            ],
            outputs: [{ buffer: 2, dtype: 'f32' }],
          };
          const indices = random(seed, perElement ? outer * count * inner : count, 'i32', size * 4);
          const buffers = [random(seed, outer * count * inner), indices, random(3, outer * size * inner)];
          await check([kernel], buffers, 1e-5);
        },
      ),
      { numRuns: 60 },
    );
  });
});
