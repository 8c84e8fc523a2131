// Averages of the parameters: what they are, what is validated and saved, and that training never sees them.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SGD, type StateDict, tensor } from '@actionclip/tensor';
import {
  type ActionDataset,
  BEST_CHECKPOINT,
  LAST_CHECKPOINT,
  readTrainingCheckpoint,
  type TrainingCheckpoint,
  train,
} from 'actionclip';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { resolveConfig } from '../../../packages/actionclip/src/train/config-resolution.ts';
import { type Averaging, WeightAverage } from '../../../packages/actionclip/src/train/weight-average.ts';
import { bytesOf, plainDatasets, tinyClips, tinyRun } from '../../end-to-end/tiny-run.ts';

/** A parameter that takes these values step by step, an epoch each, and its averages after every one. */
async function averagesOf(averaging: Averaging, values: readonly number[]): Promise<(number | undefined)[]> {
  const parameter = tensor([0, 0], { requiresGrad: true });
  const optimizer = new SGD([{ parameters: [['p', parameter]], learningRate: 1 }], { learningRate: 1 });
  const average = new WeightAverage(optimizer, averaging);
  const seen: (number | undefined)[] = [];
  for (const [i, value] of values.entries()) {
    parameter.write(Float32Array.of(value, -value));
    await average.afterStep(i + 1);
    await average.afterEpoch(i);
    const state = await average.stateDict();
    seen.push(state.size === 0 ? undefined : Number(state.get('p')?.data[0]));
    await average.during(async () => {
      const [now, opposite] = await parameter.data();
      expect([now, opposite]).toEqual(state.size === 0 ? [value, -value] : [...(state.get('p')?.data ?? [])]);
    });
    expect([...(await parameter.data())]).toEqual([value, -value]);
  }
  return seen;
}

describe('an average', () => {
  it('over steps forgets as fast as its decay says, and faster where it is young', async () => {
    const [first, second, third] = await averagesOf({ kind: 'ema', decay: 0.2 }, [1, 2, 4]);
    expect(first).toBe(1);
    expect(second).toBeCloseTo(0.2 * 1 + 0.8 * 2, 6);
    expect(third).toBeCloseTo(0.2 * 1.8 + 0.8 * 4, 6);
    const [, young] = await averagesOf({ kind: 'ema', decay: 0.999 }, [1, 2]);
    expect(young).toBeCloseTo(0.25 * 1 + 0.75 * 2, 6);
  });

  it('over epochs is the mean of those from the first on', async () => {
    const seen = await averagesOf({ kind: 'swa', firstEpoch: 1 }, [7, 1, 2, 6]);
    expect(seen[0]).toBeUndefined();
    [1, 1.5, 3].forEach((mean, i) => {
      expect(seen[i + 1]).toBeCloseTo(mean, 6);
    });
  });
});

describe('a run with averages', () => {
  let folder = '';
  let clips: ActionDataset;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'actionclip-average-'));
    clips = await tinyClips(join(folder, 'clips'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  async function run(
    name: string,
    solver: object,
    resume?: string,
  ): Promise<{ last: TrainingCheckpoint; model: StateDict; top1: number | undefined }> {
    const tiny = await tinyRun(clips, join(folder, name), { solver: { ...solver } });
    const config = { ...tiny.config, ...(resume === undefined ? {} : { resume }) };
    const { lastCheckpoint, evaluation } = await train({
      ...tiny,
      config,
      datasets: plainDatasets,
      checkpointEvery: 1,
    });
    return {
      last: await readTrainingCheckpoint(lastCheckpoint),
      model: await tiny.opened.model.stateDict(),
      top1: evaluation?.top1,
    };
  }

  it('trains as one without them, and ends with the averages in the model', async () => {
    const plain = await run('plain', {});
    const averaged = await run('ema', { ema_decay: 0.5 });
    expect(bytesOf(averaged.last.parameters)).toEqual(bytesOf(plain.last.parameters));
    expect(bytesOf(averaged.model)).toEqual(bytesOf(new Map([...averaged.last.parameters, ...averaged.last.averages])));
    expect(bytesOf(averaged.model)).not.toEqual(bytesOf(plain.model));
    expect(plain.last.averages.size).toBe(0);
  });

  it('averages equal weights over the last epochs: what its checkpoints after each of them hold', async () => {
    const ends: StateDict[] = [];
    for (const epochs of [2, 3]) {
      const { last: end } = await run(`until-${epochs}`, { epochs, type: 'multistep', lr_decay_step: 100 });
      ends.push(end.parameters);
    }
    const { last } = await run('swa', { epochs: 3, swa_start: 1, type: 'multistep', lr_decay_step: 100 });
    const [name, average] = [...last.averages][0] ?? ['', undefined];
    const values = ends.map((end) => end.get(name)?.data as Float32Array);
    expect(average?.data.length).toBeGreaterThan(0);
    average?.data.forEach((value, i) => {
      expect(Number(value)).toBeCloseTo(((values[0]?.[i] ?? 0) + (values[1]?.[i] ?? 0)) / 2, 6);
    });
  });

  it('goes on from a checkpoint in mid-epoch as if nothing had happened', async () => {
    const solver = { ema_decay: 0.9 };
    const whole = await run('whole', solver);
    const tiny = await tinyRun(clips, join(folder, 'broken'), { solver });
    const stop = new AbortController();
    let steps = 0;
    const watcher = { write: async () => void (++steps === 2 && stop.abort()), close: async () => {} };
    await expect(
      train({ ...tiny, datasets: plainDatasets, checkpointEvery: 1, watcher, signal: stop.signal }),
    ).rejects.toThrow(/Stopped/);
    const resumed = await run('broken', solver, join(folder, 'broken', LAST_CHECKPOINT));
    expect(bytesOf(resumed.last.averages)).toEqual(bytesOf(whole.last.averages));
    expect(bytesOf(resumed.last.parameters)).toEqual(bytesOf(whole.last.parameters));
    expect(bytesOf(resumed.model)).toEqual(bytesOf(whole.model));
    expect((await readTrainingCheckpoint(join(folder, 'broken', BEST_CHECKPOINT))).averages.size).toBe(
      whole.last.averages.size,
    );
  });
});

it('is of one kind, and has an epoch to average', () => {
  const problems = (solver: object): string => {
    const values = { data: { label_list: 'l', train_list: 't', val_list: 'v' }, solver };
    const result = resolveConfig(values);
    return 'problems' in result
      ? result.problems.map(({ path, message }) => `${path.join('.')}: ${message}`).join()
      : '';
  };
  expect(problems({ ema_decay: 0.9, swa_start: 3 })).toMatch(/solver.swa_start: .*leave out one/);
  expect(problems({ epochs: 4, swa_start: 4 })).toMatch(/solver.swa_start: no epoch/);
  expect(problems({ ema_decay: 1 })).toMatch(/solver.ema_decay/);
  expect(problems({ ema_decay: 0.9 })).toBe('');
});
