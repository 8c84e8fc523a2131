// Clips that cannot be read, by damaged frames and by a folder that vanishes: passed over, counted and reported, or the
// end of the run, as the configuration says.
import { cp, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Device, openDevice, setDefaultDevice } from '@actionclip/tensor';
import {
  type ActionDataset,
  DataError,
  type Evaluation,
  LAST_CHECKPOINT,
  Progress,
  readRunLog,
  readTrainingCheckpoint,
  train,
} from 'actionclip';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { writeRunReport } from '../../packages/actionclip/src/runs/run-report.ts';
import { unreadableLine } from '../../packages/actionclip/src/train/unreadable-clips.ts';
import { bytesOf, shortRun, type TinyRun, tinyClips, tinyRun } from './tiny-run.ts';

let folder = '';
let device: Device;
/** Whole, and with frames that are no pictures in one clip to train on and in one held out. */
let whole: ActionDataset;
let damaged: ActionDataset;
let damagedTraining = '';
let damagedValidation = '';

const beginning = async (path: string): Promise<string> => ((await readFile(path, 'utf8')).split(/\s/)[0] ?? '').trim();

/** Frames 3 to 6, among which every draw of four segments has one. */
async function damage(clip: string): Promise<void> {
  for (const name of (await readdir(clip)).sort().slice(2, 6)) await writeFile(join(clip, name), 'no picture');
}

beforeAll(async () => {
  device = await openDevice('wasm', { threads: 1 });
  setDefaultDevice(device);
  folder = await mkdtemp(join(tmpdir(), 'actionclip-unreadable-'));
  whole = await tinyClips(join(folder, 'whole'));
  damaged = await tinyClips(join(folder, 'damaged'));
  damagedTraining = join(damaged.root, await beginning(damaged.trainList));
  damagedValidation = join(damaged.root, await beginning(damaged.valList));
  await damage(damagedTraining);
  await damage(damagedValidation);
}, 60_000);
afterAll(async () => {
  await device.close();
  await rm(folder, { recursive: true, force: true });
});

const parameters = async ({ opened }: TinyRun): Promise<Record<string, string>> =>
  bytesOf(await opened.model.stateDict());

it('are replaced in training and left out of validation, told once, counted, and named in log and report', async () => {
  let told = '';
  const progress = new Progress({ stream: { write: (text: string) => (told += text) } });
  const run = await shortRun(damaged, join(folder, 'passed-over'));
  const outcome = await train({ ...run, progress });
  expect(outcome.steps).toBe(4);
  expect(outcome.evaluation?.labels).toHaveLength(5);
  const [training, validation] = outcome.unreadable;
  expect(outcome.unreadable).toHaveLength(2);
  expect(training).toMatchObject({ path: damagedTraining, part: 'training' });
  expect(validation).toMatchObject({ path: damagedValidation, part: 'validation', epochs: 1 });
  expect(training?.reason).toContain('.jpg');
  expect(told.match(/^warning: a clip cannot be read/gm)).toHaveLength(2);

  const log = await readRunLog(outcome.log);
  const named = log.filter(({ kind }) => kind === 'unreadable-clip').map(({ path }) => path);
  expect(new Set(named)).toEqual(new Set([damagedTraining, damagedValidation]));
  expect(unreadableLine(outcome.unreadable)).toBe(
    'warning: clips that could not be read: 1 of training, in whose place others were taken, and 1 of validation, ' +
      `left out: ${damagedTraining}, ${damagedValidation}`,
  );
  expect(unreadableLine([])).toBeUndefined();
  const evaluation = outcome.evaluation as Evaluation;
  const parts = { title: 'a run', datasets: {}, summary: [], tables: [], seconds: 1 };
  const page = await readFile(await writeRunReport({ ...run, ...parts, outcome, evaluation }), 'utf8');
  expect(page).toContain('Clips that could not be read: 2');
  for (const path of [damagedTraining, damagedValidation]) expect(page).toContain(path);
}, 120_000);

it.each([0, 2])(
  'do not change how a run goes on that is stopped after %i steps, nor their count',
  async (steps) => {
    const [unbroken, output] = [join(folder, `unbroken-${steps}`), join(folder, `broken-${steps}`)];
    const other = await shortRun(damaged, unbroken);
    const { unreadable } = await train(other);
    const stop = new AbortController();
    const watcher = {
      write: async ({ kind, step }: { kind: string; step: number }): Promise<void> => {
        if (kind === 'step' && step >= steps) stop.abort();
      },
      close: async (): Promise<void> => {},
    };
    await train({ ...(await shortRun(damaged, output)), watcher, signal: stop.signal }).catch(() => undefined);
    const last = join(output, LAST_CHECKPOINT);
    expect((await readTrainingCheckpoint(last)).state.step).toBeLessThan(4);
    const resumed = await shortRun(damaged, output, last);
    const outcome = await train(resumed);
    expect(await parameters(resumed)).toEqual(await parameters(other));
    expect(outcome.unreadable).toEqual(unreadable);
  },
  120_000,
);

it('end a strict run at the first of them', async () => {
  const run = await tinyRun(damaged, join(folder, 'strict'), { data: { corrupt_clips: 'error' } });
  const failure: unknown = await train(run).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(DataError);
  expect(String(failure)).toMatch(/\.jpg: /);
});

it('end every run where the folder of all clips vanishes, which goes on when it is back', async () => {
  const vanishing: ActionDataset = { ...whole, root: join(folder, 'vanishing') };
  await cp(whole.root, vanishing.root, { recursive: true });
  const other = await shortRun(vanishing, join(folder, 'undisturbed'));
  await train(other);

  const output = join(folder, 'disturbed');
  const aside = join(folder, 'aside');
  let moving: Promise<void> | undefined;
  const failure: unknown = await train({
    ...(await shortRun(vanishing, output)),
    watcher: {
      write: async ({ kind }): Promise<void> => {
        if (kind !== 'validation') return;
        moving ??= rename(vanishing.root, aside);
        await moving;
      },
      close: async () => {},
    },
  }).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(DataError);
  expect((failure as DataError).message).toMatch(
    /^(None of the 9 clips can|10 clips in a row cannot) be read, the last because of .*vanishing.*; check that the folder of the clips is there/,
  );
  await rename(aside, vanishing.root);
  const resumed = await shortRun(vanishing, output, join(output, LAST_CHECKPOINT));
  await train(resumed);
  expect(await parameters(resumed)).toEqual(await parameters(other));
}, 120_000);
