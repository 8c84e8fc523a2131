// A batch computed in parts: the step of the whole batch, in less memory.
import {
  compile,
  concat,
  type Device,
  Generator,
  openDevice,
  setDefaultDevice,
  stack,
  type Tensor,
  tensor,
} from '@actionclip/tensor';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ActionCLIP, type ActionClipOptions } from '../../../packages/actionclip/src/model/action-clip.ts';
import {
  type BatchStep,
  batchStep,
  type HostBatch,
  type HostInput,
} from '../../../packages/actionclip/src/train/batch-step.ts';
import { configFrom } from '../../../packages/actionclip/src/train/config-file.ts';
import { resolveConfig } from '../../../packages/actionclip/src/train/config-resolution.ts';
import { objectiveOf } from '../../../packages/actionclip/src/train/objective.ts';
import { optimizerOf } from '../../../packages/actionclip/src/train/optimization.ts';
import {
  readMeasures,
  type StepMeasures,
  type StepOptions,
  updateOf,
} from '../../../packages/actionclip/src/train/step.ts';

const sizes = {
  embedding: 8,
  vision: { resolution: 8, patch: 4, width: 8, layers: 1, heads: 2 },
  text: { context: 6, vocabulary: 20, width: 8, layers: 1, heads: 2 },
};
const [clips, frames] = [4, 2];
const steps = 5;

const batchAt = (step: number): HostBatch => [
  {
    data: Float32Array.from({ length: clips * frames * 3 * 64 }, (_, i) => Math.sin(i * 0.37 + step)),
    shape: [clips, frames, 3, 8, 8],
  },
  {
    data: Int32Array.from({ length: clips * 6 }, (_, i) => (i % 6 === 4 ? 19 : (i * 7 + step) % 17)),
    shape: [clips, 6],
  },
  { data: Int32Array.from([0, 1, 2, 1]), shape: [clips] },
];

interface Variant extends Partial<StepOptions>, Pick<ActionClipOptions, 'temporal' | 'joint' | 'shift' | 'dropout'> {
  readonly accumulation: number;
  readonly layout?: 'flat' | 'separate';
  readonly checkpoint?: boolean;
  /** In place of the step of a run. */
  readonly stepOf?: typeof batchStep;
}

interface Outcome {
  readonly losses: readonly StepMeasures[];
  readonly parameters: readonly number[];
  readonly draws: number;
  readonly workspace: number;
}

/** What five steps report, and the parameters after them. */
async function fiveSteps({
  accumulation,
  layout = 'separate',
  checkpoint = false,
  ...variant
}: Variant): Promise<Outcome> {
  const { temporal = 'Transf', joint = false, shift = false, dropout = 0, stepOf = batchStep } = variant;
  const generator = new Generator(3);
  const model = new ActionCLIP({
    sizes,
    frames,
    temporalLayers: 1,
    temporal,
    joint,
    shift,
    embeddingDropout: dropout,
    generator,
  });
  await model.train().initialize();
  model.clip.checkpointing = checkpoint;
  const precision = variant.precision ?? 'f32';
  const { solver } = configFrom({ data: { label_list: 'l' }, solver: { lr: 1e-2, f_ratio: 1, precision } }).config;
  const optimizer = optimizerOf(model, solver, { layout });
  await model.initialize();
  const step = stepOf(model, optimizer, {
    ...{ freezeText: false, freezeImage: false, batchSize: clips, accumulation },
    ...variant,
  });
  const drawnBefore = generator.counter;
  const plan = await step.prepare(batchAt(0));
  const losses: StepMeasures[] = [];
  for (let i = 0; i < steps; i++) losses.push(await readMeasures(await step.run(batchAt(i))));
  const values = await Promise.all(model.parameters().map((parameter) => parameter.data()));
  return {
    losses,
    parameters: values.flatMap((data) => [...data]),
    draws: generator.counter - drawnBefore,
    workspace: plan.memory.workspace,
  };
}

/** The largest difference of two runs, relative to the largest number of either kind. */
function difference(one: Outcome, other: Outcome): number {
  const far = (a: readonly number[], b: readonly number[]): number => {
    expect(a).toHaveLength(b.length);
    expect(a.every(Number.isFinite)).toBe(true);
    return Math.max(...a.map((x, i) => Math.abs(x - (b[i] as number)))) / Math.max(...b.map(Math.abs));
  };
  const numbers = ({ losses }: Outcome): number[] => losses.flatMap((measures) => Object.values(measures) as number[]);
  return Math.max(far(numbers(one), numbers(other)), far(one.parameters, other.parameters));
}

describe('on the reference device, five steps in parts', () => {
  let device: Device;
  beforeAll(async () => {
    device = await openDevice('reference');
    setDefaultDevice(device);
  });
  afterAll(() => device.close());

  it.each<[string, Omit<Variant, 'accumulation'>]>([
    ['mean pooling', { temporal: 'meanP' }],
    ['the transformer', { temporal: 'Transf' }],
    ['the LSTM', { temporal: 'LSTM' }],
    ['the convolution', { temporal: 'Conv_1D' }],
    ['the joint prompt', { temporal: 'meanP', joint: true }],
    ['shifts', { temporal: 'meanP', shift: true }],
    ['clipping', { maximumGradientNorm: 0.1 }],
    ['smoothed targets', { temporal: 'meanP', labelSmoothing: 0.1 }],
    ['a frozen text tower', { freezeText: true }],
    ['a frozen image tower', { freezeImage: true }],
    ['nothing but the logit scale', { temporal: 'meanP', freezeText: true, freezeImage: true }],
    ['flat parameters', { layout: 'flat', maximumGradientNorm: 1 }],
    ['checkpointed blocks', { checkpoint: true }],
  ])('are those of the whole batch with %s', async (_, variant) => {
    const whole = await fiveSteps({ ...variant, accumulation: 1 });
    expect(difference(await fiveSteps({ ...variant, accumulation: 2 }), whole)).toBeLessThan(1e-6);
    expect(whole.losses[4]?.loss).not.toBe(whole.losses[0]?.loss);
  });

  it('may have a smaller last part', async () => {
    const [whole, parted] = [
      await fiveSteps({ accumulation: 1 }),
      await fiveSteps({ accumulation: 2, stepOf: uneven }),
    ];
    expect(difference(parted, whole)).toBeLessThan(1e-6);
  });

  // The head with a class token has dropout of its own.
  it.each<[string, Omit<Variant, 'accumulation'>]>([
    ['of the embeddings', { temporal: 'meanP', dropout: 0.3 }],
    ['of the transformer with a class token', { temporal: 'Transf_cls' }],
  ])(
    'draw the dropout %s alike in both passes: the gradients are those of the parts in one graph',
    async (_, variant) => {
      const parted = await fiveSteps({ ...variant, accumulation: 2 });
      const joined = await fiveSteps({ ...variant, accumulation: 2, stepOf: inOneGraph });
      expect(difference(parted, joined)).toBeLessThan(1e-6);
      expect(parted.draws).toBe(joined.draws);
      expect(parted.draws).toBeGreaterThan(0);
    },
  );
});

it('a batch without so many equal parts is refused', () => {
  const values = { data: { label_list: 'l', batch_size: 128 }, solver: { accumulation: 3 } };
  expect(resolveConfig(values)).toEqual({
    problems: [
      {
        path: ['solver', 'accumulation'],
        message: 'a batch of 128 clips has no 3 equal parts; choose a divisor of data.batch_size',
      },
    ],
  });
});

describe('on the wasm device, five steps in parts', () => {
  let device: Device;
  beforeAll(async () => {
    device = await openDevice('wasm', { threads: 1, engineFlags: false });
    setDefaultDevice(device);
  });
  afterAll(() => device.close());

  it('skip the steps in mixed precision that the whole batch skips, and report its losses', async () => {
    const [whole, parted] = [
      await fiveSteps({ accumulation: 1, precision: 'mixed' }),
      await fiveSteps({ accumulation: 2, precision: 'mixed' }),
    ];
    const scales = ({ losses }: Outcome): unknown[] => losses.map(({ lossScale }) => lossScale);
    expect(scales(parted)).toEqual(scales(whole));
    const losses = ({ losses }: Outcome): number[] => losses.map(({ loss }) => loss);
    losses(parted).forEach((loss, i) => {
      expect(loss / (losses(whole)[i] as number)).toBeCloseTo(1, 3);
    });
  });

  it('need less memory for what is computed on the way', async () => {
    const [whole, parted] = [await fiveSteps({ accumulation: 1 }), await fiveSteps({ accumulation: 4 })];
    expect(parted.workspace).toBeLessThan(0.7 * whole.workspace);
  });
});

/** Parts of three clips and one. */
const uneven: typeof batchStep = (model, optimizer, options) =>
  batchStep(model, optimizer, { ...options, batchSize: 3 * 2, accumulation: 2 });

/** The same parts, one after the other, in a single graph. */
const inOneGraph: typeof batchStep = (model, optimizer, options): BatchStep => {
  const size = options.batchSize / options.accumulation;
  const objective = objectiveOf(model, options);
  const update = updateOf(optimizer, options);
  const step = compile((pixels, tokens, labels) => {
    const parts = Array.from({ length: options.accumulation }, (_, i) =>
      objective.features(pixels.narrow(0, i * size, size), tokens.narrow(0, i * size, size)),
    );
    const features = Array.from({ length: objective.kinds }, (_, kind) =>
      concat(parts.map((part) => part[kind] as Tensor)),
    );
    const losses = objective.losses(features, labels);
    optimizer.scaleLoss(losses[0] as Tensor).backward();
    return stack([...losses, ...update(losses[0] as Tensor)]);
  });
  const load = ({ data, shape }: HostInput) => tensor(data, { shape });
  return {
    losses: objective.names,
    run: ([pixels, tokens, labels]) => step(load(pixels), load(tokens), load(labels)),
    prepare: ([pixels, tokens, labels]) => step.prepare(load(pixels), load(tokens), load(labels)),
    trim: () => step.trim(),
  };
};
