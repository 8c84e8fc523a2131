// A GPU that is lost in the middle of training: the run ends with a sentence that says how to go on, and going on works.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openDevice, setDefaultDevice } from '@actionclip/tensor';
import {
  type ActionDataset,
  LAST_CHECKPOINT,
  Progress,
  readTrainingCheckpoint,
  TrainingError,
  train,
} from 'actionclip';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { WebGPUBackend } from '../../packages/tensor/src/backends/webgpu/backend.ts';
import { tinyClips, tinyRun } from './tiny-run.ts';

let folder = '';
let clips: ActionDataset;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'actionclip-lost-'));
  clips = await tinyClips(join(folder, 'clips'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

it('training says what was lost and how to resume, and the run goes on from there', async () => {
  const output = join(folder, 'run');
  const run = (resume?: string) =>
    tinyRun(clips, output, { solver: { epochs: 1 }, ...(resume === undefined ? {} : { resume }) });
  const device = await openDevice('webgpu', { allowSoftware: true });
  setDefaultDevice(device);
  const backend = (await device.backend()) as WebGPUBackend;
  let said = '';
  const stream = {
    write: (text: string): void => {
      said += text;
      // The first of the two steps has its checkpoint by now; the measures of the second have just been read.
      if (/step 2\/2/.test(text)) backend.device.destroy();
    },
  };
  const failure: unknown = await train({
    ...(await run()),
    checkpointEvery: 1,
    progress: new Progress({ stream }),
  }).catch((error: unknown) => error);
  expect(said).toMatch(/^Planned memory of a training step: \d.* \(tensors .*, arguments .*, workspace .*\)\n/);
  const last = join(output, LAST_CHECKPOINT);
  expect(failure).toBeInstanceOf(TrainingError);
  expect((failure as TrainingError).message).toMatch(/^Training stopped: The WebGPU device '.*' was lost/);
  expect((failure as TrainingError).message).toContain(`resume from ${last}`);
  expect((await readTrainingCheckpoint(last)).state.step).toBe(1);
  await device.close();

  const other = await openDevice('wasm', { threads: 1 });
  setDefaultDevice(other);
  await train(await run(last));
  expect((await readTrainingCheckpoint(last)).state).toMatchObject({ step: 2, position: { epoch: 1, batchIndex: 0 } });
  await other.close();
}, 180_000);
