// A run of a few seconds: three synthetic actions, a model of two thousand numbers a layer, the wasm device.
import { join } from 'node:path';
import type { StateDict } from '@actionclip/tensor';
import { trainBytePairs } from '@actionclip/tokenizer';
import {
  type ActionDataset,
  type Config,
  type ConfigOverrides,
  configFrom,
  type DatasetOptions,
  describeModel,
  formatPrompts,
  generateActionDataset,
  type OpenedModel,
  openModel,
  type RunData,
  readRunData,
  type TrainingRun,
} from 'actionclip';

export const TINY_LABELS = ['sitting down', 'standing up', 'jumping jacks'] as const;

/** Nine clips to train on and six held out, pictures of 24 pixels. */
export function tinyClips(folder: string): Promise<ActionDataset> {
  return generateActionDataset(folder, {
    size: 24,
    frames: [6, 8],
    difficulty: 0,
    labels: TINY_LABELS,
    zeroShotLabels: ['waving one arm'],
    trainClips: 3,
    valClips: 2,
    zeroShotClips: 1,
  });
}

export interface TinyRun {
  readonly config: Config;
  readonly data: RunData;
  readonly opened: OpenedModel;
}

/** Batches of 4 of 9 clips: two steps an epoch. Values of `changes` replace those of the configuration. */
export async function tinyRun(
  clips: ActionDataset,
  output: string,
  changes: { readonly [section: string]: ConfigOverrides[string] } = {},
): Promise<TinyRun> {
  const section = (name: string, values: ConfigOverrides): ConfigOverrides => ({
    ...values,
    ...(changes[name] as ConfigOverrides | undefined),
  });
  const { config } = configFrom({
    ...changes,
    data: section('data', {
      train_list: clips.trainList,
      val_list: clips.valList,
      label_list: clips.labelFile,
      root: clips.root,
      num_segments: 4,
      input_size: 16,
      batch_size: 4,
      workers: 0,
    }),
    network: section('network', { arch: 'tiny of tests' }),
    solver: section('solver', { epochs: 3, lr: 3e-3, f_ratio: 1, lr_warmup_step: 0 }),
    logging: section('logging', { eval_freq: 1 }),
    output: { folder: output },
  });
  const data = await readRunData(config);
  const tokenizer = trainBytePairs(formatPrompts(TINY_LABELS), { vocabularySize: 560 });
  const description = describeModel(config, {
    vocabulary: tokenizer.toJSON(),
    temporalLayers: 1,
    sizes: {
      embedding: 16,
      vision: { resolution: 16, patch: 8, width: 16, layers: 1, heads: 2 },
      text: { context: 32, vocabulary: tokenizer.vocabularySize, width: 16, layers: 1, heads: 2 },
    },
  });
  return { config, data, opened: await openModel(description, config.seed) };
}

/** Two epochs of two steps with dropout and a checkpoint after every step, from the start or from a checkpoint. */
export async function shortRun(clips: ActionDataset, output: string, resume?: string): Promise<TrainingRun> {
  const changes = { network: { drop_out: 0.1 }, solver: { epochs: 2 }, ...(resume === undefined ? {} : { resume }) };
  return { ...(await tinyRun(clips, output, changes)), checkpointEvery: 1 };
}

/** Training without augmentation, so that a few steps show. */
export const plainDatasets: DatasetOptions = { augmentation: { colourJitter: 0, grayscale: 0, flip: 0 } };

/** Every parameter as its bytes, to be compared bit for bit. */
export function bytesOf(state: StateDict): Record<string, string> {
  const bytes = ({ buffer, byteOffset, byteLength }: ArrayBufferView): string =>
    Buffer.from(buffer, byteOffset, byteLength).toString('base64');
  return Object.fromEntries([...state].map(([name, { data }]) => [name, bytes(data)]));
}

export const tinyDatasetFolder = (folder: string): string => join(folder, 'clips');
