/**
 * The form of a configuration file: every key with its type and default, by the names of the official YAML files, and
 * the keys of these that nothing reads.
 */
import { z } from 'zod';
import { templateSetNames } from '../prompts/template-sets.ts';
import { ADAPTER_SECTIONS, adapterKeys } from './adapter-config.ts';

/** Keys of the official files that the released code does not read and this package does not either, and why. */
export const IGNORED_KEYS: Readonly<Record<string, string>> = {
  'data.modality': 'frames are always RGB',
  'data.seg_length': 'one frame is taken from each segment',
  'data.split': 'the list files decide the split',
  'data.gpus': 'devices are chosen when the run is started',
  'data.num_classes': 'the label file decides the number of classes',
  'network.type': 'the run folder is set by output.folder',
  'network.describe': 'it is a remark',
  'network.bn_momentum': 'the network has no batch normalisation',
  'network.consensus_type': 'network.sim_header decides how frames are joined',
  'network.ratio': 'only solver.ratio is read',
  'network.f_ratio': 'only solver.f_ratio is read',
  'solver.epoch_offset': 'solver.start_epoch decides the first epoch',
  'solver.clip_gradient': 'only solver.max_gradient_norm clips, as the released training ran without clipping',
  'solver.loss_type': 'solver.loss decides, and is the KL divergence unless told',
  'logging.print_freq': 'progress is shown by time',
};

const count = z.int().positive();
const fraction = z.number().min(0).lt(1);
const text = z.string().min(1);
/** Blank values, as the official files have them, are absent values. */
const optionalText = text.nullish();
const anything = z.unknown().optional();

const dataSchema = z.strictObject({
  dataset: text.default('custom'),
  root: optionalText,
  train_list: optionalText,
  val_list: optionalText,
  label_list: text,
  image_tmpl: z
    .string()
    .regex(/^[^{}]*\{:0?\d*d\}[^{}]*$/, 'expected a file name with one integer place such as img_{:05d}.jpg')
    .default('img_{:05d}.jpg'),
  index_bias: z.int().nonnegative().default(1),
  num_segments: count.default(8),
  input_size: count.default(224),
  batch_size: count.default(128),
  workers: z.int().nonnegative().default(2),
  corrupt_clips: z.enum(['skip', 'error']).default('skip'),
  randaug: z
    .strictObject({ N: z.int().nonnegative().default(2), M: z.number().min(0).max(30).default(9) })
    .default({ N: 0, M: 0 }),
  random_shift: z.boolean().optional(),
  feature_views: z.int().nonnegative().optional(),
  replace_underscores: z.boolean().default(false),
  split_camel_case: z.boolean().default(false),
  templates: z.enum(templateSetNames).default('actionclip'),
  shots: count.nullish(),
  modality: anything,
  seg_length: anything,
  split: anything,
  gpus: anything,
  num_classes: anything,
});

const networkSchema = z.strictObject({
  arch: text.default('ViT-B/32'),
  weights: optionalText,
  init: z.boolean().default(true),
  tsm: z.boolean().default(false),
  joint: z.boolean().default(false),
  sim_header: z.enum(['meanP', 'LSTM', 'Transf', 'Conv_1D', 'Transf_cls']).default('Transf'),
  drop_out: fraction.default(0),
  emb_dropout: fraction.default(0),
  fix_text: z.boolean().default(false),
  fix_img: z.boolean().default(false),
  train_only: z.enum(['temporal', 'image', 'text']).optional(),
  checkpoint: z.boolean().default(false),
  ...adapterKeys,
  type: anything,
  describe: anything,
  bn_momentum: anything,
  consensus_type: anything,
  ratio: anything,
  f_ratio: anything,
});

const solverSchema = z.strictObject({
  type: z.enum(['cosine', 'multistep']).default('cosine'),
  epochs: count.default(50),
  start_epoch: z.int().nonnegative().default(0),
  optim: z.enum(['adamw', 'adam', 'sgd']).default('adamw'),
  precision: z.enum(['f32', 'mixed']).default('f32'),
  lr: z.number().positive().default(5e-6),
  lr_warmup_step: z.number().nonnegative().optional(),
  momentum: fraction.default(0.9),
  weight_decay: z.number().nonnegative().default(0.2),
  lr_decay_step: z.union([z.number().positive(), z.array(z.number().positive()).min(1)]).default(15),
  lr_decay_factor: z.number().positive().max(1).default(0.1),
  ratio: z.number().nonnegative().default(1),
  f_ratio: z.number().nonnegative().default(10),
  evaluate: z.boolean().default(false),
  max_gradient_norm: z.number().positive().optional(),
  accumulation: count.default(1),
  no_decay: z.boolean().default(false),
  layer_decay: z.number().positive().max(1).default(1),
  loss: z.enum(['contrastive', 'classifier']).default('contrastive'),
  label_smoothing: fraction.default(0),
  ema_decay: fraction.nullish(),
  swa_start: z.int().nonnegative().nullish(),
  epoch_offset: anything,
  clip_gradient: anything,
  loss_type: anything,
});

const behaviourSchema = z.strictObject({
  conv1d: z.enum(['reshaped', 'transposed']).optional(),
  lr_refresh: count.optional(),
  val_drop_last: z.boolean().optional(),
  augment_each_frame: z.boolean().optional(),
  fixed_decay_factor: z.boolean().optional(),
  half_weights: z.boolean().optional(),
  ignore_fix_img: z.boolean().optional(),
});

export const fileSchema = z.strictObject({
  seed: z.int().nonnegative().default(1024),
  compatibility: z.enum(['released', 'corrected']).default('corrected'),
  behaviour: behaviourSchema.prefault({}),
  pretrain: optionalText,
  resume: optionalText,
  data: dataSchema,
  network: networkSchema.prefault({}),
  solver: solverSchema.prefault({}),
  logging: z.strictObject({ print_freq: anything, eval_freq: count.default(1) }).prefault({}),
  output: z.strictObject({ folder: text.default('runs'), tensorboard: z.boolean().default(true) }).prefault({}),
});

export type ConfigFile = z.output<typeof fileSchema>;

/** Every key by section; `''` is the top level. */
export const KNOWN_KEYS: ReadonlyMap<string, readonly string[]> = new Map([
  ['', Object.keys(fileSchema.shape)],
  ['data', Object.keys(dataSchema.shape)],
  ['data.randaug', ['N', 'M']],
  ['network', Object.keys(networkSchema.shape)],
  ...ADAPTER_SECTIONS,
  ['solver', Object.keys(solverSchema.shape)],
  ['behaviour', Object.keys(behaviourSchema.shape)],
  ['logging', ['print_freq', 'eval_freq']],
  ['output', ['folder', 'tensorboard']],
]);
