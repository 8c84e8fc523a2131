// Training on WebGPU, where parameters are laid out flat: a resumed run is the unbroken one.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Device, openDevice, setDefaultDevice } from '@actionclip/tensor';
import { type ActionDataset, readTrainingCheckpoint, train } from 'actionclip';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { bytesOf, plainDatasets, tinyClips, tinyRun } from './tiny-run.ts';

let folder = '';
let clips: ActionDataset;
let device: Device;

beforeAll(async () => {
  device = await openDevice('webgpu', { allowSoftware: true });
  setDefaultDevice(device);
  folder = await mkdtemp(join(tmpdir(), 'actionclip-flat-'));
  clips = await tinyClips(join(folder, 'clips'));
}, 60_000);
afterAll(async () => {
  await device.close();
  await rm(folder, { recursive: true, force: true });
});

/** A run without validation to the end of `epochs` at one rate; what its last checkpoint holds. */
async function checkpointOf(name: string, epochs: number, resume?: string): Promise<Record<string, string>> {
  const run = await tinyRun(clips, join(folder, name), {
    ...(resume === undefined ? {} : { resume }),
    data: { batch_size: 9 },
    solver: { epochs, type: 'multistep', lr: 1e-3, max_gradient_norm: 1 },
  });
  const { lastCheckpoint } = await train({ ...run, data: { ...run.data, validation: [] }, datasets: plainDatasets });
  const { parameters, moments } = await readTrainingCheckpoint(lastCheckpoint);
  return { path: lastCheckpoint, ...bytesOf(new Map([...parameters, ...moments])) };
}

it('a run that goes on from a checkpoint ends with the same parameters and averages, bit for bit', async () => {
  const { path: _, ...unbroken } = await checkpointOf('unbroken', 2);
  const { path, ...half } = await checkpointOf('half', 1);
  const { path: __, ...resumed } = await checkpointOf('resumed', 2, path as string);
  expect(resumed).toEqual(unbroken);
  expect(half).not.toEqual(unbroken);
}, 240_000);
