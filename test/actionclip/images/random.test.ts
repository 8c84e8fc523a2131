// The host's random numbers: streams by key, saved states, fairness.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Random, RandomError } from '../../../packages/actionclip/src/data/random.ts';
import { seed } from './arbitraries.ts';

const draw = (random: Random, count: number): number[] => Array.from({ length: count }, () => random.bits());

describe('random streams', () => {
  it('follow the published xoshiro128** from a known state', () => {
    const random = new Random({ key: [1, 2, 3, 4], position: [1, 2, 3, 4] });
    expect(draw(random, 4)).toEqual([11520, 0, 5927040, 70819200]);
  });

  it('continue from a saved state as if never stopped', () => {
    fc.assert(
      fc.property(seed, fc.nat(20), (key, drawn) => {
        const random = new Random(key);
        draw(random, drawn);
        const resumed = new Random(JSON.parse(JSON.stringify(random.state())));
        expect(draw(resumed, 20)).toEqual(draw(random, 20));
        expect(draw(resumed.fork('a'), 5)).toEqual(draw(random.fork('a'), 5));
      }),
    );
  });

  it('fork by key alone, however many numbers were drawn before', () => {
    fc.assert(
      fc.property(seed, fc.nat(100), fc.nat(100000), fc.nat(20), (key, epoch, sample, drawn) => {
        const random = new Random(key);
        const early = draw(random.fork(epoch, sample), 4);
        draw(random, drawn);
        expect(draw(random.fork(epoch, sample), 4)).toEqual(early);
      }),
    );
  });

  it('differ for every epoch, sample, name and order of keys', () => {
    const root = new Random(0);
    const keys = Array.from({ length: 40 }, (_, i) => Array.from({ length: 40 }, (_, j) => [i, j] as const)).flat();
    const streams = [
      ...keys.map(([i, j]) => root.fork(i, j)),
      root.fork('1'),
      root.fork(1),
      root.fork('ab', 'c'),
      root.fork('a', 'bc'),
    ];
    expect(new Set(streams.map((stream) => stream.bits())).size).toBeGreaterThan(streams.length - 2);
    expect(new Set(streams.map((stream) => stream.state().key.join())).size).toBe(streams.length);
  });

  it('refuse a state that is not four words', () => {
    const good = [1, 2, 3, 4];
    for (const position of [[1, 2, 3], [0, 0, 0, 0], [1, 2, 3, -4], [1, 2, 3, 0.5], []]) {
      expect(() => new Random({ key: good, position })).toThrow(RandomError);
    }
    expect(() => new Random(Number.NaN)).toThrow(/NaN/);
  });
});

describe('random draws', () => {
  const count = 20000;
  const many = (of: (random: Random) => number): number[] => {
    const random = new Random('fairness');
    return Array.from({ length: count }, () => of(random));
  };
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

  it('are uniform between their bounds', () => {
    const values = many((random) => random.uniform(-1, 3));
    expect(Math.min(...values)).toBeGreaterThanOrEqual(-1);
    expect(Math.max(...values)).toBeLessThan(3);
    expect(Math.abs(mean(values) - 1)).toBeLessThan(0.05);
  });

  it('give every integer equally often', () => {
    const counts = new Array<number>(7).fill(0);
    for (const value of many((random) => random.integer(7))) counts[value] = (counts[value] ?? 0) + 1;
    for (const times of counts) expect(Math.abs(times - count / 7)).toBeLessThan(250); // five deviations
    expect(() => new Random(1).integer(0)).toThrow(/count is 0/);
    expect(() => new Random(1).choice([])).toThrow(/empty/);
  });

  it('are normal with the mean and deviation asked for', () => {
    const values = many((random) => random.normal(2, 3));
    const average = mean(values);
    expect(Math.abs(average - 2)).toBeLessThan(0.1);
    expect(Math.abs(Math.sqrt(mean(values.map((value) => (value - average) ** 2))) - 3)).toBeLessThan(0.1);
  });

  it('shuffle into every order equally often', () => {
    const random = new Random(11);
    const orders = new Map<string, number>();
    for (let i = 0; i < 6000; i++) {
      const order = random.shuffle(['a', 'b', 'c']).join('');
      orders.set(order, (orders.get(order) ?? 0) + 1);
    }
    expect(orders.size).toBe(6);
    for (const times of orders.values()) expect(Math.abs(times - 1000)).toBeLessThan(150); // five deviations
  });

  it('never happen at probability 0 and always at 1', () => {
    expect(mean(many((random) => Number(random.chance(0))))).toBe(0);
    expect(mean(many((random) => Number(random.chance(1))))).toBe(1);
  });
});
