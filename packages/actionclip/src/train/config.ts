/**
 * The configuration of a run: its schema, its defaults and the switches between the released code's behaviour and
 * the corrected one. Files use the vocabulary of the official YAML files, extended by a few keys.
 */
import { z } from 'zod';
import { type ConfigProblem, problemsOf } from './config-problems.ts';

export type TemporalHead = 'meanP' | 'LSTM' | 'Transf' | 'Conv_1D' | 'Transf_cls';

/** Where the released code has a known fault, both behaviours have a name. */
export interface BehaviourSwitches {
  /** Conv_1D reads [batch, frames, width] as [batch, width, frames] without moving data (released), or moves it. */
  readonly conv1d: 'reshaped' | 'transposed';
  /** The learning rate is set at the first step of an epoch and then at every n-th: 10 (released) or 1. */
  readonly learningRateRefresh: number;
  /** Validation leaves out the clips of the last, partial batch (released), or counts every clip. */
  readonly dropLastValidationBatch: boolean;
  /** Colour jitter and RandAugment draw their values for every frame (released), or once a clip. */
  readonly augmentEachFrame: boolean;
}

export interface DataConfig {
  readonly dataset: string;
  /** Before relative paths of frames and videos in the lists. */
  readonly root?: string;
  readonly trainList?: string;
  readonly validationList?: string;
  readonly labelList: string;
  /** A Python format string with one integer, `img_{:05d}.jpg`. */
  readonly imageTemplate: string;
  /** The number of the first frame in a folder. */
  readonly firstFrame: number;
  /** Frames per clip, one from each of as many segments. */
  readonly frames: number;
  /** Pixels of the square that the model sees. */
  readonly inputSize: number;
  readonly batchSize: number;
  readonly workers: number;
  readonly randAugment: { readonly operations: number; readonly magnitude: number };
  /** Training draws a random frame from each segment instead of its centre. */
  readonly randomShift: boolean;
  readonly labelCleaning: { readonly underscores: boolean; readonly camelCase: boolean };
}

export interface NetworkConfig {
  /** The name of a preset, `ViT-B/32`. */
  readonly architecture: string;
  /** A file with the weights of CLIP to start from; without it the towers start at random. */
  readonly weights?: string;
  /** False: the text tower keeps its random start although there are weights. */
  readonly pretrainedText: boolean;
  readonly temporalHead: TemporalHead;
  readonly shift: boolean;
  readonly joint: boolean;
  readonly dropout: number;
  readonly embeddingDropout: number;
  readonly freezeText: boolean;
  readonly freezeImage: boolean;
  /** The blocks of both towers are computed again for their gradients, in less memory. */
  readonly checkpoint: boolean;
}

export interface SolverConfig {
  readonly optimizer: 'adamw' | 'adam' | 'sgd';
  /** Mixed: the towers' matrix products take factors of half precision, and the loss is scaled; all else is in 32 bits. */
  readonly precision: 'f32' | 'mixed';
  readonly learningRate: number;
  /** Factor on the learning rate of the visual tower. */
  readonly visualRatio: number;
  /** Factor on the learning rate of the temporal head. */
  readonly temporalRatio: number;
  readonly weightDecay: number;
  readonly momentum: number;
  readonly schedule: 'cosine' | 'multistep';
  readonly epochs: number;
  readonly startEpoch: number;
  readonly warmupEpochs: number;
  /** Epochs at which the multistep schedule multiplies the rate by `decayFactor`. */
  readonly milestones: readonly number[];
  readonly decayFactor: number;
  /** The largest norm of all gradients together; without it they are not clipped. */
  readonly maximumGradientNorm?: number;
}

export interface OutputConfig {
  readonly folder: string;
  /** Epochs between validations. */
  readonly evaluateEvery: number;
}

export interface Config {
  readonly seed: number;
  readonly compatibility: 'released' | 'corrected';
  readonly behaviour: BehaviourSwitches;
  /** A checkpoint whose weights the run starts from. */
  readonly pretrain?: string;
  /** A checkpoint that the run continues. */
  readonly resume?: string;
  /** Validate once and end. */
  readonly evaluateOnly: boolean;
  readonly data: DataConfig;
  readonly network: NetworkConfig;
  readonly solver: SolverConfig;
  readonly output: OutputConfig;
}

/** The released code's behaviour and ours, by name. */
export const BEHAVIOURS: Readonly<Record<Config['compatibility'], BehaviourSwitches>> = {
  released: { conv1d: 'reshaped', learningRateRefresh: 10, dropLastValidationBatch: true, augmentEachFrame: true },
  corrected: {
    conv1d: 'transposed',
    learningRateRefresh: 1,
    dropLastValidationBatch: false,
    augmentEachFrame: false,
  },
};

/** Keys of the official files that the released code does not read and this package does not either, and why. */
const IGNORED_KEYS: Readonly<Record<string, string>> = {
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
  'solver.loss_type': 'the loss is always the KL divergence',
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
  randaug: z
    .strictObject({ N: z.int().nonnegative().default(2), M: z.number().min(0).max(30).default(9) })
    .default({ N: 0, M: 0 }),
  random_shift: z.boolean().optional(),
  replace_underscores: z.boolean().default(false),
  split_camel_case: z.boolean().default(false),
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
  checkpoint: z.boolean().default(false),
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
  epoch_offset: anything,
  clip_gradient: anything,
  loss_type: anything,
});

const behaviourSchema = z.strictObject({
  conv1d: z.enum(['reshaped', 'transposed']).optional(),
  lr_refresh: count.optional(),
  val_drop_last: z.boolean().optional(),
  augment_each_frame: z.boolean().optional(),
});

const fileSchema = z.strictObject({
  seed: z.int().nonnegative().default(1024),
  compatibility: z.enum(['released', 'corrected']).default('corrected'),
  behaviour: behaviourSchema.prefault({}),
  pretrain: optionalText,
  resume: optionalText,
  data: dataSchema,
  network: networkSchema.prefault({}),
  solver: solverSchema.prefault({}),
  logging: z.strictObject({ print_freq: anything, eval_freq: count.default(1) }).prefault({}),
  output: z.strictObject({ folder: text.default('runs') }).prefault({}),
});

type ConfigFile = z.output<typeof fileSchema>;

/** Every key by section; `''` is the top level. */
const KNOWN_KEYS: ReadonlyMap<string, readonly string[]> = new Map([
  ['', Object.keys(fileSchema.shape)],
  ['data', Object.keys(dataSchema.shape)],
  ['data.randaug', ['N', 'M']],
  ['network', Object.keys(networkSchema.shape)],
  ['solver', Object.keys(solverSchema.shape)],
  ['behaviour', Object.keys(behaviourSchema.shape)],
  ['logging', ['print_freq', 'eval_freq']],
  ['output', ['folder']],
]);

export type ConfigResult =
  | { readonly config: Config; readonly warnings: readonly string[] }
  | { readonly problems: readonly ConfigProblem[] };

/**
 * Checks plain values, as YAML or JSON give them, and fills in the defaults.
 * @returns The configuration with warnings (each key that nothing reads, once), or every problem at once.
 */
export function resolveConfig(values: unknown): ConfigResult {
  const parsed = fileSchema.safeParse(values);
  if (!parsed.success) return { problems: problemsOf(parsed.error.issues, KNOWN_KEYS) };
  const config = toConfig(parsed.data);
  const problems = crossChecks(config);
  if (problems.length > 0) return { problems };
  return { config, warnings: [...ignoredKeys(values), ...doubts(config, values)] };
}

function toConfig(file: ConfigFile): Config {
  const { data, network, solver, behaviour, compatibility } = file;
  const switches = BEHAVIOURS[compatibility];
  // The released code reads an absent random_shift as false, which made training there deterministic.
  const randomShift = data.random_shift ?? compatibility === 'corrected';
  return {
    seed: file.seed,
    compatibility,
    behaviour: {
      conv1d: behaviour.conv1d ?? switches.conv1d,
      learningRateRefresh: behaviour.lr_refresh ?? switches.learningRateRefresh,
      dropLastValidationBatch: behaviour.val_drop_last ?? switches.dropLastValidationBatch,
      augmentEachFrame: behaviour.augment_each_frame ?? switches.augmentEachFrame,
    },
    ...present('pretrain', file.pretrain),
    ...present('resume', file.resume),
    evaluateOnly: solver.evaluate,
    data: {
      dataset: data.dataset,
      ...present('root', data.root),
      ...present('trainList', data.train_list),
      ...present('validationList', data.val_list),
      labelList: data.label_list,
      imageTemplate: data.image_tmpl,
      firstFrame: data.index_bias,
      frames: data.num_segments,
      inputSize: data.input_size,
      batchSize: data.batch_size,
      workers: data.workers,
      randAugment: { operations: data.randaug.N, magnitude: data.randaug.M },
      randomShift,
      labelCleaning: { underscores: data.replace_underscores, camelCase: data.split_camel_case },
    },
    network: {
      architecture: network.arch,
      ...present('weights', network.weights),
      pretrainedText: network.init,
      temporalHead: network.sim_header,
      shift: network.tsm,
      joint: network.joint,
      dropout: network.drop_out,
      embeddingDropout: network.emb_dropout,
      freezeText: network.fix_text,
      freezeImage: network.fix_img,
      checkpoint: network.checkpoint,
    },
    solver: {
      optimizer: solver.optim,
      precision: solver.precision,
      learningRate: solver.lr,
      visualRatio: solver.ratio,
      temporalRatio: solver.f_ratio,
      weightDecay: solver.weight_decay,
      momentum: solver.momentum,
      schedule: solver.type,
      epochs: solver.epochs,
      startEpoch: solver.start_epoch,
      // The paper warms up for 5 of 50 epochs; shorter runs keep the proportion.
      warmupEpochs: solver.lr_warmup_step ?? Math.min(5, solver.epochs / 10),
      milestones: milestonesOf(solver.lr_decay_step, solver.epochs),
      decayFactor: solver.lr_decay_factor,
      ...present('maximumGradientNorm', solver.max_gradient_norm),
    },
    output: { folder: file.output.folder, evaluateEvery: file.logging.eval_freq },
  };
}

function present<Key extends string, Value>(key: Key, value: Value | null | undefined): { [K in Key]?: Value } {
  return (value === null || value === undefined ? {} : { [key]: value }) as { [K in Key]?: Value };
}

/** A list of epochs as it is, or the multiples of one number below the last epoch. */
function milestonesOf(step: number | readonly number[], epochs: number): number[] {
  if (typeof step !== 'number') return [...step].sort((a, b) => a - b);
  return Array.from({ length: Math.max(0, Math.ceil(epochs / step) - 1) }, (_, i) => (i + 1) * step);
}

/** CLIP's context length: the rows of the released heads' table of frame positions. */
const MAXIMUM_FRAMES = 77;

/** What single keys cannot tell. */
function crossChecks({ data, network, solver }: Config): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  const require = (holds: boolean, path: string[], message: string): void => {
    if (!holds) problems.push({ path, message });
  };
  require(solver.warmupEpochs <= solver.epochs, [
    'solver',
    'lr_warmup_step',
  ], `${solver.warmupEpochs} epochs of warm-up are more than all ${solver.epochs} epochs; lower it`);
  require(solver.startEpoch < solver.epochs, [
    'solver',
    'start_epoch',
  ], `${solver.startEpoch} is not before the last of ${solver.epochs} epochs`);
  const [firstMilestone = Number.POSITIVE_INFINITY] = solver.milestones;
  require(solver.schedule !== 'multistep' || firstMilestone > solver.warmupEpochs, [
    'solver',
    'lr_decay_step',
  ], `the first milestone ${firstMilestone} must come after ${solver.warmupEpochs} epochs of warm-up`);
  require(network.temporalHead === 'meanP' || data.frames <= MAXIMUM_FRAMES, [
    'data',
    'num_segments',
  ], `${data.frames} frames are more than the ${MAXIMUM_FRAMES} positions of ${network.temporalHead}; lower it`);
  require(!network.joint || network.temporalHead === 'meanP', [
    'network',
    'joint',
  ], `joint attention gives one feature a clip, which ${network.temporalHead} cannot take; set sim_header to meanP`);
  return problems;
}

function ignoredKeys(values: unknown): string[] {
  return Object.entries(IGNORED_KEYS).flatMap(([path, reason]) => {
    const [section = '', key = ''] = path.split('.');
    return hasKey(values, section, key) ? [`${path} is ignored: ${reason}`] : [];
  });
}

function doubts(config: Config, values: unknown): string[] {
  const isEvaluation = config.evaluateOnly || !hasKey(values, 'solver');
  const { temporalHead } = config.network;
  if (!isEvaluation || temporalHead === 'meanP' || config.pretrain !== undefined) return [];
  return [
    `network.sim_header is ${temporalHead} but there is no pretrain: an untrained head spoils CLIP's features, ` +
      'use meanP for plain CLIP',
  ];
}

function hasKey(values: unknown, ...path: string[]): boolean {
  let place: unknown = values;
  for (const key of path) {
    if (typeof place !== 'object' || place === null || !Object.hasOwn(place, key)) return false;
    place = (place as Record<string, unknown>)[key];
  }
  return true;
}
