/** Chains of views equal the same steps carried out index by index. */
import { concat, meshgrid, moveaxis, realize, stack, tensor, tile, unbind } from '@actionclip/tensor';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { arrayOf, arrays, describeChain, viewChains } from './arbitraries.ts';
import { expectNear } from './comparison.ts';
import { everyDevice, use } from './devices.ts';
import { at, build, type NaiveArray, sizeOf, toTensor } from './naive.ts';

describe.each(everyDevice)('views on $name', (device) => {
  let close = async (): Promise<void> => undefined;
  beforeAll(async () => {
    const opened = await use(device);
    close = () => opened.close();
  });
  afterAll(() => close());

  it('any chain equals its steps index by index', async () => {
    await fc.assert(
      fc.asyncProperty(viewChains(6), async (chain) => {
        let x = toTensor(chain.source);
        for (const step of chain.steps) x = step.tensor(x);
        await expectNear(x, chain.expected, 0, describeChain(chain));
      }),
      { numRuns: device.runs * 8 },
    );
  });

  it('a chain fused with arithmetic equals the arithmetic of the chain', async () => {
    await fc.assert(
      fc.asyncProperty(viewChains(4), async (chain) => {
        let x = toTensor(chain.source).mul(2);
        for (const step of chain.steps) x = step.tensor(x);
        let expected: NaiveArray = { shape: chain.source.shape, data: chain.source.data.map((v) => 2 * v) };
        for (const step of chain.steps) expected = step.naive(expected);
        await expectNear(x.add(1), { ...expected, data: expected.data.map((v) => v + 1) }, 0, describeChain(chain));
      }),
      { numRuns: device.runs * 4 },
    );
  });

  it('rank 8 permutes, flips, repeats, sorts and reduces', async () => {
    const shape = [2, 1, 3, 1, 2, 1, 2, 2];
    await fc.assert(
      fc.asyncProperty(arrayOf(shape), async (array) => {
        const x = toTensor(array);
        const order = [7, 2, 5, 0, 1, 6, 4, 3];
        await expectNear(
          x.permute(...order),
          build(
            order.map((axis) => shape[axis] ?? 1),
            (index) =>
              at(
                array,
                shape.map((_, axis) => index[order.indexOf(axis)] ?? 0),
              ),
          ),
          0,
        );
        const counts = [1, 2, 1, 1, 2, 1, 1, 2];
        await expectNear(
          x.repeat(...counts),
          build(
            shape.map((e, i) => e * (counts[i] ?? 1)),
            (index) =>
              at(
                array,
                index.map((position, i) => position % (shape[i] ?? 1)),
              ),
          ),
          0,
        );
        const sums = x.sum([0, 2, 4, 6, 7]);
        expect(sums.shape).toEqual([1, 1, 1]);
        await expectNear(sums, { shape: [1, 1, 1], data: [array.data.reduce((a, b) => a + b, 0)] }, device.tolerance);
        const sorted = x.sort(2).values;
        const last = [...(await sorted.select(2, 2).data())];
        const largest = [...(await x.max(2).data())];
        expect(last).toEqual(largest);
      }),
      { numRuns: Math.max(1, Math.floor(device.runs / 8)) },
    );
  });

  it('split and chunk are undone by concat, unbind by stack', async () => {
    await fc.assert(
      fc.asyncProperty(
        arrays({ minRank: 1, maxRank: 3, most: 60 }),
        fc.nat(2),
        fc.integer({ min: 1, max: 4 }),
        async (array, a, size) => {
          const x = toTensor(array);
          const axis = a % array.shape.length;
          if ((array.shape[axis] ?? 0) === 0) return;
          await expectNear(concat(x.split(size, axis), axis), array, 0, 'split');
          await expectNear(concat(x.chunk(size, axis), axis), array, 0, 'chunk');
          await expectNear(stack(unbind(x, axis), axis), array, 0, 'unbind');
        },
      ),
      { numRuns: device.runs },
    );
  });

  it('meshgrid, tile, moveaxis and diagonal put elements where NumPy does', async () => {
    const [a, b] = [tensor([1, 2]), tensor([3, 4, 5])];
    const [rows, columns] = meshgrid([a, b]);
    const [across] = meshgrid([a, b], 'xy');
    if (!rows || !columns || !across) throw new Error('meshgrid gives as many as it takes');
    await expectNear(rows, { shape: [2, 3], data: [1, 1, 1, 2, 2, 2] }, 0);
    await expectNear(columns, { shape: [2, 3], data: [3, 4, 5, 3, 4, 5] }, 0);
    await expectNear(across, { shape: [3, 2], data: [1, 2, 1, 2, 1, 2] }, 0);
    await expectNear(tile(a, [2, 2]), { shape: [2, 4], data: [1, 2, 1, 2, 1, 2, 1, 2] }, 0);
    await expectNear(tile(rows, [2]), { shape: [2, 6], data: [1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2] }, 0);
    const cube = build([2, 3, 4], (index) => index.reduce((sum, i) => sum * 10 + i, 0));
    await expectNear(
      moveaxis(toTensor(cube), 0, -1),
      build([3, 4, 2], ([i = 0, j = 0, k = 0]) => at(cube, [k, i, j])),
      0,
    );
    await expectNear(
      toTensor(cube).diagonal(),
      build([2, 3], ([i = 0, j = 0]) => at(cube, [i, j, j])),
      0,
    );
  });

  it('several views of one tensor computed together are computed right', async () => {
    await fc.assert(
      fc.asyncProperty(arrays({ minRank: 1, maxRank: 3, most: 60, empty: false }), async (array) => {
        const base = toTensor(array).add(1);
        const outputs = [base.flip(0), base.reshape([-1]), base.sum(0), base.roll(1, 0), base];
        await realize(outputs);
        const plus = { ...array, data: array.data.map((v) => v + 1) };
        await expectNear(base, plus, device.tolerance);
        const flat = outputs[1];
        if (!flat) throw new Error('five outputs were asked for');
        await expectNear(flat, { shape: [sizeOf(array.shape)], data: plus.data }, device.tolerance);
        const first = array.shape[0] ?? 1;
        const flipped = build(array.shape, ([i = 0, ...rest]) => at(plus, [first - 1 - i, ...rest]));
        const own = outputs[0];
        if (!own) throw new Error('five outputs were asked for');
        await expectNear(own, flipped, device.tolerance);
      }),
      { numRuns: Math.max(2, Math.floor(device.runs / 2)) },
    );
  });
});
