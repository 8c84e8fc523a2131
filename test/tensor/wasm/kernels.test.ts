/** Loop, contraction and scatter kernels against their interpretation, on any shapes, views and numbers of threads. */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Backend } from '../../../packages/tensor/src/backends/backend.ts';
import { createWasmBackend } from '../../../packages/tensor/src/backends/wasm/backend.ts';
import type { Kernel, LoopKernel, ReduceOp, ScatterKernel } from '../../../packages/tensor/src/compile/kernel.ts';
import { type DType, dtypes, fromHalfBits, type TypedArray, toHalfBits } from '../../../packages/tensor/src/dtype.ts';
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
import { execute, type HostBuffer, interpret, widened } from './interpret.ts';

const backends: Backend[] = [];
beforeAll(async () => {
  for (const threads of [1, 2, 3]) backends.push(await createWasmBackend({ threads }));
});
afterAll(async () => {
  for (const backend of backends) await backend.close();
});

const int = (value: number): Expr => constant(value, 'i32');

/** Reproducible numbers in [-1, 1), or small counts for integers. */
function random(seed: number, length: number, dtype: DType = 'f32', bound = 100): HostBuffer {
  let state = (seed * 2654435761 + 12345) >>> 0;
  const data = dtypes[dtype].array(length);
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const unit = state / 2 ** 32;
    if (dtype === 'f32') data[i] = unit * 2 - 1;
    else if (dtype === 'f16') data[i] = toHalfBits(unit * 2 - 1);
    else if (dtype === 'bool') data[i] = unit < 0.5 ? 0 : 1;
    else data[i] = Math.floor(unit * bound) - (dtype === 'i32' ? bound / 2 : 0);
  }
  return { dtype, data };
}

const empty = (dtype: DType, length: number): HostBuffer => ({ dtype, data: dtypes[dtype].array(length) });

const halves = (bits: TypedArray): Float64Array => Float64Array.from(bits, fromHalfBits);

function expectClose(actual: TypedArray, expected: TypedArray, tolerance: number, what: string): void {
  for (let i = 0; i < expected.length; i++) {
    const [a, e] = [actual[i] as number, expected[i] as number];
    const error = Math.abs(a - e);
    if (!(error <= tolerance * Math.max(1, Math.abs(e)))) expect.fail(`${what}: element ${i} is ${a}, not ${e}`);
  }
}

/** Runs on 1, 2 and 3 threads, which must agree to the bit, and compares with the interpretation. */
async function check(kernels: readonly Kernel[], buffers: readonly HostBuffer[], tolerance: number): Promise<void> {
  const expected = buffers.map(widened);
  interpret(kernels, expected);
  const results = await Promise.all(backends.map((backend) => execute(backend, kernels, buffers)));
  for (const [i, buffer] of expected.entries()) {
    const first = (results[0] as TypedArray[])[i] as TypedArray;
    const what = `buffer ${i} of ${kernels[0]?.name}`;
    if (buffer.dtype === 'f16') expectClose(halves(first), halves(buffer.data), 1e-3 + tolerance, what);
    else expectClose(first, buffer.data, buffer.dtype === 'f32' ? tolerance : 0, what);
    for (const other of results.slice(1)) expect((other as TypedArray[])[i]).toEqual(first);
  }
}

const product = (extents: readonly number[]): number => extents.reduce((a, b) => a * b, 1);
const axesOf = (shape: readonly number[], first = 0): Expr[] => shape.map((n, i) => axis(first + i, n));
const linear = (indices: readonly Expr[], extents: readonly number[]): Expr =>
  indices.reduce<Expr>((sum, e, i) => add(mul(sum, int(extents[i] as number)), e), int(0));

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
        fc.constantFrom<DType>('f32', 'i32', 'u32'),
        fc.boolean(),
        fc.nat(1000),
        async (shape, reduced, op, dtype, leading, seed) => {
          const all = [...shape, ...reduced];
          if (product(all) > 20_000) return;
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
              { buffer: 1, dtype, value: accumulator(type) },
              { buffer: 2, dtype: 'f32', value: add(cast(linear(outer, shape), 'f32'), constant(1)) },
            ],
          };
          const source = random(seed, product(all), dtype, 3);
          // Terms are at most 1 in magnitude: half a unit in the last place for each.
          const tolerance = 6e-8 * product(reduced);
          await check([kernel], [source, empty(dtype, product(shape)), empty('f32', product(shape))], tolerance);
        },
      ),
      { numRuns: 120 },
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
});

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
