// Row kernels and folded columns that between them reach every way in which their shaders are generated.

import type { BufferUse, Fold, ReduceOp, RowKernel, RowOutput } from '../../../packages/tensor/src/compile/kernel.ts';
import { type DType, dtypes } from '../../../packages/tensor/src/dtype.ts';
import {
  accumulator,
  add,
  axis,
  cast,
  constant,
  type Expr,
  load,
  mul,
  sub,
  term,
} from '../../../packages/tensor/src/expr/expr.ts';
import { integer } from './examples.ts';
import { type Case, randomValues, stored } from './interpret.ts';

interface RowParts {
  readonly rows: number;
  readonly extent: number;
  /** The dtype of each input, and its length or its contents. */
  readonly inputs: readonly (readonly [DType, number | readonly number[]])[];
  readonly stages?: readonly Fold[];
  readonly columns?: readonly Fold[];
  readonly outputs: readonly (readonly [RowOutput['per'], DType, Expr])[];
  readonly tolerance?: number;
}

/** One row kernel as a whole program: inputs first, then the outputs. */
export function rowCase(name: string, parts: RowParts): Case {
  const { rows, extent, stages = [], columns = [], tolerance } = parts;
  const lengths = { element: rows * extent, row: rows, column: extent };
  const buffers = parts.inputs.map(([dtype, contents], i) => ({
    dtype,
    values: typeof contents === 'number' ? randomValues(contents, dtype, 31 * i + rows + 7 * extent) : contents,
  }));
  const inputs: BufferUse[] = parts.inputs.map(([dtype], buffer) => ({ buffer, dtype }));
  const outputs = parts.outputs.map(([per, dtype, value]): RowOutput => {
    buffers.push({ dtype, values: new Array<number>(lengths[per]).fill(0) });
    return { buffer: buffers.length - 1, dtype, value, per };
  });
  const kernel: RowKernel = { kind: 'rows', name, rows, extent, inputs, stages, columns, outputs };
  return { name, kernels: [kernel], buffers, ...(tolerance === undefined ? {} : { tolerance }) };
}

/** The element of a matrix of `extent` columns at the kernel's own row and column. */
export const own = (slot: number, rows: number, extent: number, dtype: DType = 'f32'): Expr =>
  load(slot, add(mul(axis(0, rows), integer(extent)), axis(1, extent)), dtypes[dtype].scalar);

/** The element of a vector at the kernel's own column. */
export const perColumn = (slot: number, extent: number): Expr => load(slot, axis(1, extent), 'f32');

/** Softmax of f32 rows: two stages, of which the second needs the first. */
export function softmax(rows: number, extent: number, to: DType = 'f32'): Case {
  const shifted = sub(own(0, rows, extent), accumulator('f32', 0));
  const powers = term('exp', [shifted]);
  return rowCase(`softmax of [${rows}, ${extent}] to ${to}`, {
    rows,
    extent,
    inputs: [['f32', rows * extent]],
    stages: [
      { op: 'max', body: own(0, rows, extent) },
      { op: 'sum', body: powers },
    ],
    outputs: [
      ['element', to, term('div', [powers, accumulator('f32', 1)])],
      ['row', 'f32', add(accumulator('f32', 0), term('log', [accumulator('f32', 1)]))],
    ],
    tolerance: 1e-5,
  });
}

/** Layer normalisation backwards: four stages in three passes, and the sums for scale and shift where `columns`. */
export function normalizeBackward(rows: number, extent: number, columns: boolean): Case {
  const [x, slope] = [own(0, rows, extent), own(1, rows, extent)];
  const scaled = mul(slope, perColumn(2, extent));
  const share = constant(1 / extent);
  const deviation = sub(x, mul(accumulator('f32', 0), share));
  const inverse = term('div', [constant(1), term('sqrt', [add(mul(accumulator('f32', 1), share), constant(1e-3))])]);
  const y = mul(deviation, inverse);
  const product = mul(scaled, y);
  const centred = sub(scaled, mul(accumulator('f32', 2), share));
  const gradient = mul(inverse, sub(centred, mul(y, mul(accumulator('f32', 3), share))));
  return rowCase(`layer normalisation of [${rows}, ${extent}] backwards${columns ? ' with columns' : ''}`, {
    rows,
    extent,
    inputs: [
      ['f32', rows * extent],
      ['f32', rows * extent],
      ['f32', extent],
    ],
    stages: [
      { op: 'sum', body: x },
      { op: 'sum', body: mul(deviation, deviation) },
      { op: 'sum', body: scaled },
      { op: 'sum', body: product },
    ],
    columns: columns
      ? [
          { op: 'sum', body: mul(slope, y) },
          { op: 'sum', body: slope },
        ]
      : [],
    outputs: [
      ['element', 'f32', gradient],
      ['row', 'f32', inverse],
      ...(columns
        ? ([
            ['column', 'f32', accumulator('f32', 4)],
            ['column', 'f32', add(accumulator('f32', 5), perColumn(2, extent))],
          ] as const)
        : []),
    ],
    tolerance: 2e-4,
  });
}

/** One stage of any operation and dtype, stored per row and per element. */
export function folding(op: ReduceOp, dtype: DType, rows: number, extent: number, to: DType = dtype): Case {
  const { scalar } = dtypes[dtype];
  const x = own(0, rows, extent, dtype);
  const length = rows * extent;
  const near = randomValues(length, 'f32', 5).map((value) => stored[dtype](1 + 0.001 * value));
  const result = accumulator(scalar, 0);
  return rowCase(`${op} of ${dtype} rows [${rows}, ${extent}] to ${to}`, {
    rows,
    extent,
    inputs: [[dtype, op === 'prod' && scalar === 'f32' ? near : length]],
    stages: [{ op, body: x }],
    outputs: [
      ['row', to, cast(result, dtypes[to].scalar)],
      ['element', to, cast(term(scalar === 'bool' ? 'and' : 'min', [x, result]), dtypes[to].scalar)],
    ],
    tolerance: 2e-5,
  });
}

/** Folds of columns: of the elements, of twice the elements of a row that starts elsewhere, and of the row's number. */
export function columnFolds(op: ReduceOp, dtype: DType, rows: number, extent: number, to: DType = dtype): Case {
  const { scalar } = dtypes[dtype];
  const x = own(0, rows, extent, dtype);
  const length = rows * extent;
  const near = randomValues(length, 'f32', 5).map((value) => stored[dtype](1 + 0.001 * value));
  const result = accumulator(scalar, 0);
  return rowCase(`${op} of ${dtype} columns [${rows}, ${extent}] to ${to}`, {
    rows,
    extent,
    inputs: [[dtype, op === 'prod' && scalar === 'f32' ? near : length]],
    columns: [
      { op, body: x },
      { op: 'max', body: add(axis(0, rows), mul(axis(1, extent), integer(2))) },
    ],
    outputs: [
      ['column', to, cast(result, dtypes[to].scalar)],
      ['column', 'i32', add(accumulator('i32', 1), axis(1, extent))],
    ],
    tolerance: 2e-5,
  });
}
