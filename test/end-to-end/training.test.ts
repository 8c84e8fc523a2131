// Training end to end on a few synthetic clips: the loss falls, everything is written, and options do what they say.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openDevice, setDefaultDevice } from '@actionclip/tensor';
import {
  type ActionDataset,
  InterruptedError,
  LAST_CHECKPOINT,
  LOG_FILE,
  type LogRecord,
  loadPretrained,
  openModel,
  Progress,
  readCheckpointFile,
  readRunLog,
  readTrainingCheckpoint,
  train,
} from 'actionclip';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bytesOf, plainDatasets, type TinyRun, tinyClips, tinyRun } from './tiny-run.ts';

let folder = '';
let clips: ActionDataset;

beforeAll(async () => {
  setDefaultDevice(await openDevice('wasm', { threads: 1 }));
  folder = await mkdtemp(join(tmpdir(), 'actionclip-training-'));
  clips = await tinyClips(join(folder, 'clips'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const steps = (log: readonly LogRecord[]): LogRecord[] => log.filter(({ kind }) => kind === 'step');
const losses = (log: readonly LogRecord[]): number[] => steps(log).map(({ loss }) => Number(loss));
const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
const parameters = async ({ opened }: TinyRun): Promise<Record<string, string>> =>
  bytesOf(await opened.model.stateDict());

describe('training', () => {
  it('lowers the loss, logs every step, validates every clip and writes both checkpoints', async () => {
    // All nine clips in every step, so that a step is an epoch.
    const run = await tinyRun(clips, join(folder, 'plain'), {
      data: { batch_size: 9, random_shift: false },
      solver: { epochs: 80, lr: 1e-3, ratio: 10, f_ratio: 10, weight_decay: 0, max_gradient_norm: 1 },
      logging: { eval_freq: 50 },
    });
    const outcome = await train({ ...run, datasets: plainDatasets });
    const log = await readRunLog(outcome.log);
    expect(losses(log)).toHaveLength(80);
    expect(mean(losses(log).slice(-10))).toBeLessThan(0.6 * mean(losses(log).slice(0, 10)));
    expect(outcome.evaluation?.labels).toHaveLength(6);
    expect(log.filter(({ kind }) => kind === 'validation').map(({ epoch, clips: count }) => [epoch, count])).toEqual([
      [49, 6],
      [79, 6],
    ]);
    const last = await readTrainingCheckpoint(outcome.lastCheckpoint);
    expect(last.state).toMatchObject({ position: { epoch: 80, batchIndex: 0 }, step: 80, best: outcome.best });
    expect(bytesOf(last.parameters)).toEqual(await parameters(run));
  });

  it('writes checkpoints from which another model takes its weights', async () => {
    const run = await tinyRun(clips, join(folder, 'weights'), { solver: { epochs: 1 } });
    const { lastCheckpoint } = await train(run);
    const { layout, tensors } = await readCheckpointFile(lastCheckpoint);
    expect(layout).toBe('openai');
    expect([...tensors.keys()].sort()).toEqual([...run.opened.model.namedParameters()].map(([name]) => name).sort());
    const other = await openModel({ ...run.opened.description, temporal: 'meanP' }, 7);
    await loadPretrained(other.model, lastCheckpoint, { otherHead: true });
    const towers = Object.entries(await parameters(run)).filter(([name]) => !name.startsWith('fusion.'));
    expect(bytesOf(await other.model.stateDict())).toEqual(Object.fromEntries(towers));
  });

  it.each([
    ['fix_text', (name: string) => !/^(visual\.|fusion\.|logit_scale)/.test(name)],
    ['fix_img', (name: string) => name.startsWith('visual.')],
  ] as const)('%s leaves its tower bit for bit as it was, and moves the rest', async (key, isFrozen) => {
    const run = await tinyRun(clips, join(folder, key), { network: { [key]: true }, solver: { epochs: 1 } });
    const before = await parameters(run);
    await train(run);
    const after = await parameters(run);
    const names = Object.keys(before);
    const moved = names.filter((name) => before[name] !== after[name]);
    expect(moved.filter(isFrozen)).toEqual([]);
    expect(names.filter((name) => !isFrozen(name) && name !== 'fusion.frame_position_embeddings.weight')).toEqual(
      moved.filter((name) => name !== 'fusion.frame_position_embeddings.weight'),
    );
  });

  it('sets the rate as the schedule says, for every step or as the released code does', async () => {
    const rates = async (name: string, behaviour: Record<string, unknown>): Promise<number[]> => {
      const run = await tinyRun(clips, join(folder, name), {
        data: { batch_size: 2 },
        solver: { epochs: 2, lr: 1, lr_warmup_step: 1 },
        behaviour,
        logging: { eval_freq: 2 },
      });
      const { log } = await train(run);
      return steps(await readRunLog(log)).map(({ learningRate }) => Number(learningRate));
    };
    const every = [0, 0.25, 0.5, 0.75, ...[0, 1, 2, 3].map((k) => (1 + Math.cos((Math.PI * k) / 4)) / 2)];
    (await rates('every-step', {})).forEach((rate, step) => {
      expect(rate).toBeCloseTo(every[step] ?? Number.NaN, 10);
    });
    expect(await rates('released', { lr_refresh: 10 })).toEqual([0, 0, 0, 0, 1, 1, 1, 1]);
  });

  it('clips gradients to the norm that is asked for, and logs the norm before', async () => {
    const run = await tinyRun(clips, join(folder, 'clipped'), {
      solver: { epochs: 1, optim: 'sgd', lr: 1, momentum: 0, weight_decay: 0, max_gradient_norm: 0.01 },
    });
    const before = await run.opened.model.stateDict();
    const { log } = await train(run);
    const [first] = steps(await readRunLog(log));
    expect(Number(first?.gradientNorm)).toBeGreaterThan(0.01);
    const after = await run.opened.model.stateDict();
    let square = 0;
    for (const [name, { data }] of before) {
      const moved = after.get(name)?.data ?? new Float32Array();
      for (let i = 0; i < data.length; i++) square += (Number(data[i]) - Number(moved[i])) ** 2;
    }
    // Two steps of length 0.01 at rates 1 and 0.5.
    expect(Math.sqrt(square)).toBeLessThanOrEqual(0.015 * 1.001);
    expect(Math.sqrt(square)).toBeGreaterThan(0.004);
  });

  it('in mixed precision logs the scale, says where it brings no speed, and reports it', async () => {
    const run = await tinyRun(clips, join(folder, 'mixed'), {
      network: { checkpoint: true },
      solver: { epochs: 1, precision: 'mixed' },
    });
    let shown = '';
    const progress = new Progress({ stream: { write: (text: string) => (shown += text) } });
    const { log, fallbacks, lastCheckpoint } = await train({ ...run, progress });
    expect(shown).toMatch(/^Mixed precision .* no speed here: .*, since WebAssembly multiplies in 32 bits$/m);
    expect(fallbacks).toContain(
      'matrix products of half precision are computed in 32 bits, since WebAssembly multiplies in 32 bits',
    );
    expect(steps(await readRunLog(log))[0]?.lossScale).toBe(2 ** 16);
    const { moments, config } = await readTrainingCheckpoint(lastCheckpoint);
    expect([...moments.keys()].some((name) => name.startsWith('lossScale.'))).toBe(true);
    expect([config.solver.precision, config.network.checkpoint]).toEqual(['mixed', true]);
  });

  it('stops where the loss is no number, names step and clips, and keeps the checkpoint of before', async () => {
    const output = join(folder, 'diverged');
    const run = await tinyRun(clips, output, { solver: { epochs: 3, optim: 'sgd', lr: 1e30 } });
    const failure = await train({ ...run, checkpointEvery: 1 }).then(
      () => 'nothing',
      (error: unknown) => (error instanceof Error ? `${error.name}: ${error.message}` : String(error)),
    );
    expect(failure).toMatch(/^TrainingError: The loss is NaN at step 2 \(epoch 1, batch 2\) on .*clip_000\d.*\. Comp/);
    expect(failure).toMatch(
      /captured step it is NaN: not finite are the gradients of \S+ and \d+ more, .*largest finite value is \d\.\d+e\+(2|3)\d of \S+; lower /,
    );
    const log = await readRunLog(join(output, LOG_FILE));
    expect(log.map(({ kind, step }) => [kind, step])).toEqual([
      ['step', 0],
      ['diverged', 1],
    ]);
    expect(log[1]).toMatchObject({ loss: 'NaN', lossAgain: 'NaN', valuesNotFinite: [] });
    const { state, parameters: kept } = await readTrainingCheckpoint(join(output, LAST_CHECKPOINT));
    expect(state.step).toBe(1);
    expect(kept.size).toBeGreaterThan(0);
  });

  it('names the parameter that holds no number, and leaves the others as they were', async () => {
    const run = await tinyRun(clips, join(folder, 'poisoned'));
    const state = await run.opened.model.stateDict();
    const poisoned = state.get('visual.ln_post.weight');
    expect(poisoned).toBeDefined();
    (poisoned?.data as Float32Array)[3] = Number.NaN;
    run.opened.model.loadStateDict(state);
    const before = await parameters(run);
    const failure: unknown = await train(run).catch((error: unknown) => error);
    expect(String(failure)).toMatch(
      /^TrainingError: The loss is NaN at step 1 \(.* gradients of \S+ and \d+ more, not finite are values of visual\.ln_post\.weight, /,
    );
    expect(await parameters(run)).toEqual(before);
  });

  it.each([0, 2, 4])(
    'that is stopped after %i lines of progress and resumed reproduces the plain run: losses and parameters',
    async (after) => {
      const output = join(folder, `stopped-${after}`);
      const stop = new AbortController();
      let lines = 0;
      const write = (): void => {
        if (lines++ >= after) stop.abort();
      };
      const progress = new Progress({ stream: { write }, now: () => lines * 1e6 });
      const stopped = await tinyRun(clips, output);
      const reason = await train({ ...stopped, progress, signal: stop.signal }).catch((error: unknown) => error);
      const last = join(output, LAST_CHECKPOINT);
      const { state } = await readTrainingCheckpoint(last);
      expect(state.step).toBeLessThan(6);
      expect(reason).toBeInstanceOf(InterruptedError);
      expect(String(reason)).toBe(`InterruptedError: Stopped after step ${state.step}; resume from ${last}`);
      const resumed = await tinyRun(clips, output);
      await train({ ...resumed, config: { ...resumed.config, resume: last } });
      const whole = await tinyRun(clips, join(folder, `whole-${after}`));
      const { log } = await train(whole);
      expect(await parameters(resumed)).toEqual(await parameters(whole));
      expect(losses(await readRunLog(join(output, LOG_FILE)))).toEqual(losses(await readRunLog(log)));
    },
  );
});
