// `actionclip eval` on a checkpoint gives the figures that the training gave when it wrote it, and every clip counts once.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openDevice, setDefaultDevice } from '@actionclip/tensor';
import {
  type ActionDataset,
  type Evaluation,
  readRunLog,
  readSafetensorsFile,
  type TrainingOutcome,
  train,
} from 'actionclip';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { evaluation as command } from '../../packages/actionclip/src/cli/commands/eval.ts';
import { parseOptions } from '../../packages/actionclip/src/cli/options.ts';
import { plainDatasets, tinyClips, tinyRun } from './tiny-run.ts';

let folder = '';
let clips: ActionDataset;
let outcome: TrainingOutcome;

beforeAll(async () => {
  const device = await openDevice('wasm', { threads: 1 });
  setDefaultDevice(device);
  folder = await mkdtemp(join(tmpdir(), 'actionclip-agrees-'));
  clips = await tinyClips(join(folder, 'clips'));
  // Six held-out clips in batches of four, loaded by two threads.
  const run = await tinyRun(clips, join(folder, 'run'), { data: { workers: 2 }, solver: { epochs: 4, lr: 1e-2 } });
  outcome = await train({ ...run, datasets: plainDatasets });
  await device.close();
}, 120_000);
afterAll(() => rm(folder, { recursive: true, force: true }));

/** The JSON object that the command prints. */
async function evaluate(...options: string[]): Promise<Record<string, unknown>> {
  const printed: string[] = [];
  const args = ['--weights', outcome.lastCheckpoint, '--list', clips.valList, '--root', clips.root, '--json'];
  const parsed = parseOptions(
    [...args, '--device', 'wasm', '--threads', '1', ...options],
    command.options,
    command.positionals,
  );
  if (parsed === 'help') throw new Error('help');
  await command.run(parsed, {
    out: (line) => printed.push(line),
    say: () => {},
    progress: () => {},
    columns: 80,
    color: false,
    blocks: false,
    interactive: false,
    signal: new AbortController().signal,
  });
  return JSON.parse(printed.join('')) as Record<string, unknown>;
}

it('validation counts every held-out clip once, with two threads and a batch that does not divide their number', async () => {
  const { indices, labels, classes } = outcome.evaluation as Evaluation;
  expect([...indices].sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5]);
  expect([...labels].sort()).toEqual([0, 0, 1, 1, 2, 2]);
  expect(classes.map((one) => one.clips)).toEqual([2, 2, 2]);
  const validations = (await readRunLog(outcome.log)).filter(({ kind }) => kind === 'validation');
  expect(validations.map((record) => record.clips)).toEqual([6, 6, 6, 6]);
});

it.each([
  ['4', '2'],
  ['5', '0'],
])(
  'eval of the last checkpoint agrees with its validation, in batches of %s, by %s threads',
  async (batch, threads) => {
    const { top1, top5, meanClassAccuracy, classes, scores, indices } = outcome.evaluation as Evaluation;
    const file = join(folder, `scores-${batch}.safetensors`);
    const result = await evaluate('--batch-size', batch, '--workers', threads, '--scores', file);
    expect(result).toMatchObject({ top1, top5, meanClassAccuracy, clips: { listed: 6, counted: 6 }, broken: [] });
    const found = result.classes as { clips: number; accuracy: number }[];
    expect(found.map((one) => [one.clips, one.accuracy])).toEqual(classes.map((one) => [one.clips, one.accuracy]));
    const { tensors } = await readSafetensorsFile(file);
    expect([...(tensors.get('indices')?.data ?? [])]).toEqual([...indices]);
    const own = [...(tensors.get('scores')?.data ?? [])].map(Number);
    expect(own).toHaveLength(6 * scores.classes);
    for (const [i, score] of own.entries()) expect(score).toBeCloseTo(scores.scores[i] ?? Number.NaN, 5);
  },
  60_000,
);
