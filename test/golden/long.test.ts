import { AdamW, compile, cosineSchedule, type Device, openDevice, setDefaultDevice } from '@actionclip/tensor';
import { contrastiveLoss } from 'actionclip';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildModel, floats, integers, parameterGroupsOf, readCase, readLongRun } from './fixtures.ts';

let device: Device;
beforeAll(async () => {
  device = await openDevice('wasm');
  setDefaultDevice(device);
});
afterAll(() => device.close());

/** The losses of a fixture's long run and ours: nothing but the loss leaves the captured step. */
async function run(
  name: 'mean' | 'transf',
  layout: 'flat' | 'separate',
): Promise<{ losses: number[]; expected: readonly number[]; traces: number }> {
  const golden = await readCase(name);
  const long = await readLongRun(golden);
  const { betas, eps: epsilon, weight_decay: weightDecay } = golden.description.optimizer;
  const model = await buildModel(golden).initialize();
  const { text, visual, fusion } = parameterGroupsOf(model);
  const groups = [
    { parameters: text, learningRate: long.learningRate },
    { parameters: visual, learningRate: long.learningRate },
    { parameters: fusion, learningRate: long.learningRate * long.fusionFactor },
  ];
  const optimizer = new AdamW(groups, { betas, epsilon, weightDecay, layout });
  await model.initialize();
  const schedule = cosineSchedule({ epochs: long.epochs, warmupEpochs: long.warmupEpochs });
  const step = compile((frames, tokens, labels) => {
    const { total } = contrastiveLoss(model.forward(frames, tokens), labels);
    total.backward();
    optimizer.update();
    return total;
  });
  const batches = long.batches.map(
    ({ frames, tokens, labels }) => [floats(frames), integers(tokens), integers(labels)] as const,
  );
  const losses: number[] = [];
  for (let i = 0; i < long.losses.length; i++) {
    for (const group of optimizer.groups)
      group.learningRate = group.baseLearningRate * schedule(i / long.stepsPerEpoch);
    const [frames, tokens, labels] = batches[i % batches.length] as (typeof batches)[number];
    losses.push(await (await step(frames, tokens, labels)).item());
  }
  return { losses, expected: long.losses, traces: step.stats().traces };
}

describe.each([
  ['mean', 'separate'],
  ['transf', 'separate'],
  ['transf', 'flat'],
] as const)('fifty steps of the case %s on wasm, parameters %s', (name, layout) => {
  test('follow the losses of PyTorch from one trace', { timeout: 120_000 }, async () => {
    const { losses, expected, traces } = await run(name, layout);
    expect(losses).toHaveLength(50);
    const far = expected.map((loss, i) => Math.abs((losses[i] as number) / loss - 1));
    expect(Math.max(...far)).toBeLessThan(1e-3);
    expect(traces).toBe(1);
  });
});
