/** Every scalar operation, computed in four lanes and one by one, against its definition. */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Backend } from '../../../packages/tensor/src/backends/backend.ts';
import { createWasmBackend } from '../../../packages/tensor/src/backends/wasm/backend.ts';
import { dtypes, type ScalarType, type TypedArray } from '../../../packages/tensor/src/dtype.ts';
import { evaluateScalar } from '../../../packages/tensor/src/expr/evaluate.ts';
import { axis, type Expr, intern, load, type ScalarOp } from '../../../packages/tensor/src/expr/expr.ts';
import { execute, type HostBuffer, ulps } from './interpret.ts';

let backend: Backend;
beforeAll(async () => {
  backend = await createWasmBackend({ threads: 1 });
});
afterAll(() => backend.close());

const { POSITIVE_INFINITY: infinity, NaN: nan } = Number;
const floats = [
  0,
  -0,
  1,
  -1,
  0.5,
  -0.5,
  1.5,
  2.5,
  -2.5,
  3,
  7.25,
  -100.75,
  1e-8,
  -1e-8,
  1e-40,
  1e10,
  -1e10,
  3e38,
  -3e38,
  65504,
  88,
  -88,
  infinity,
  -infinity,
  nan,
  0.1,
  123456.789,
  4294967040,
  -2147483648,
].map(Math.fround);
const signed = [
  0,
  1,
  -1,
  2,
  -2,
  3,
  7,
  -7,
  31,
  32,
  33,
  100,
  -100,
  65535,
  65536,
  123456789,
  -123456789,
  2 ** 31 - 1,
  -(2 ** 31),
];
const grids: Readonly<Record<ScalarType, readonly number[]>> = {
  f32: floats,
  i32: signed,
  u32: signed.map((x) => x >>> 0),
  bool: [0, 1],
};
const arrays = { f32: Float32Array, i32: Int32Array, u32: Uint32Array, bool: Uint32Array } as const;

/** Results of `op` on pairs (a, b), one by one: 3 elements are too few for lanes, so each call covers a different tail. */
async function compute(
  op: ScalarOp,
  from: ScalarType,
  type: ScalarType,
  columns: readonly (readonly number[])[],
): Promise<TypedArray> {
  const n = columns[0]?.length ?? 0;
  const args = columns.map((_, i) => load(i, axis(0, n), from));
  const kernel = {
    kind: 'loop' as const,
    name: op,
    shape: [n],
    inputs: columns.map((_, buffer) => ({ buffer, dtype: from })),
    outputs: [{ buffer: columns.length, dtype: type, value: intern(op, type, args) as Expr }],
  };
  const buffers: HostBuffer[] = columns.map((c) => ({ dtype: from, data: arrays[from].from(c) }));
  buffers.push({ dtype: type, data: dtypes[type].array(n) });
  return (await execute(backend, [kernel], buffers))[columns.length] as TypedArray;
}

type Row = readonly [ops: readonly ScalarOp[], from: ScalarType, arity: 1 | 2, type: ScalarType, ulps: number];
const arithmetic = ['add', 'sub', 'mul', 'div', 'mod', 'min', 'max'] as const;
const rows: readonly Row[] = [
  [['neg', 'abs', 'sign', 'floor', 'ceil', 'round', 'trunc', 'sqrt'], 'f32', 1, 'f32', 0.5],
  [['exp', 'log', 'tanh', 'erf', 'atan', 'sin', 'cos', 'tan'], 'f32', 1, 'f32', 2.5],
  [arithmetic, 'f32', 2, 'f32', 0.5],
  [['pow'], 'f32', 2, 'f32', 1],
  [['lt', 'le', 'eq', 'ne'], 'f32', 2, 'bool', 0],
  [['neg', 'abs', 'sign', 'not', 'floor', 'trunc'], 'i32', 1, 'i32', 0],
  [[...arithmetic, 'and', 'or', 'xor', 'shl', 'shr'], 'i32', 2, 'i32', 0],
  [['lt', 'le', 'eq', 'ne'], 'i32', 2, 'bool', 0],
  [['neg', 'sign', 'not'], 'u32', 1, 'u32', 0],
  [[...arithmetic, 'and', 'or', 'xor', 'shl', 'shr'], 'u32', 2, 'u32', 0],
  [['lt', 'le', 'eq', 'ne'], 'u32', 2, 'bool', 0],
  [['not'], 'bool', 1, 'bool', 0],
  [['and', 'or', 'xor', 'min', 'max', 'mul', 'add'], 'bool', 2, 'bool', 0],
  [['lt', 'le', 'eq', 'ne'], 'bool', 2, 'bool', 0],
  [['cast'], 'f32', 1, 'i32', 0],
  [['cast'], 'f32', 1, 'u32', 0],
  [['cast'], 'f32', 1, 'bool', 0],
  [['cast'], 'i32', 1, 'f32', 0.5],
  [['cast'], 'i32', 1, 'u32', 0],
  [['cast'], 'i32', 1, 'bool', 0],
  [['cast'], 'u32', 1, 'f32', 0.5],
  [['cast'], 'u32', 1, 'i32', 0],
  [['cast'], 'u32', 1, 'bool', 0],
  [['cast'], 'bool', 1, 'f32', 0],
  [['cast'], 'bool', 1, 'i32', 0],
  [['cast'], 'bool', 1, 'u32', 0],
  [['bitcast'], 'f32', 1, 'i32', 0],
  [['bitcast'], 'f32', 1, 'u32', 0],
  [['bitcast'], 'i32', 1, 'u32', 0],
];

/** Where the definition in 64 bits leaves the range in which a reduction of 32-bit angles means anything. */
const angular = new Set<ScalarOp>(['sin', 'cos', 'tan']);

function check(op: ScalarOp, row: Row, columns: readonly (readonly number[])[], results: TypedArray): void {
  const [, from, , type, bound] = row;
  for (let i = 0; i < results.length; i++) {
    const args = columns.map((column) => column[i] as number);
    if (angular.has(op) && Math.abs(args[0] as number) > 1e8) continue;
    const expected = evaluateScalar(op, type, from, args);
    const actual = results[i] as number;
    const error = type === 'f32' ? ulps(actual, expected) : actual === expected ? 0 : infinity;
    if (error > bound) expect.fail(`${op}(${args}) on ${from} gives ${actual}, not ${expected} (${error} ulps)`);
  }
}

describe('scalar operations agree with their definition', () => {
  for (const row of rows) {
    const [ops, from, arity, type] = row;
    for (const op of ops) {
      it(`${op}: ${from} to ${type}, on a grid of particular values`, async () => {
        const grid = grids[from];
        const columns =
          arity === 1 ? [[...grid]] : [grid.flatMap((a) => grid.map(() => a)), grid.flatMap(() => [...grid])];
        check(op, row, columns, await compute(op, from, type, columns));
        for (const start of [0, 5, 11]) {
          const few = columns.map((column) => column.slice(start, start + 3));
          if (few[0]?.length === 3) check(op, row, few, await compute(op, from, type, few));
        }
      });

      it(`${op}: ${from} to ${type}, on any values`, async () => {
        const element = {
          f32: fc.float({ noDefaultInfinity: false }),
          i32: fc.integer(),
          u32: fc.nat({ max: 2 ** 32 - 1 }),
          bool: fc.nat({ max: 1 }),
        }[from];
        const column = fc.array(element, { minLength: 67, maxLength: 67 });
        await fc.assert(
          fc.asyncProperty(column, column, async (a, b) => {
            const columns = arity === 1 ? [a] : [a, b];
            check(op, row, columns, await compute(op, from, type, columns));
          }),
          { numRuns: 12 },
        );
      });
    }
  }
});

describe('the functions are accurate', () => {
  type Range = readonly [op: ScalarOp, low: number, high: number, bound: number];
  const ranges: readonly Range[] = [
    ['exp', -87, 88, 1.5],
    ['exp', -103, -87, 2],
    ['exp', -1, 1, 1.5],
    ['log', 1e-6, 50, 1.5],
    ['log', 0.5, 2, 2],
    ['sin', -1000, 1000, 1.5],
    ['sin', -1e6, 1e6, 2],
    ['cos', -1000, 1000, 1.5],
    ['cos', -1e6, 1e6, 2],
    ['tan', -1000, 1000, 3],
    ['tanh', -10, 10, 2],
    ['tanh', -0.7, 0.7, 2],
    ['atan', -20, 20, 2],
    ['erf', -4, 4, 2],
    ['erf', -0.01, 0.01, 2],
  ];
  /** Magnitudes from one bound to the other, each step by the same factor. */
  const magnitudes: readonly Range[] = [
    ['exp', 1e-30, 88, 2],
    ['log', 1.2e-38, 3e38, 2],
    ['sin', 1e-30, 1e6, 2],
    ['cos', 1e-30, 1e6, 2],
    ['tanh', 1e-30, 1e10, 2],
    ['erf', 1e-30, 1e10, 2],
    ['atan', 1e-30, 1e10, 2],
  ];
  const samples = 40_000;
  const worstOf = async (op: ScalarOp, xs: readonly number[]): Promise<number> => {
    const results = await compute(op, 'f32', 'f32', [xs]);
    return xs.reduce(
      (most, x, i) => Math.max(most, ulps(results[i] as number, evaluateScalar(op, 'f32', 'f32', [x]))),
      0,
    );
  };
  it.each(ranges)('%s on [%d, %d] within %d units in the last place', async (op, low, high, bound) => {
    const xs = Array.from({ length: samples + 1 }, (_, i) => Math.fround(low + ((high - low) * i) / samples));
    expect(await worstOf(op, xs)).toBeLessThan(bound);
  });
  it.each(magnitudes)(
    '%s of magnitudes from %d to %d within %d units in the last place',
    async (op, low, high, bound) => {
      const xs = Array.from({ length: samples + 1 }, (_, i) => Math.fround(low * (high / low) ** (i / samples)));
      expect(await worstOf(op, xs)).toBeLessThan(bound);
    },
  );
});
