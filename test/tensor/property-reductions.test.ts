/** Reductions, products, order and indexing equal loops over plain numbers. */
import { concat, tensor } from '@actionclip/tensor';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { arrayOf, arrays, positiveExtent, shapes } from './arbitraries.ts';
import { expectNear } from './comparison.ts';
import { everyDevice, use } from './devices.ts';
import { at, build, foldAxes, indexOf, matmul, type NaiveArray, sizeOf, toTensor } from './naive.ts';

const total = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
const average = (values: readonly number[]): number => total(values) / values.length;
const spread = (values: readonly number[]): number => {
  const mean = average(values);
  return total(values.map((v) => (v - mean) ** 2)) / Math.max(0, values.length - 1);
};

/** Reductions that have a value for no elements at all, and those that have none. */
const folds: Readonly<Record<string, { of: (values: readonly number[]) => number; empty: boolean }>> = {
  sum: { of: total, empty: true },
  prod: { of: (values) => values.reduce((a, b) => a * b, 1), empty: true },
  max: { of: (values) => Math.max(...values), empty: false },
  min: { of: (values) => Math.min(...values), empty: false },
  mean: { of: average, empty: true },
  var: { of: spread, empty: true },
  norm: { of: (values) => Math.hypot(...values), empty: true },
  any: { of: (values) => Number(values.some((v) => v !== 0)), empty: true },
  all: { of: (values) => Number(values.every((v) => v !== 0)), empty: true },
};

/** An array and some of its axes. */
const withAxes = fc
  .integer({ min: 0, max: 4 })
  .chain((rank) =>
    fc.tuple(
      arrays({ minRank: rank, maxRank: rank, most: 120 }),
      fc.subarray(Array.from({ length: rank }, (_, i) => i)),
      fc.boolean(),
    ),
  );

const withAxis = (options: Parameters<typeof arrays>[0] = {}): fc.Arbitrary<[NaiveArray, number]> =>
  arrays({ minRank: 1, maxRank: 3, most: 80, ...options }).chain((array) =>
    fc.tuple(fc.constant(array), fc.nat(array.shape.length - 1)),
  );

/** Positions of the sorted elements of every line along `axis`, ties in their order. */
function argsort(array: NaiveArray, axis: number, descending: boolean): NaiveArray {
  return build(array.shape, (index) => {
    const line = Array.from({ length: array.shape[axis] ?? 0 }, (_, i) => i);
    const value = (i: number): number =>
      at(
        array,
        index.map((p, a) => (a === axis ? i : p)),
      );
    line.sort((i, j) => (descending ? value(j) - value(i) : value(i) - value(j)) || i - j);
    return line[index[axis] ?? 0] ?? 0;
  });
}

const along = (array: NaiveArray, axis: number, positions: NaiveArray): NaiveArray =>
  build(positions.shape, (index) =>
    at(
      array,
      index.map((p, a) => (a === axis ? at(positions, index) : p)),
    ),
  );

describe.each(everyDevice)('reductions and products on $name', (device) => {
  let close = async (): Promise<void> => undefined;
  beforeAll(async () => {
    const opened = await use(device);
    close = () => opened.close();
  });
  afterAll(() => close());
  const few = Math.max(2, Math.floor(device.runs / 2));
  /** Sums round once for each element. */
  const tolerance = Math.max(device.tolerance, 1e-11) * 4;

  it.each(Object.entries(folds))('%s folds any axes', async (name, { of, empty }) => {
    await fc.assert(
      fc.asyncProperty(withAxes, async ([array, axes, keepdim]) => {
        const nothing = axes.some((axis) => array.shape[axis] === 0);
        const x = toTensor(array);
        const method = name as 'sum';
        if (nothing && !empty) {
          expect(() => x[method](axes, keepdim)).toThrow(`${name}: [${array.shape.join(', ')}] has no elements`);
          return;
        }
        const folded = foldAxes(array, axes, of);
        const shape = keepdim ? array.shape.map((e, i) => (axes.includes(i) ? 1 : e)) : folded.shape;
        await expectNear(x[method](axes, keepdim), { shape, data: folded.data }, tolerance, `${name} over [${axes}]`);
      }),
      { numRuns: few },
    );
  });

  it('argmax and argmin name the first of equals', async () => {
    await fc.assert(
      fc.asyncProperty(withAxis({ empty: false }), async ([array, axis]) => {
        const x = toTensor(array);
        await expectNear(
          x.argmax(axis),
          foldAxes(array, [axis], (values) => values.indexOf(Math.max(...values))),
          0,
        );
        await expectNear(
          x.argmin(axis, true).squeeze(axis),
          foldAxes(array, [axis], (values) => values.indexOf(Math.min(...values))),
          0,
        );
        expect(await x.argmax().item()).toBe(array.data.indexOf(Math.max(...array.data)));
      }),
      { numRuns: few },
    );
  });

  it('sort, argsort and topk are stable', async () => {
    await fc.assert(
      fc.asyncProperty(withAxis(), fc.boolean(), fc.nat(100), async ([array, axis], descending, part) => {
        const x = toTensor(array);
        const positions = argsort(array, axis, descending);
        const { values, indices } = x.sort(axis, descending);
        await expectNear(indices, positions, 0, 'positions');
        await expectNear(values, along(array, axis, positions), 0, 'values');
        const k = part % ((array.shape[axis] ?? 0) + 1);
        const first = build(
          array.shape.map((e, a) => (a === axis ? k : e)),
          (index) => at(argsort(array, axis, true), index),
        );
        const top = x.topk(k, axis);
        await expectNear(top.indices, first, 0, 'topk');
        await expectNear(top.values, along(array, axis, first), 0, 'topk');
      }),
      { numRuns: Math.max(1, Math.floor(device.runs / 3)) },
    );
  });

  it('cumsum adds up along an axis', async () => {
    await fc.assert(
      fc.asyncProperty(withAxis(), async ([array, axis]) => {
        const expected = build(array.shape, (index) => {
          let sum = 0;
          for (let i = 0; i <= (index[axis] ?? 0); i++)
            sum += at(
              array,
              index.map((p, a) => (a === axis ? i : p)),
            );
          return sum;
        });
        await expectNear(toTensor(array).cumsum(axis), expected, tolerance);
      }),
      { numRuns: few },
    );
  });

  it('gather and scatterAdd take from and add to where the index says', async () => {
    const drawn = withAxis({ empty: false }).chain(([array, axis]) =>
      fc.integer({ min: 0, max: 5 }).chain((count) => {
        const shape = array.shape.map((e, a) => (a === axis ? count : e));
        const place = fc.nat((array.shape[axis] ?? 1) - 1);
        return fc.tuple(fc.constant(array), fc.constant(axis), arrayOf(shape, place), arrayOf(shape));
      }),
    );
    await fc.assert(
      fc.asyncProperty(drawn, async ([array, axis, index, source]) => {
        const x = toTensor(array);
        const places = toTensor(index, 'i32');
        await expectNear(x.gather(axis, places), along(array, axis, index), 0, 'gather');
        const sums = [...array.data];
        index.data.forEach((place, k) => {
          const own = indexOf(k, index.shape).map((p, a) => (a === axis ? place : p));
          const linear = own.reduce((sum, p, a) => sum * (array.shape[a] ?? 1) + p, 0);
          sums[linear] = (sums[linear] ?? 0) + (source.data[k] ?? 0);
        });
        const expected = { shape: array.shape, data: sums };
        await expectNear(x.scatterAdd(axis, places, toTensor(source)), expected, tolerance, 'scatterAdd');
      }),
      { numRuns: few },
    );
  });

  it('indexSelect takes slices by an index of any shape', async () => {
    const drawn = withAxis({ empty: false }).chain(([array, axis]) =>
      fc.tuple(
        fc.constant(array),
        fc.constant(axis),
        arrays({ maxRank: 2, most: 6 }, fc.nat((array.shape[axis] ?? 1) - 1)),
      ),
    );
    await fc.assert(
      fc.asyncProperty(drawn, async ([array, axis, index]) => {
        const shape = [...array.shape.slice(0, axis), ...index.shape, ...array.shape.slice(axis + 1)];
        const expected = build(shape, (position) => {
          const own = position.slice(axis, axis + index.shape.length);
          return at(array, [...position.slice(0, axis), at(index, own), ...position.slice(axis + index.shape.length)]);
        });
        await expectNear(toTensor(array).indexSelect(axis, toTensor(index, 'i32')), expected, 0);
      }),
      { numRuns: few },
    );
  });

  const batches = fc.tuple(shapes({ maxRank: 2, most: 6 }), fc.boolean(), fc.boolean());
  const products = fc
    .tuple(batches, positiveExtent, fc.constantFrom(0, 1, 2, 3, 5, 8, 13), positiveExtent, fc.boolean(), fc.boolean())
    .chain(([[batch, leftOnes, rightShort], m, k, n, leftVector, rightVector]) => {
      const left = leftVector ? [k] : [...(leftOnes ? batch.map(() => 1) : batch), m, k];
      const right = rightVector ? [k] : [...(rightShort ? batch.slice(1) : batch), k, n];
      return fc.tuple(arrayOf(left), arrayOf(right));
    });
  it('matmul multiplies vectors, matrices and broadcast batches', async () => {
    await fc.assert(
      fc.asyncProperty(products, async ([a, b]) => {
        const label = `[${a.shape}] x [${b.shape}]`;
        await expectNear(toTensor(a).matmul(toTensor(b)), matmul(a, b), tolerance, label);
      }),
      { numRuns: device.runs * 2 },
    );
  });

  it('matmul reads transposed operands in place, with arithmetic before and after', async () => {
    const drawn = fc
      .tuple(positiveExtent, positiveExtent, positiveExtent)
      .chain(([m, k, n]) => fc.tuple(arrayOf([k, m]), arrayOf([n, k]), arrayOf([n])));
    await fc.assert(
      fc.asyncProperty(drawn, async ([a, b, bias]) => {
        const flipped = (x: NaiveArray): NaiveArray =>
          build([x.shape[1] ?? 0, x.shape[0] ?? 0], ([i = 0, j = 0]) => at(x, [j, i]));
        const doubled = { ...a, data: a.data.map((v) => 2 * v) };
        const product = matmul(flipped(doubled), flipped(b));
        const expected = build(product.shape, (index) => Math.max(0, at(product, index) + at(bias, index.slice(1))));
        const result = toTensor(a).mul(2).T.matmul(toTensor(b).T).add(toTensor(bias)).relu();
        await expectNear(result, expected, tolerance);
      }),
      { numRuns: few },
    );
  });
});

describe('large enough for tiles and threads', () => {
  it.each(everyDevice)('matmul and sums agree with loops on $name', async (device) => {
    const opened = await use(device);
    const [m, k, n] = device.name.includes('webgpu') ? [33, 35, 37] : [67, 129, 71];
    const value = (i: number): number => ((i * 7919) % 97) / 97 - 0.5;
    const a = { shape: [m, k], data: Array.from({ length: m * k }, (_, i) => Math.fround(value(i))) };
    const b = { shape: [k, n], data: Array.from({ length: k * n }, (_, i) => Math.fround(value(i + 31))) };
    await expectNear(toTensor(a).matmul(toTensor(b)), matmul(a, b), device.tolerance * 8);
    const wide = { shape: [3, 5000], data: Array.from({ length: 15000 }, (_, i) => Math.fround(value(i))) };
    await expectNear(toTensor(wide).sum(1), foldAxes(wide, [1], total), device.tolerance * 200);
    const column = concat([toTensor(a), toTensor(a)], 1).sum(0);
    expect(column.size).toBe(2 * k);
    await expectNear(
      column,
      { shape: [2 * k], data: [0, 1].flatMap(() => [...foldAxes(a, [0], total).data]) },
      device.tolerance * 50,
    );
    expect(sizeOf(column.shape)).toBe(2 * k);
    await opened.close();
  });

  it.each(everyDevice)('whole numbers and booleans reduce exactly on $name', async (device) => {
    const opened = await use(device);
    const large = 2 ** (device.smallWholeNumbers ? 15 : 30);
    const x = tensor([5, -3, large, large, 7], { dtype: 'i32' });
    expect(await x.sum().item()).toBe((2 * large + 9) | 0);
    expect(await x.max().item()).toBe(large);
    expect(x.sum().dtype).toBe('i32');
    const flags = tensor([true, false, true]);
    expect(await flags.sum().item()).toBe(2);
    expect(flags.sum().dtype).toBe('i32');
    expect(await flags.any().item()).toBe(1);
    expect(await flags.all().item()).toBe(0);
    expect(await flags.argmax().item()).toBe(0);
    expect([...(await tensor([3, 1, 2], { dtype: 'u32' }).sort().values.data())]).toEqual([1, 2, 3]);
    const product = tensor([[2, 3]], { dtype: 'i32' }).matmul(tensor([[4], [5]], { dtype: 'i32' }));
    if (device.smallWholeNumbers) await expect(product.data()).rejects.toThrow(/contract: .*'mul' of i32 whose values/);
    else expect([...(await product.data())]).toEqual([23]);
    await opened.close();
  });
});
