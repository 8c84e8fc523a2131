/** Learning-rate schedules against the values of ActionCLIP's own training. */
import { constantSchedule, cosineSchedule, multistepSchedule, OptimizerError } from '@actionclip/tensor';
import { describe, expect, it } from 'vitest';

describe('cosineSchedule', () => {
  it.each([
    [0, 0],
    [0.1, 1e-7],
    [1, 1e-6],
    [2.5, 2.5e-6],
    [5, 5e-6],
    [10, 4.84923e-6],
    [20, 3.75e-6],
    [27.5, 2.5e-6],
    [40, 5.84889e-7],
    [49, 6.08987e-9],
    [50, 0],
    [60, 0],
  ])('gives at epoch %f the rate %f for a base of 5e-6, 50 epochs and 5 of warm-up', (epoch, rate) => {
    const found = 5e-6 * cosineSchedule({ epochs: 50, warmupEpochs: 5 })(epoch);
    expect(Math.abs(found - rate)).toBeLessThanOrEqual(5e-6 * rate);
  });

  it('starts at the base rate without warm-up', () => {
    expect(cosineSchedule({ epochs: 10 })(0)).toBe(1);
  });

  it('refuses a training that is not longer than its warm-up', () => {
    expect(() => cosineSchedule({ epochs: 5, warmupEpochs: 5 })).toThrow(OptimizerError);
  });
});

describe('multistepSchedule', () => {
  it('warms up, then multiplies by the decay at each milestone', () => {
    const factor = multistepSchedule({ milestones: [10, 20], warmupEpochs: 4 });
    expect([0, 1, 4, 9.9].map(factor)).toEqual([0, 0.25, 1, 1]);
    expect([10, 19.9, 20, 35].map(factor)).toEqual([0.1, 0.1, expect.closeTo(0.01, 12), expect.closeTo(0.01, 12)]);
  });

  it('takes one number for its multiples', () => {
    const factor = multistepSchedule({ milestones: 10, decay: 0.5 });
    expect([0, 9.9, 10, 20, 45].map(factor)).toEqual([1, 1, 0.5, 0.25, 0.0625]);
  });

  it.each([
    ['no milestones', [], 0],
    ['milestones that do not rise', [10, 10], 0],
    ['a milestone within the warm-up', [5, 10], 5],
  ])('refuses %s', (_, milestones, warmupEpochs) => {
    expect(() => multistepSchedule({ milestones, warmupEpochs })).toThrow(OptimizerError);
  });
});

describe('constantSchedule', () => {
  it('is 1 throughout', () => {
    expect([0, 3.5, 100].map(constantSchedule())).toEqual([1, 1, 1]);
  });
});
