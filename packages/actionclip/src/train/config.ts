/**
 * The configuration of a run as the program uses it, made from a file's values, and the switches between the released
 * code's behaviour and the corrected one.
 */
import type { TemplateSetName } from '../prompts/template-sets.ts';
import { type ConfigProblem, problemsOf } from './config-problems.ts';
import { type ConfigFile, fileSchema, IGNORED_KEYS, KNOWN_KEYS } from './config-schema.ts';

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
  /** The multistep schedule divides by ten whatever `lr_decay_factor` says (released), or multiplies by it. */
  readonly fixedDecayFactor: boolean;
  /** `fix_img` does nothing (released), or freezes the image tower. */
  readonly ignoreFixImage: boolean;
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
  /** The set of texts around the labels, in training and validation. */
  readonly templates: TemplateSetName;
  /** Few-shot training: clips of each class that are drawn from the training list; all of them if absent. */
  readonly shots?: number;
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
  /** Frozen parts keep their parameters; what is in none of the three parts, the logit scale, is always trained. */
  readonly freezeText: boolean;
  readonly freezeImage: boolean;
  readonly freezeTemporal: boolean;
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
  /** In how many parts a batch is computed, one after the other on the device, with the loss of the whole batch. */
  readonly accumulation: number;
  /** Biases, gains and other vectors, and the logit scale, are not decayed. */
  readonly noDecay: boolean;
  /** Factor on the rate for every step from the top of a tower down to its embeddings; 1 leaves all rates as they are. */
  readonly layerDecay: number;
  /** The share of every target that is spread evenly over the batch. */
  readonly labelSmoothing: number;
}

export interface OutputConfig {
  readonly folder: string;
  /** Epochs between validations. */
  readonly evaluateEvery: number;
  /** Whether TensorBoard's event files are written beside the log. */
  readonly tensorboard: boolean;
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
  released: {
    conv1d: 'reshaped',
    learningRateRefresh: 10,
    dropLastValidationBatch: true,
    augmentEachFrame: true,
    fixedDecayFactor: true,
    ignoreFixImage: true,
  },
  corrected: {
    conv1d: 'transposed',
    learningRateRefresh: 1,
    dropLastValidationBatch: false,
    augmentEachFrame: false,
    fixedDecayFactor: false,
    ignoreFixImage: false,
  },
};

/** What the released code's multistep schedule multiplies by. */
const RELEASED_DECAY_FACTOR = 0.1;

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
  const config = toConfig(parsed.data, isEvaluationFile(parsed.data, values));
  const problems = crossChecks(config);
  if (problems.length > 0) return { problems };
  return { config, warnings: [...ignoredKeys(values), ...overruledKeys(parsed.data, config), ...doubts(config)] };
}

/** The official files for the released test.py have clips to validate on and neither clips nor a solver to train with. */
const isEvaluationFile = ({ data }: ConfigFile, values: unknown): boolean =>
  !hasKey(values, 'solver') && (data.train_list ?? undefined) === undefined && typeof data.val_list === 'string';

function switchesOf({ compatibility, behaviour }: ConfigFile): BehaviourSwitches {
  const switches = BEHAVIOURS[compatibility];
  return {
    conv1d: behaviour.conv1d ?? switches.conv1d,
    learningRateRefresh: behaviour.lr_refresh ?? switches.learningRateRefresh,
    dropLastValidationBatch: behaviour.val_drop_last ?? switches.dropLastValidationBatch,
    augmentEachFrame: behaviour.augment_each_frame ?? switches.augmentEachFrame,
    fixedDecayFactor: behaviour.fixed_decay_factor ?? switches.fixedDecayFactor,
    ignoreFixImage: behaviour.ignore_fix_img ?? switches.ignoreFixImage,
  };
}

function toConfig(file: ConfigFile, isEvaluation: boolean): Config {
  const { data, network, solver, compatibility } = file;
  const behaviour = switchesOf(file);
  // The released code reads an absent random_shift as false, which made training there deterministic.
  const randomShift = data.random_shift ?? compatibility === 'corrected';
  return {
    seed: file.seed,
    compatibility,
    behaviour,
    ...present('pretrain', file.pretrain),
    ...present('resume', file.resume),
    evaluateOnly: solver.evaluate || isEvaluation,
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
      templates: data.templates,
      ...present('shots', data.shots),
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
      freezeText: network.fix_text || (network.train_only ?? 'text') !== 'text',
      freezeImage: (network.fix_img && !behaviour.ignoreFixImage) || (network.train_only ?? 'image') !== 'image',
      freezeTemporal: (network.train_only ?? 'temporal') !== 'temporal',
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
      decayFactor: behaviour.fixedDecayFactor ? RELEASED_DECAY_FACTOR : solver.lr_decay_factor,
      ...present('maximumGradientNorm', solver.max_gradient_norm),
      accumulation: solver.accumulation,
      noDecay: solver.no_decay,
      layerDecay: solver.layer_decay,
      labelSmoothing: solver.label_smoothing,
    },
    output: {
      folder: file.output.folder,
      evaluateEvery: file.logging.eval_freq,
      tensorboard: file.output.tensorboard,
    },
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
function crossChecks({ data, network, solver, evaluateOnly }: Config): ConfigProblem[] {
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
  require(data.batchSize % solver.accumulation === 0, [
    'solver',
    'accumulation',
  ], `a batch of ${data.batchSize} clips has no ${solver.accumulation} equal parts; choose a divisor of data.batch_size`);
  require(network.temporalHead === 'meanP' || data.frames <= MAXIMUM_FRAMES, [
    'data',
    'num_segments',
  ], `${data.frames} frames are more than the ${MAXIMUM_FRAMES} positions of ${network.temporalHead}; lower it`);
  const { freezeText, freezeImage, freezeTemporal, temporalHead } = network;
  const isHeadFixed = freezeTemporal || temporalHead === 'meanP';
  require(evaluateOnly || !(freezeText && freezeImage && isHeadFixed), [
    'network',
    'train_only',
  ], `only the logit scale is left to train, as ${temporalHead === 'meanP' ? 'meanP has no parameters' : 'fix_text or fix_img freezes the same part'}; leave another part free`);
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

/** Values that would change something, but for the released behaviour. */
function overruledKeys({ network, solver }: ConfigFile, { behaviour }: Config): string[] {
  const factor = solver.lr_decay_factor;
  const isOverruled = solver.type === 'multistep' && factor !== RELEASED_DECAY_FACTOR && behaviour.fixedDecayFactor;
  return [
    ...(network.fix_img && behaviour.ignoreFixImage
      ? ['network.fix_img is ignored: the released training does so; set behaviour.ignore_fix_img to false to freeze']
      : []),
    ...(isOverruled
      ? [
          `solver.lr_decay_factor is ignored: the released schedule always takes ${RELEASED_DECAY_FACTOR}; ` +
            `set behaviour.fixed_decay_factor to false for ${factor}`,
        ]
      : []),
  ];
}

function doubts(config: Config): string[] {
  const { temporalHead } = config.network;
  if (!config.evaluateOnly || temporalHead === 'meanP' || config.pretrain !== undefined) return [];
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
