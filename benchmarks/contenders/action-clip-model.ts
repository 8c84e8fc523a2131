/** ActionCLIP itself as work: a training step, and a video's features. No peer has the model. */
import { compile, defaultDevice, type Tensor, tensor } from '@actionclip/tensor';
import {
  type ActionCLIP,
  actionLabels,
  type Config,
  type ConfigOverrides,
  configFrom,
  describeModel,
  layoutOn,
  type OpenedModel,
  openModel,
  optimizerOf,
  promptTokens,
  smallInput,
  smallModel,
  trainingStep,
} from 'actionclip';
import type { Prepared } from '../harness/contender.ts';
import { uniform } from '../harness/data.ts';
import { blockProducts, type ModelName, type StepWork, towerProducts, type VideoWork } from '../harness/work.ts';

/** The part of the configuration that differs: the small model's is that of the main job. */
const configs: Readonly<Record<ModelName, ConfigOverrides>> = {
  small: {
    data: { input_size: smallInput },
    network: { arch: 'small' },
    solver: { lr: 1.5e-3, f_ratio: 2, weight_decay: 0.1, max_gradient_norm: 1 },
  },
  'ViT-B/32': { network: { arch: 'ViT-B/32' } },
  'ViT-B/16': { network: { arch: 'ViT-B/16' } },
};

/** How matrix products are computed. */
export type Precision = 'f32' | 'mixed';

interface Opened extends OpenedModel {
  readonly config: Config;
}

async function openNamed(name: ModelName, frames: number, batch: number, precision: Precision): Promise<Opened> {
  const { data, network, solver } = configs[name] as Record<string, object>;
  const { config } = configFrom({
    data: { label_list: 'built-in', num_segments: frames, batch_size: batch, ...data },
    network: { sim_header: 'Transf', ...network },
    solver: { ...solver, precision },
  });
  const choices = name === 'small' ? smallModel(actionLabels) : {};
  return { config, ...(await openModel(describeModel(config, choices), 1)) };
}

/** Bytes of frames, [batch, frames, 3, side, side]. */
function pixels(batch: number, { clip, frames }: ActionCLIP): Tensor {
  const side = clip.sizes.vision.resolution;
  const shape = [batch, frames, 3, side, side];
  const elements = uniform('pixels', batch * frames * 3 * side ** 2, 70, 127);
  return tensor(Uint8Array.from(elements), { shape });
}

/** Operations of all matrix products of a step: the backward half has two for each of the forward half. */
function stepProducts({ clip, fusion, frames }: ActionCLIP, batch: number, textLength: number): number {
  const { embedding, vision, text } = clip.sizes;
  const { patches, rest } = towerProducts(vision, embedding, batch * frames);
  const names = [...fusion.namedParameters()].map(([name]) => name);
  const layers = new Set(names.flatMap((name) => /resblocks\.\d+/.exec(name)?.[0] ?? [])).size;
  const temporal = blockProducts(layers, batch, frames, embedding);
  const texts = blockProducts(text.layers, batch, textLength, text.width) + 2 * batch * text.width * embedding;
  const logits = 2 * batch * batch * embedding;
  // Pixels need no gradient: the patch embedding has one product backward.
  return 2 * patches + 3 * (rest + temporal + texts + logits);
}

export async function prepareStep(work: StepWork, given: Precision): Promise<Prepared> {
  const { model: name, frames, batch } = work;
  const { model, tokenizer, config } = await openNamed(name, frames, batch, given);
  model.train();
  const { maximumGradientNorm, precision } = config.solver;
  const optimizer = optimizerOf(model, config.solver, { layout: layoutOn(await defaultDevice()) });
  await model.initialize();
  const step = trainingStep(model, optimizer, {
    freezeText: false,
    freezeImage: false,
    precision,
    ...(maximumGradientNorm === undefined ? {} : { maximumGradientNorm }),
  });
  const prompts = promptTokens(actionLabels, tokenizer, model.clip.sizes.text.context);
  const clips = pixels(batch, model);
  const tokens = tensor(prompts.tokens.slice(0, batch * prompts.length), { shape: [batch, prompts.length] });
  const labels = tensor(Int32Array.from({ length: batch }, (_, i) => i % actionLabels.length));
  return {
    run: async () => (await step(clips, tokens, labels)).dispose(),
    cost: { flops: stepProducts(model, batch, prompts.length) },
  };
}

export async function prepareVideo({ model: name, frames }: VideoWork): Promise<Prepared> {
  const { model } = await openNamed(name, frames, 1, 'f32');
  model.eval();
  const encode = compile((clip: Tensor) => model.encodeVideo(clip));
  const clip = pixels(1, model);
  const used = [...model.clip.visual.parameters(), ...model.fusion.parameters()];
  const parameterBytes = used.reduce((sum, { size }) => sum + 4 * size, 0);
  return {
    run: async () => (await encode(clip)).dispose(),
    working: () => encode.stats().peakBytes - parameterBytes,
  };
}
