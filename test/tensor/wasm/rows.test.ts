/** Row kernels against their interpretation: stages of every kind, outputs for elements and for rows, rows of any length. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { rowSchedule } from '../../../packages/tensor/src/backends/wasm/row-schedule.ts';
import type { ReduceOp, RowKernel } from '../../../packages/tensor/src/compile/kernel.ts';
import { type DType, dtypes } from '../../../packages/tensor/src/dtype.ts';
import {
  accumulator,
  add,
  axis,
  cast,
  constant,
  type Expr,
  load,
  lt,
  mul,
  select,
  sub,
  term,
} from '../../../packages/tensor/src/expr/expr.ts';
import { check, empty, int, random } from './checks.ts';

const point = (rows: number, extent: number): Expr => add(mul(axis(0, rows), int(extent)), axis(1, extent));

/** A softmax of the rows of buffer 0, scaled by the weights of buffer 1, and the logarithm of each row's sum. */
function softmaxRows(rows: number, extent: number): RowKernel {
  const x = mul(load(0, point(rows, extent), 'f32'), load(1, axis(1, extent), 'f32'));
  const power = term('exp', [sub(x, accumulator('f32', 0))]);
  return {
    kind: 'rows',
    name: `softmax of ${rows} rows of ${extent}`,
    rows,
    extent,
    inputs: [
      { buffer: 0, dtype: 'f32' },
      { buffer: 1, dtype: 'f32' },
    ],
    columns: [],
    stages: [
      { op: 'max', body: x },
      { op: 'sum', body: power },
    ],
    outputs: [
      { buffer: 2, dtype: 'f32', value: term('div', [power, accumulator('f32', 1)]), per: 'element' },
      { buffer: 3, dtype: 'f32', value: term('log', [accumulator('f32', 1)]), per: 'row' },
    ],
  };
}

describe('row kernels', () => {
  it('softmax of rows of any length', async () => {
    for (const extent of [2, 3, 4, 5, 7, 8, 31, 64, 197, 1000, 5003]) {
      const rows = extent > 500 ? 3 : 37;
      const buffers = [
        random(extent, rows * extent),
        random(1, extent),
        empty('f32', rows * extent),
        empty('f32', rows),
      ];
      await check([softmaxRows(rows, extent)], buffers, 2e-6);
    }
  });

  it('stages of every operation and element type', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(2, 3, 4, 6, 17, 40, 70, 300),
        fc.integer({ min: 1, max: 9 }),
        fc.constantFrom<DType>('f32', 'f16', 'i32', 'u32', 'u8', 'bool'),
        fc.array(fc.constantFrom<ReduceOp>('sum', 'prod', 'max', 'min'), { minLength: 1, maxLength: 4 }),
        fc.constantFrom<DType>('f32', 'f16', 'i32'),
        fc.nat(1000),
        async (extent, rows, dtype, ops, target, seed) => {
          const { scalar } = dtypes[dtype];
          const own = load(0, point(rows, extent), scalar);
          const truth = scalar === 'bool';
          // Each stage builds on the one before; products stay near 1, whole numbers wrap.
          const stages = ops.map((op, stage) => {
            const before = stage === 0 ? own : accumulator(scalar, stage - 1);
            const bounded = scalar === 'f32' ? select(lt(own, constant(0)), constant(0.5), constant(1)) : own;
            const term = op === 'prod' ? bounded : truth ? own : select(lt(own, before), own, before);
            return { op: truth && (op === 'sum' || op === 'prod') ? ('max' as const) : op, body: term };
          });
          const last = cast(accumulator(scalar, ops.length - 1), dtypes[target].scalar);
          const value = select(lt(cast(own, 'f32'), constant(0.25)), cast(own, dtypes[target].scalar), last);
          const kernel: RowKernel = {
            kind: 'rows',
            columns: [],
            name: `${ops} of ${rows} rows of ${extent} ${dtype} to ${target}`,
            rows,
            extent,
            inputs: [{ buffer: 0, dtype }],
            stages,
            outputs: [
              { buffer: 1, dtype: target, value, per: 'element' },
              { buffer: 2, dtype: scalar, value: accumulator(scalar, 0), per: 'row' },
            ],
          };
          const source = random(seed, rows * extent, dtype, 3);
          // Sums of whole numbers beyond f16 and f32 are no matter of row kernels.
          if (target === 'f16' && scalar !== 'f32') return;
          await check([kernel], [source, empty(target, rows * extent), empty(scalar, rows)], 1e-7 * extent ** 2);
        },
      ),
      { numRuns: 120 },
    );
  });

  it('compute a dear term once, in the output where it is its value', () => {
    const kernel = softmaxRows(8, 100);
    const { passes, kept } = rowSchedule(kernel, 4);
    expect(kept).toEqual(['f32']);
    expect(passes.map(({ folds, stores }) => [folds.length, stores.length])).toEqual([
      [1, 0],
      [1, 1],
      [0, 1],
    ]);
    const powers = kernel.outputs.map((output) =>
      output.per === 'element' ? { ...output, value: (kernel.stages[1] as RowKernel['stages'][number]).body } : output,
    );
    const inOutput = rowSchedule({ ...kernel, outputs: powers }, 4);
    expect(inOutput.kept).toEqual([]);
    expect(inOutput.passes.map(({ stores }) => stores.map(({ slot }) => slot))).toEqual([[], [2]]);
    expect(rowSchedule(kernel, 0).kept).toEqual([]);
  });

  it('fold what needs nothing of one another in one pass', () => {
    const x = load(0, point(4, 10), 'f32');
    const kernel: RowKernel = {
      ...softmaxRows(4, 10),
      columns: [],
      stages: [
        { op: 'sum', body: x },
        { op: 'max', body: mul(x, x) },
        { op: 'sum', body: sub(x, accumulator('f32', 0)) },
      ],
    };
    expect(rowSchedule(kernel, 4).passes.map(({ folds }) => folds.map(({ stage }) => stage))).toEqual([
      [0, 1],
      [2],
      [],
    ]);
  });
});
