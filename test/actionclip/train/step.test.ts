// The training step in its variants: mixed precision and checkpointed blocks against the plain step.
import { type Device, Generator, LossScale, openDevice, setDefaultDevice, tensor } from '@actionclip/tensor';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ActionCLIP } from '../../../packages/actionclip/src/model/action-clip.ts';
import { configFrom } from '../../../packages/actionclip/src/train/config-file.ts';
import { optimizerOf } from '../../../packages/actionclip/src/train/optimization.ts';
import { readMeasures, type StepMeasures, trainingStep } from '../../../packages/actionclip/src/train/step.ts';

const sizes = {
  embedding: 16,
  vision: { resolution: 16, patch: 4, width: 16, layers: 4, heads: 2 },
  text: { context: 12, vocabulary: 40, width: 16, layers: 4, heads: 2 },
};
const [batch, frames] = [4, 3];

interface Variant {
  readonly precision?: 'f32' | 'mixed';
  readonly checkpoint?: boolean;
  readonly maximumGradientNorm?: number;
  readonly dropout?: number;
  readonly layout?: 'flat' | 'separate';
}

/** What five steps report, the bytes that they need, and the parameters after them. */
async function fiveSteps({
  precision = 'f32',
  checkpoint = false,
  dropout = 0.2,
  layout = 'separate',
  ...options
}: Variant) {
  const generator = new Generator(3);
  const model = new ActionCLIP({ sizes, frames, temporalLayers: 1, dropout, embeddingDropout: dropout / 2, generator });
  await model.train().initialize();
  model.clip.checkpointing = checkpoint;
  const solver = configFrom({ data: { label_list: 'l' }, solver: { lr: 1e-3, precision } }).config.solver;
  const optimizer = optimizerOf(model, solver, { layout });
  await model.initialize();
  const step = trainingStep(model, optimizer, { freezeText: false, freezeImage: false, precision, ...options });
  const waves = Float32Array.from({ length: batch * frames * 3 * 256 }, (_, i) => Math.sin(i * 0.37));
  const pixels = tensor(waves, { shape: [batch, frames, 3, 16, 16] });
  const tokens = tensor(Int32Array.from({ length: batch * 12 }, (_, i) => (i % 12 === 9 ? 39 : (i * 7) % 37)));
  const labels = tensor(Int32Array.from([0, 1, 2, 1]));
  const measures: StepMeasures[] = [];
  for (let i = 0; i < 5; i++)
    measures.push(await readMeasures(await step(pixels, tokens.reshape([batch, 12]), labels)));
  return { measures, peakBytes: step.stats().peakBytes, parameters: await model.stateDict() };
}

let device: Device;
beforeAll(async () => {
  device = await openDevice('wasm', { threads: 1, engineFlags: false });
  setDefaultDevice(device);
});
afterAll(() => device.close());

describe.each(['separate', 'flat'] as const)('activation checkpointing, parameters %s', (layout) => {
  it('reproduces the plain run: losses and parameters, dropout included, in less memory', async () => {
    const plain = await fiveSteps({ maximumGradientNorm: 1, layout });
    const checkpointed = await fiveSteps({ maximumGradientNorm: 1, layout, checkpoint: true });
    expect(checkpointed.measures).toEqual(plain.measures);
    expect(checkpointed.parameters).toEqual(plain.parameters);
    expect(checkpointed.peakBytes).toBeLessThan(0.7 * plain.peakBytes);
  });
});

describe('a step in mixed precision', () => {
  it('skips steps until the scale fits, and then reports the loss and the norm of the plain step', async () => {
    const plain = await fiveSteps({ maximumGradientNorm: 1, dropout: 0 });
    const mixed = await fiveSteps({ maximumGradientNorm: 1, dropout: 0, precision: 'mixed' });
    const finite = mixed.measures.map(({ gradientNorm }) => Number.isFinite(gradientNorm));
    const scales = mixed.measures.map(({ lossScale }) => lossScale);
    const skipped = finite.indexOf(true);
    expect(scales).toEqual(scales.map((_, i) => 2 ** (16 - finite.slice(0, i).filter((good) => !good).length)));
    // Skipped steps have changed nothing.
    const [first, expected] = [mixed.measures[skipped], plain.measures[0]] as [StepMeasures, StepMeasures];
    expect(first.loss / expected.loss).toBeCloseTo(1, 3);
    expect((first.gradientNorm as number) / (expected.gradientNorm as number)).toBeCloseTo(1, 2);
    expect(first.loss).not.toBe(expected.loss);
    expect(mixed.measures[0]?.loss).toBe(first.loss);
  });

  it('goes together with checkpointed blocks', async () => {
    const [kept, repeated] = [
      await fiveSteps({ precision: 'mixed' }),
      await fiveSteps({ precision: 'mixed', checkpoint: true }),
    ];
    expect(repeated.measures).toEqual(kept.measures);
    expect(repeated.parameters).toEqual(kept.parameters);
  });
});

describe.each(['f32', 'mixed'] as const)('a step whose loss is no number, in %s', (precision) => {
  it('changes no parameter and no average, and neither do those that were started behind it', async () => {
    const model = new ActionCLIP({ sizes, frames, temporalLayers: 1, generator: new Generator(3) });
    await model.train().initialize();
    const solver = configFrom({ data: { label_list: 'l' }, solver: { lr: 1e-3, precision } }).config.solver;
    // At the first scale, half-precision gradients would be infinite for some steps.
    const scaling = precision === 'mixed' ? { lossScale: new LossScale({ initial: 1 }) } : {};
    const optimizer = optimizerOf(model, solver, scaling);
    const step = trainingStep(model, optimizer, { freezeText: false, freezeImage: false, precision });
    const run = async (first: number): Promise<number> => {
      const waves = Float32Array.from({ length: batch * frames * 3 * 256 }, (_, i) => Math.sin(i * 0.37));
      waves[0] = first;
      const tokens = tensor(Int32Array.from({ length: batch * 12 }, (_, i) => (i % 12 === 9 ? 39 : (i * 7) % 37)));
      const pixels = tensor(waves, { shape: [batch, frames, 3, 16, 16] });
      const classes = tensor(Int32Array.from([0, 1, 2, 1]));
      return (await readMeasures(await step(pixels, tokens.reshape([batch, 12]), classes))).loss;
    };
    const state = async (): Promise<unknown> => {
      const moments = [...(await optimizer.stateDict())].filter(([name]) => !name.startsWith('lossScale.'));
      return [await model.stateDict(), moments];
    };
    const start = await state();
    expect(await run(0.5)).toBeGreaterThan(0);
    const before = await state();
    expect(before).not.toEqual(start);
    expect(await run(Number.NaN)).toBeNaN();
    expect(await run(0.5)).toBeGreaterThan(0);
    expect(await state()).toEqual(before);
  });
});
