// A run whose batches are computed in parts goes on from its checkpoint as if it had not stopped, dropout included.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Device, openDevice, setDefaultDevice } from '@actionclip/tensor';
import { type ActionDataset, readRunLog, readTrainingCheckpoint, train } from 'actionclip';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { bytesOf, plainDatasets, tinyClips, tinyRun } from '../../end-to-end/tiny-run.ts';

let folder = '';
let clips: ActionDataset;
let device: Device;

beforeAll(async () => {
  device = await openDevice('wasm', { threads: 1, engineFlags: false });
  setDefaultDevice(device);
  folder = await mkdtemp(join(tmpdir(), 'actionclip-accumulated-'));
  clips = await tinyClips(join(folder, 'clips'));
});
afterAll(async () => {
  await device.close();
  await rm(folder, { recursive: true, force: true });
});

/** What the last checkpoint of a run to the end of `epochs` holds, and the losses of its log. */
async function outcomeOf(name: string, epochs: number, resume?: string) {
  const run = await tinyRun(clips, join(folder, name), {
    ...(resume === undefined ? {} : { resume }),
    network: { emb_dropout: 0.2 },
    solver: { epochs, type: 'multistep', lr: 1e-3, max_gradient_norm: 1, accumulation: 2 },
  });
  const { lastCheckpoint, log, best } = await train({ ...run, datasets: plainDatasets });
  const { parameters, moments, state } = await readTrainingCheckpoint(lastCheckpoint);
  const losses = (await readRunLog(log)).flatMap((entry) => (entry.kind === 'step' ? [entry.loss] : []));
  return { path: lastCheckpoint, losses, best, state, numbers: bytesOf(new Map([...parameters, ...moments])) };
}

it('a resumed run ends with the same parameters, averages and counters, bit for bit', async () => {
  const unbroken = await outcomeOf('unbroken', 2);
  const half = await outcomeOf('half', 1);
  const resumed = await outcomeOf('resumed', 2, half.path);
  expect(resumed.numbers).toEqual(unbroken.numbers);
  expect(resumed.state).toEqual(unbroken.state);
  expect([...half.losses, ...resumed.losses]).toEqual(unbroken.losses);
  expect(unbroken.losses).toHaveLength(4);
  expect(half.numbers).not.toEqual(unbroken.numbers);
});
