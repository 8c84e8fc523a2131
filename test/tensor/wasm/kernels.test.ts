/** Loop kernels and reductions against their interpretation, on any shapes, views and numbers of threads. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { LoopKernel, ReduceOp } from '../../../packages/tensor/src/compile/kernel.ts';
import { type DType, dtypes, type TypedArray } from '../../../packages/tensor/src/dtype.ts';
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
import { axesOf, backends, check, empty, expectClose, int, linear, product, random } from './checks.ts';
import { execute } from './interpret.ts';

const extent = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(1, 2, 3, 4, 5, 7, 8, 11, 13, 16, 17, 31, 33) },
  fc.integer({ min: 1, max: 40 }),
);
const shapes = fc.array(extent, { minLength: 0, maxLength: 4 }).filter((shape) => product(shape) <= 4000);
const views = ['plain', 'transposed', 'broadcast', 'flipped', 'wrapped', 'padded', 'gathered', 'reshaped'] as const;

/** An index into a buffer of `length` elements from the axes of `shape`, in one of the ways that views make. */
function viewIndex(view: (typeof views)[number], shape: readonly number[], table: number, length: number): Expr {
  const axes = axesOf(shape);
  switch (view) {
    case 'plain':
      return linear(axes, shape);
    case 'transposed':
      return linear([...axes].reverse(), [...shape].reverse());
    case 'broadcast':
      return axes.length > 1 ? (axes[0] as Expr) : int(0);
    case 'flipped':
      return term('sub', [int(product(shape) - 1), linear(axes, shape)]);
    case 'wrapped':
      return mod(add(mul(linear(axes, shape), int(7)), int(3)), int(length));
    case 'padded': {
      const index = linear(axes, shape);
      return select(lt(index, int(5)), int(0), term('sub', [index, int(5)]));
    }
    case 'gathered':
      return load(table, linear(axes, shape), 'i32');
    default:
      return mod(div(linear(axes, shape), int(3)), int(length));
  }
}

describe('loop kernels', () => {
  it('any views of any element types, with several outputs', async () => {
    await fc.assert(
      fc.asyncProperty(
        shapes,
        fc.constantFrom(...views),
        fc.constantFrom(...views),
        fc.constantFrom<DType>('f32', 'f16', 'i32', 'u32', 'bool', 'u8'),
        fc.constantFrom<DType>('f32', 'f16', 'i32', 'u32', 'bool', 'u8'),
        fc.nat(1000),
        async (shape, one, two, source, target, seed) => {
          const n = product(shape);
          const table = random(seed, n, 'i32', n);
          for (let i = 0; i < n; i++) table.data[i] = (Math.abs(table.data[i] as number) * 7) % n;
          const type = dtypes[source].scalar;
          const a = load(0, viewIndex(one, shape, 2, n), 'f32');
          const b = load(1, viewIndex(two, shape, 2, n), type);
          const position = cast(linear(axesOf(shape), shape), 'f32');
          const mixed = add(mul(a, constant(3)), select(lt(a, constant(0)), cast(b, 'f32'), position));
          const kernel: LoopKernel = {
            kind: 'loop',
            name: `${one} ${two} of [${shape}]`,
            shape,
            inputs: [
              { buffer: 0, dtype: 'f32' },
              { buffer: 1, dtype: source },
              { buffer: 2, dtype: 'i32' },
            ],
            outputs: [
              { buffer: 3, dtype: 'f32', value: mixed },
              { buffer: 4, dtype: target, value: cast(b, dtypes[target].scalar) },
            ],
          };
          const buffers = [random(seed, n), random(seed + 1, n, source), table, empty('f32', n), empty(target, n)];
          await check([kernel], buffers, 1e-6);
        },
      ),
      { numRuns: 120 },
    );
  });

  it('transposes of matrices wider than a block of columns', async () => {
    for (const [rows, columns] of [
      [130, 67],
      [3, 200],
      [77, 129],
    ] as const) {
      const [i, j] = [axis(0, rows), axis(1, columns)];
      const kernel: LoopKernel = {
        kind: 'loop',
        name: 'transpose',
        shape: [rows, columns],
        inputs: [{ buffer: 0, dtype: 'f32' }],
        outputs: [{ buffer: 1, dtype: 'f32', value: load(0, add(mul(j, int(rows)), i), 'f32') }],
      };
      await check([kernel], [random(9, rows * columns), empty('f32', rows * columns)], 0);
    }
  });

  it('division and remainder of lanes by any constant', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 2 ** 31 - 1 }),
        fc.integer({ min: 0, max: 2 ** 21 }),
        async (n, start) => {
          const index = add(mul(axis(0, 1021), int(1000)), int(start));
          const kernel: LoopKernel = {
            kind: 'loop',
            name: `div ${n}`,
            shape: [1021],
            inputs: [],
            outputs: [
              { buffer: 0, dtype: 'i32', value: div(index, int(n)) },
              { buffer: 1, dtype: 'i32', value: mod(index, int(n)) },
            ],
          };
          await check([kernel], [empty('i32', 1021), empty('i32', 1021)], 0);
        },
      ),
      { numRuns: 40 },
    );
  });

  it('an update in place reads every old value before any store', async () => {
    const n = 10_003;
    const at = axis(0, n);
    const [p, v] = [load(0, at, 'f32'), load(1, at, 'f32')];
    const kernel: LoopKernel = {
      kind: 'loop',
      name: 'swap',
      shape: [n],
      inputs: [
        { buffer: 0, dtype: 'f32' },
        { buffer: 1, dtype: 'f32' },
      ],
      outputs: [
        { buffer: 0, dtype: 'f32', value: add(v, constant(1)) },
        { buffer: 1, dtype: 'f32', value: mul(p, constant(2)) },
      ],
    };
    await check([kernel], [random(1, n), random(2, n)], 1e-6);
  });
});

describe('reductions', () => {
  it('every operation over any axes of any view', async () => {
    await fc.assert(
      fc.asyncProperty(
        shapes.filter((shape) => shape.length <= 3),
        fc.array(extent, { minLength: 1, maxLength: 2 }),
        fc.constantFrom<ReduceOp>('sum', 'prod', 'max', 'min'),
        fc.constantFrom<DType>('f32', 'i32', 'u32', 'f16', 'u8', 'bool'),
        fc.boolean(),
        fc.nat(1000),
        async (shape, reduced, op, dtype, leading, seed) => {
          const all = [...shape, ...reduced];
          if (product(all) > 20_000 || (dtype === 'bool' && (op === 'sum' || op === 'prod'))) return;
          const [outer, inner] = [axesOf(shape), axesOf(reduced, shape.length)];
          const index = leading
            ? linear([...inner, ...outer], [...reduced, ...shape])
            : linear([...outer, ...inner], all);
          const type = dtypes[dtype].scalar;
          const kernel: LoopKernel = {
            kind: 'loop',
            name: `${op} of ${dtype} [${shape}] over [${reduced}]`,
            shape,
            inputs: [{ buffer: 0, dtype }],
            reduce: { op, extent: reduced, body: load(0, index, type) },
            outputs: [
              { buffer: 1, dtype: type, value: accumulator(type) },
              { buffer: 2, dtype: 'f32', value: add(cast(linear(outer, shape), 'f32'), constant(1)) },
            ],
          };
          const source = random(seed, product(all), dtype, 3);
          // Terms are at most 1 in magnitude: half a unit in the last place for each.
          const tolerance = 6e-8 * product(reduced);
          await check([kernel], [source, empty(type, product(shape)), empty('f32', product(shape))], tolerance);
        },
      ),
      { numRuns: 160 },
    );
  });

  it('the error of a sum does not grow with its length', async () => {
    for (const [rows, columns, overRows] of [
      [1, 1_000_003, false],
      [100_003, 20, true],
    ] as const) {
      const shape = overRows ? [columns] : [rows];
      const extents = overRows ? [rows] : [columns];
      const [o, r] = [axis(0, shape[0] as number), axis(1, extents[0] as number)];
      const index = overRows ? add(mul(r, int(columns)), o) : r;
      const kernel: LoopKernel = {
        kind: 'loop',
        name: 'long sum',
        shape,
        inputs: [{ buffer: 0, dtype: 'f32' }],
        reduce: { op: 'sum', extent: extents, body: load(0, overRows ? index : axis(1, columns), 'f32') },
        outputs: [{ buffer: 1, dtype: 'f32', value: accumulator('f32') }],
      };
      const source = random(5, rows * columns);
      const expected = new Float64Array(shape[0] as number);
      source.data.forEach((x, i) => {
        source.data[i] = x + 10;
        const at = overRows ? i % columns : 0;
        expected[at] = (expected[at] as number) + (source.data[i] as number);
      });
      for (const backend of backends) {
        const results = await execute(backend, [kernel], [source, empty('f32', expected.length)]);
        expectClose(results[1] as TypedArray, expected, 3e-7, kernel.name);
      }
    }
  });

  it.each([1e3, 1e4, 1e5, 1e6, 1e7])('a sum of %i numbers of one sign is right to 3e-7', async (length) => {
    const source = random(11, length);
    let expected = 0;
    source.data.forEach((x, i) => {
      source.data[i] = Math.abs(x) + 1e-3;
      expected += source.data[i] as number;
    });
    const kernel: LoopKernel = {
      kind: 'loop',
      name: 'sum',
      shape: [],
      inputs: [{ buffer: 0, dtype: 'f32' }],
      reduce: { op: 'sum', extent: [length], body: load(0, axis(0, length), 'f32') },
      outputs: [{ buffer: 1, dtype: 'f32', value: accumulator('f32') }],
    };
    for (const backend of backends) {
      const results = await execute(backend, [kernel], [source, empty('f32', 1)]);
      const sum = (results[1] as TypedArray)[0] as number;
      expect(Math.abs(sum - expected) / expected).toBeLessThan(3e-7);
    }
  });

  it('long reductions to few values are the same on any number of threads', async () => {
    const cases: readonly (readonly [shape: number[], extents: number[], leading: boolean])[] = [
      [[], [40_003], false],
      [[3], [15_001], false],
      [[20], [2_003], true],
      [[3], [7, 2_001], false],
      [[2, 6], [3, 1_403], true],
    ];
    for (const [shape, extents, leading] of cases) {
      for (const [op, dtype] of [
        ['sum', 'f32'],
        ['min', 'i32'],
        ['max', 'bool'],
      ] as const) {
        const all = [...shape, ...extents];
        const [outer, inner] = [axesOf(shape), axesOf(extents, shape.length)];
        const index = leading
          ? linear([...inner, ...outer], [...extents, ...shape])
          : linear([...outer, ...inner], all);
        const type = dtypes[dtype].scalar;
        const kernel: LoopKernel = {
          kind: 'loop',
          name: `${op} of ${dtype} [${shape}] over [${extents}]`,
          shape,
          inputs: [{ buffer: 0, dtype }],
          reduce: { op, extent: extents, body: load(0, index, type) },
          outputs: [{ buffer: 1, dtype: type, value: accumulator(type) }],
        };
        const source = random(product(all) % 1000, product(all), dtype, 3);
        // Terms of both signs: the error is that of the terms' magnitudes.
        const tolerance = op === 'sum' ? 1e-7 * product(extents) : 0;
        await check([kernel], [source, empty(type, product(shape))], tolerance);
      }
    }
  });
});

describe('sums of columns', () => {
  it('of rows on pages of their own are right', async () => {
    const [rows, columns] = [601, 1_100];
    const kernel: LoopKernel = {
      kind: 'loop',
      name: 'columns',
      shape: [columns],
      inputs: [{ buffer: 0, dtype: 'f32' }],
      reduce: {
        op: 'sum',
        extent: [rows],
        body: load(0, add(mul(axis(1, rows), int(columns)), axis(0, columns)), 'f32'),
      },
      outputs: [{ buffer: 1, dtype: 'f32', value: accumulator('f32') }],
    };
    const source = random(3, rows * columns);
    const expected = new Float64Array(columns);
    source.data.forEach((x, i) => {
      source.data[i] = x + 2;
      expected[i % columns] = (expected[i % columns] as number) + (source.data[i] as number);
    });
    for (const backend of backends) {
      const results = await execute(backend, [kernel], [source, empty('f32', columns)]);
      expectClose(results[1] as TypedArray, expected, 3e-7, 'columns');
    }
  });
});

describe('programs', () => {
  it('kernels run in order, large and small ones mixed', async () => {
    const n = 50_021;
    const at = axis(0, n);
    const step = (from: number, to: number): LoopKernel => ({
      kind: 'loop',
      name: 'step',
      shape: [n],
      inputs: [{ buffer: from, dtype: 'f32' }],
      outputs: [{ buffer: to, dtype: 'f32', value: term('sin', [add(load(0, at, 'f32'), constant(0.5))]) }],
    });
    const total: LoopKernel = {
      kind: 'loop',
      name: 'total',
      shape: [],
      inputs: [{ buffer: 0, dtype: 'f32' }],
      reduce: { op: 'sum', extent: [n], body: load(0, axis(0, n), 'f32') },
      outputs: [{ buffer: 2, dtype: 'f32', value: accumulator('f32') }],
    };
    const kernels = [step(0, 1), step(1, 0), total, step(0, 1), step(1, 0), step(0, 1), total];
    await check(kernels, [random(1, n), empty('f32', n), empty('f32', 1)], 1e-5);
  });
});
