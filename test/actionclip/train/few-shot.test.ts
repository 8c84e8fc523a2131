// The runs of the protocol with what they leave behind.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fewShot } from '../../../packages/actionclip/src/cli/commands/few-shot.ts';
import { train } from '../../../packages/actionclip/src/cli/commands/train.ts';
import { parseOptions } from '../../../packages/actionclip/src/cli/options.ts';
import { processTerminal } from '../../../packages/actionclip/src/cli/terminal.ts';
import { type FewShotPlan, fewShotTable, runFewShot } from '../../../packages/actionclip/src/runs/few-shot.ts';
import type { RunOptions } from '../../../packages/actionclip/src/runs/options.ts';
import { LAST_CHECKPOINT } from '../../../packages/actionclip/src/train/checkpoint.ts';
import { LOG_FILE, openRunLog } from '../../../packages/actionclip/src/train/log.ts';
import { tinyClips, tinyRun } from '../../end-to-end/tiny-run.ts';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'few-shot-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

it('gives a configuration as many clips of each class', async () => {
  const clips = await tinyClips(join(folder, 'clips'));
  const { data } = await tinyRun(clips, join(folder, 'run'), { data: { shots: 2 } });
  expect(data.train).toHaveLength(6);
  for (const label of [0, 1, 2]) expect(data.train.filter((clip) => clip.label === label)).toHaveLength(2);
  expect(data.validation).toHaveLength(6);
});

describe('the runs', () => {
  let trained: RunOptions[] = [];
  beforeEach(() => {
    trained = [];
  });
  /** Leaves the log of a run whose accuracy tells its shots and its seed. */
  const record = async (options: RunOptions): Promise<void> => {
    trained.push(options);
    const log = await openRunLog(join(options.out ?? '', LOG_FILE));
    const top1 = ((options.shots ?? 0) + (options.seed ?? 0)) / 10;
    for (const epoch of [0, 1]) {
      const figures = { top1: epoch * top1, top5: 1, meanClassAccuracy: top1, clips: 6 };
      await log.write({ kind: 'validation', step: epoch, epoch, ...figures });
    }
    await log.close();
  };
  const plan = (changes: Partial<FewShotPlan> = {}): FewShotPlan => ({
    shots: [2, 4],
    seeds: [1, 3],
    folder,
    options: { clipsTable: 'clips.csv', epochs: 2 },
    train: record,
    ...changes,
  });

  it('are one for each number and seed, measured after the last epoch, with mean and deviation', async () => {
    const result = await runFewShot(plan());
    expect(trained.map(({ shots, seed }) => [shots, seed])).toEqual([
      [2, 1],
      [2, 3],
      [4, 1],
      [4, 3],
    ]);
    expect(trained[1]).toMatchObject({ clipsTable: 'clips.csv', epochs: 2, out: join(folder, 'shots-2-seed-3') });
    expect(result.runs.map(({ top1 }) => top1)).toEqual([0.3, 0.5, 0.5, 0.7]);
    expect(result.summary[0]?.top1.mean).toBeCloseTo(0.4, 12);
    expect(result.summary[0]?.top1.deviation).toBeCloseTo(Math.SQRT2 / 10, 12);
    expect(fewShotTable(result).rows).toEqual([
      ['2', '2', '40.0 ± 14.1 %', '100.0 ± 0.0 %', '40.0 ± 14.1 %'],
      ['4', '2', '60.0 ± 14.1 %', '100.0 ± 0.0 %', '60.0 ± 14.1 %'],
    ]);
    expect(JSON.parse(await readFile(result.file, 'utf8')).runs).toEqual(result.runs);
  });

  it('that are done are not done again, and one that was stopped goes on from its checkpoint', async () => {
    const stopsAtTheThird = async (options: RunOptions): Promise<void> => {
      if (trained.length < 2) return record(options);
      await openRunLog(join(options.out ?? '', LOG_FILE)).then((log) => log.close());
      await writeFile(join(options.out ?? '', LAST_CHECKPOINT), '');
      throw new Error('stopped');
    };
    await expect(runFewShot(plan({ train: stopsAtTheThird }))).rejects.toThrow('stopped');
    const states: string[] = [];
    const result = await runFewShot(plan({ onRun: ({ state }) => states.push(state) }));
    expect(states).toEqual(['done', 'done', 'resumed', 'started']);
    expect(trained).toHaveLength(4);
    expect(trained[2]?.resume).toBe(join(folder, 'shots-4-seed-1', LAST_CHECKPOINT));
    expect(result).toEqual({ ...(await runFewShot(plan())) });
    expect(trained).toHaveLength(4);
  });

  it('of other settings are not mixed in, those of more workers or more seeds are', async () => {
    await runFewShot(plan({ shots: [2], seeds: [1] }));
    await expect(runFewShot(plan({ options: { clipsTable: 'clips.csv', epochs: 3 } }))).rejects.toThrow(
      /few-shot\.json holds runs with the settings .*"epochs":2.*, not .*"epochs":3.*; choose another folder/,
    );
    const more = await runFewShot(plan({ shots: [2], options: { clipsTable: 'clips.csv', epochs: 2, workers: 2 } }));
    expect(more.runs).toHaveLength(2);
    expect(trained).toHaveLength(2);
  });

  it('say where a file is none of theirs, or nothing was held out', async () => {
    const empty = async ({ out }: RunOptions): Promise<void> => (await openRunLog(join(out ?? '', LOG_FILE))).close();
    await expect(runFewShot(plan({ train: empty }))).rejects.toThrow('no clip was held out');
    await writeFile(join(folder, 'few-shot.json'), '{"runs"');
    await expect(runFewShot(plan())).rejects.toThrow('not the results of few-shot runs');
  });
});

describe('the commands', () => {
  const terminal = processTerminal(new AbortController().signal);
  it.each([
    [[], 'There are no clips; give --clips-table'],
    [['--clips-table', 'a', '--train-list', 'b'], '--clips-table takes the place of --train-list'],
    [['--clips-table', 'a', '--shots', '2,2'], '--shots: expected different whole numbers from 1'],
    [['--clips-table', 'a', '--seeds', '0'], '--seeds: expected a whole number from 1'],
  ])('few-shot refuses %j in one sentence', async (args, message) => {
    await expect(
      (async () => {
        const given = parseOptions(args, fewShot.options, fewShot.positionals);
        if (given !== 'help') await fewShot.run(given, terminal);
      })(),
    ).rejects.toThrow(message);
  });

  it('train wants clips of your own to draw shots from', async () => {
    const given = parseOptions(['--shots', '2'], train.options, train.positionals);
    if (given === 'help') throw new Error('help');
    await expect(train.run(given, terminal)).rejects.toThrow('--shots needs clips of your own; give --clips-table');
  });
});
