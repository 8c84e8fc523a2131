// The released recipe against PyTorch over fifty steps, through the code that a training runs: the official configuration
// makes the optimizer, the schedule and the captured step.
import { readFileSync } from 'node:fs';
import { type Device, openDevice, setDefaultDevice } from '@actionclip/tensor';
import { type ConfigOverrides, parseConfig } from 'actionclip';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { stepOptionsOf } from '../../packages/actionclip/src/train/batch-step.ts';
import {
  applySchedule,
  isRefreshed,
  optimizerOf,
  scheduleOf,
} from '../../packages/actionclip/src/train/optimization.ts';
import { readMeasures, trainingStep } from '../../packages/actionclip/src/train/step.ts';
import { buildModel, floats, integers, readCase, readLongRun } from './fixtures.ts';

let device: Device;
beforeAll(async () => {
  device = await openDevice('wasm');
  setDefaultDevice(device);
});
afterAll(() => device.close());

const officialFile = new URL('../../../shared/fixtures/configs/k400_train.yaml', import.meta.url);

/** The losses of a fixture's long run and ours, by the official configuration with the length and rate of that run. */
async function run(
  name: 'mean' | 'transf',
  layout: 'flat' | 'separate',
  changes: ConfigOverrides,
): Promise<{ losses: number[]; expected: readonly number[]; traces: number }> {
  const golden = await readCase(name);
  const long = await readLongRun(golden);
  const { learningRate: lr, epochs, warmupEpochs } = long;
  const { config } = parseConfig(readFileSync(officialFile, 'utf8'), 'k400_train.yaml', {
    solver: { lr, epochs, lr_warmup_step: warmupEpochs },
    ...changes,
  });
  const { solver, network, behaviour } = config;
  expect(solver.temporalRatio).toBe(long.fusionFactor);
  const model = buildModel(golden);
  model.clip.checkpointing = network.checkpoint;
  const optimizer = optimizerOf(model, solver, { layout });
  await model.initialize();
  const schedule = scheduleOf(solver);
  const step = trainingStep(model.train(), optimizer, stepOptionsOf(config));
  const batches = long.batches.map(
    ({ frames, tokens, labels }) => [floats(frames), integers(tokens), integers(labels)] as const,
  );
  const losses: number[] = [];
  for (let i = 0; i < long.losses.length; i++) {
    if (isRefreshed(i % long.stepsPerEpoch, behaviour.learningRateRefresh))
      applySchedule(optimizer, schedule(i / long.stepsPerEpoch));
    const [frames, tokens, labels] = batches[i % batches.length] as (typeof batches)[number];
    losses.push((await readMeasures(await step(frames, tokens, labels))).loss);
  }
  return { losses, expected: long.losses, traces: step.stats().traces };
}

describe.each([
  ['mean', 'separate', {}],
  ['transf', 'separate', {}],
  ['transf', 'flat', {}],
  ['transf', 'flat', { network: { checkpoint: true } }],
] as const)('fifty steps of the released recipe, case %s on wasm, parameters %s, %j', (name, layout, changes) => {
  test('follow the losses of PyTorch within 1e-3 from one trace', { timeout: 120_000 }, async () => {
    const { losses, expected, traces } = await run(name, layout, changes);
    expect(losses).toHaveLength(50);
    const far = expected.map((loss, i) => Math.abs((losses[i] as number) / loss - 1));
    expect(Math.max(...far)).toBeLessThan(1e-3);
    expect(traces).toBe(1);
  });
});
