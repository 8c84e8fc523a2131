// Several runs at a time: how many, in which order, what is kept, and what a failure stops.
import { expect, it } from 'vitest';
import { severalAtOnce } from '../../benchmarks/harness/several-at-once.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

it('starts the runs in order, no more at a time than asked for, and keeps one outcome after the other', async () => {
  const started: number[] = [];
  const kept: number[] = [];
  let running = 0;
  let most = 0;
  let keeping = 0;
  await severalAtOnce({
    items: [1, 2, 3, 4, 5],
    jobs: 2,
    async run(item) {
      started.push(item);
      most = Math.max(most, ++running);
      await turn();
      running--;
      return 10 * item;
    },
    async keep(item, outcome) {
      expect(++keeping).toBe(1);
      await turn();
      kept.push(item + outcome);
      keeping--;
    },
  });
  expect(started).toEqual([1, 2, 3, 4, 5]);
  expect(most).toBe(2);
  expect(kept.toSorted((a, b) => a - b)).toEqual([11, 22, 33, 44, 55]);
});

it('starts nothing after a failure, and keeps what was under way', async () => {
  const started: number[] = [];
  const kept: number[] = [];
  const work = severalAtOnce({
    items: [1, 2, 3, 4],
    jobs: 2,
    async run(item) {
      started.push(item);
      if (item === 1) throw new Error('the first');
      await turn();
      return item;
    },
    keep: async (item) => {
      kept.push(item);
    },
  });
  await expect(work).rejects.toThrow('the first');
  expect(started).toEqual([1, 2]);
  expect(kept).toEqual([2]);
});
