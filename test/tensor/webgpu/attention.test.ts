// Attention by every schedule against its meaning, on sizes at and around the edges of tiles.

import {
  compile,
  type Device,
  gradients,
  openDevice,
  packedAttention,
  setDefaultDevice,
  type Tensor,
  tensor,
} from '@actionclip/tensor';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { attentionCandidates } from '../../../packages/tensor/src/backends/webgpu/attention/choose.ts';
import type { AttentionSchedule } from '../../../packages/tensor/src/backends/webgpu/attention/schedule.ts';
import { createWebGPUBackend, type WebGPUBackend } from '../../../packages/tensor/src/backends/webgpu/backend.ts';
import { shadersOf } from '../../../packages/tensor/src/backends/webgpu/kernels.ts';
import { baseTarget } from '../../../packages/tensor/src/backends/webgpu/target.ts';
import { type AttentionCase, meaning, prepare } from './attention-cases.ts';
import { agree, randomValues } from './interpret.ts';
import { runShaders } from './run-shaders.ts';

let backend: WebGPUBackend;
beforeAll(async () => {
  backend = await createWebGPUBackend({ allowSoftware: true });
});
afterAll(() => backend.close());

/** Asserts that `schedule` computes what the kernel means, forward and backward. */
async function check(
  c: AttentionCase,
  schedules: readonly AttentionSchedule[],
  directions = [false, true],
): Promise<void> {
  for (const backward of directions) {
    const prepared = prepare({ ...c, backward });
    const expected = meaning(prepared);
    for (const schedule of schedules) {
      const shaders = shadersOf(prepared.kernel, baseTarget, schedule);
      const contents = await runShaders(backend, shaders, prepared);
      const actual = contents[prepared.output] as number[];
      const wrong = expected.flatMap((value, i) => {
        const got = actual[i] as number;
        return agree(got, value, 1e-5) ? [] : [`[${i}]: ${got} instead of ${value}`];
      });
      expect(wrong.slice(0, 5), JSON.stringify({ ...c, backward, schedule })).toEqual([]);
    }
  }
}

const tiles = (tileM: number, tileN: number, tileK = 16, lanes = 4): AttentionSchedule => ({
  kind: 'materialised',
  tileM,
  tileN,
  tileK,
  lanes,
});

const plain = { batch: [2, 1, 2], queries: 1, keys: 7, width: 5, valueWidth: 7 };

// Shapes of one structure share their shaders, of which a software adapter compiles few in a second.
describe('attention with its scores in memory', () => {
  const small = tiles(16, 16);

  it('takes every size, by tiles of every shape', async () => {
    await check(plain, [small, tiles(32, 8, 8, 16)]);
    await check({ ...plain, queries: 33, keys: 31, width: 4, valueWidth: 20 }, [small]);
    await check({ ...plain, queries: 16, keys: 32, width: 7, valueWidth: 1 }, [small, tiles(32, 8, 8, 16)]);
  });

  it('reads and writes packed projections in place, under a mask that is added', async () => {
    const packed: AttentionCase = { ...plain, packed: true, mask: 'f32', causal: true, batch: [2, 3], width: 5 };
    for (const length of [7, 33]) {
      await check({ ...packed, queries: length, keys: length, valueWidth: 5, empty: [2] }, [small]);
    }
  });

  it('is NaN where a query may look nowhere, and has no gradient for what is hidden', async () => {
    const hidden: AttentionCase = { ...plain, batch: [2, 2], mask: 'bool' };
    await check({ ...hidden, queries: 17, keys: 17 }, [small]);
    await check({ ...hidden, queries: 9, keys: 18, empty: [3, 8] }, [small]);
  });

  it('leaves out what is beyond the diagonal', async () => {
    await check({ ...plain, batch: [2], causal: true, queries: 9, keys: 34 }, [small]);
    await check({ ...plain, batch: [2], causal: true, queries: 50, keys: 33 }, [small]);
  });
});

const rows = (count: number, tile: number, step: number): AttentionSchedule => ({
  kind: 'fused',
  rows: count,
  tile,
  step,
});

describe('attention with its scores in registers', () => {
  const [small, other] = [rows(8, 4, 2), rows(4, 8, 8)];
  const even = { ...plain, width: 4, valueWidth: 8 };

  it('takes every length, by tiles of every size', async () => {
    for (const [queries, keys] of [
      [1, 7],
      [33, 31],
      [8, 16],
    ] as const) {
      await check({ ...even, queries, keys }, [small, other]);
    }
  });

  it('reads and writes packed projections in place, under a mask that is added', async () => {
    const packed: AttentionCase = { ...even, packed: true, mask: 'f32', causal: true, batch: [2, 3], valueWidth: 4 };
    for (const length of [7, 33]) await check({ ...packed, queries: length, keys: length, empty: [2] }, [small]);
  });

  it('is NaN where a query may look nowhere, and has no gradient for what is hidden', async () => {
    const hidden: AttentionCase = { ...even, batch: [2, 2], mask: 'bool' };
    await check({ ...hidden, queries: 17, keys: 17 }, [small]);
    await check({ ...hidden, queries: 9, keys: 18, empty: [3, 8] }, [small]);
    await check({ ...hidden, queries: 17, keys: 19, causal: true, empty: [5] }, [small]);
  });

  it('leaves out what is beyond the diagonal', async () => {
    await check({ ...even, batch: [2], causal: true, queries: 9, keys: 34 }, [small]);
    await check({ ...even, batch: [2], causal: true, queries: 50, keys: 33 }, [small]);
  });
});

describe('the schedule of attention', () => {
  const scheduleOf = (c: AttentionCase): AttentionSchedule | undefined =>
    attentionCandidates(prepare(c).kernel, baseTarget)[0];
  const image = { batch: [1], queries: 65, keys: 65, width: 64, valueWidth: 64 };

  it('computes heads as it is chosen', async () => {
    await check(image, [rows(32, 16, 2)], [false]);
    const narrow = { ...image, width: 32, valueWidth: 20 };
    for (const backward of [false, true]) {
      await check(narrow, [scheduleOf({ ...narrow, backward }) as AttentionSchedule], [backward]);
    }
  });

  it('keeps the scores in registers where rows are short and whole vectors', () => {
    expect(scheduleOf(image)?.kind).toBe('fused');
    expect(scheduleOf({ ...image, width: 62 })?.kind).toBe('materialised');
    expect(scheduleOf({ ...image, width: 128, valueWidth: 128 })?.kind).toBe('materialised');
  });

  it('keeps the scores of a gradient in memory as long as there is room', () => {
    const { kernel } = prepare({ ...image, backward: true });
    const schedules = (points: number): Set<string> =>
      new Set(attentionCandidates({ ...kernel, batch: [points] }, baseTarget).map(({ kind }) => kind));
    expect([...schedules(64)]).toEqual(['materialised', 'fused']);
    expect([...schedules(64_000)]).toEqual(['fused']);
  });

  it('needs one dispatch, and three for a gradient', () => {
    const count = (backward: boolean): number =>
      shadersOf(prepare({ ...image, backward }).kernel, baseTarget).shaders.length;
    expect([count(false), count(true)]).toEqual([1, 3]);
  });
});

it('attention of tensors is one dispatch, its gradients three, and both are what the definition gives', async () => {
  const shape = [2, 9, 3, 2, 8];
  const values = randomValues(2 * 9 * 3 * 2 * 8, 'f32', 3);
  const run = async (device: Device): Promise<{ results: number[][]; kernels: readonly string[]; count: number }> => {
    setDefaultDevice(device);
    const step = compile((x: Tensor) => {
      const output = packedAttention(x, { causal: true });
      return [output, ...gradients(output, [x], output)];
    });
    const results: number[][] = [];
    for (const each of await step(tensor(values).reshape(shape))) results.push(Array.from(await each.data()));
    const { kernels, dispatches } = step.stats();
    return { results, kernels, count: dispatches };
  };
  const [oracle, device] = [await openDevice('reference'), await openDevice('webgpu', { allowSoftware: true })];
  const expected = await run(oracle);
  const actual = await run(device);
  expect(actual.kernels).toEqual(['attention', 'attentionBackward']);
  expect(actual.count).toBe(4);
  for (const [i, result] of expected.results.entries()) {
    for (const [j, value] of result.entries())
      expect(agree(actual.results[i]?.[j] ?? Number.NaN, value, 1e-5)).toBe(true);
  }
  for (const opened of [oracle, device]) await opened.close();
});
