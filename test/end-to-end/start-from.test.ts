// Training on clips of one's own from published weights: any layout, the paper's rates, CLIP's vocabulary.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openDevice, type StateDict, setDefaultDevice, toFloat32 } from '@actionclip/tensor';
import {
  ActionCLIP,
  LAST_CHECKPOINT,
  readSafetensorsFile,
  readTrainingCheckpoint,
  startRun,
  writeSafetensorsFile,
} from 'actionclip';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { tinyClips } from './tiny-run.ts';

let folder = '';
beforeAll(async () => {
  setDefaultDevice(await openDevice('wasm', { threads: 1 }));
  folder = await mkdtemp(join(tmpdir(), 'actionclip-start-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

it('takes sizes, frames and values of a CLIP checkpoint, and moves them little in an epoch', async () => {
  const clips = await tinyClips(join(folder, 'clips'));
  const model = new ActionCLIP({
    frames: 4,
    temporal: 'meanP',
    sizes: {
      embedding: 8,
      vision: { resolution: 16, patch: 8, width: 64, layers: 1, heads: 1 },
      text: { context: 24, vocabulary: 49408, width: 64, layers: 1, heads: 1 },
    },
  });
  const weights = join(folder, 'clip.safetensors');
  await writeSafetensorsFile(weights, await model.stateDict());
  const out = join(folder, 'run');
  const { trainList, valList, labelFile, root } = clips;
  await startRun({
    init: weights,
    trainList,
    valList,
    labels: labelFile,
    root,
    frames: 4,
    epochs: 1,
    batchSize: 4,
    workers: 0,
    out,
  });
  const { config, description, parameters } = await readTrainingCheckpoint(join(out, LAST_CHECKPOINT));
  expect(config.solver).toMatchObject({ learningRate: 5e-6, weightDecay: 0.2 });
  expect(description).toMatchObject({ vocabulary: 'clip', temporal: 'meanP', frames: 4 });
  expect(description.sizes.vision.resolution).toBe(16);
  const { tensors } = await readSafetensorsFile(weights);
  const values = (of: StateDict): number[] => {
    const tensor = of.get('visual.proj');
    if (tensor === undefined) throw new Error('visual.proj is not in the file');
    return [...toFloat32(tensor).data];
  };
  const [before, after] = [values(tensors), values(parameters)];
  const moved = Math.max(...before.map((value, i) => Math.abs(value - (after[i] ?? Number.NaN))));
  expect(moved).toBeGreaterThan(0);
  expect(moved).toBeLessThan(1e-4);
});
