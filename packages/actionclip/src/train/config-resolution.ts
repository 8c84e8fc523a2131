/** From the values of a file to the configuration of a run: keys to fields, with the defaults that depend on others. */
import { adaptedTowers, type Tower } from '../model/adapters.ts';
import { adapterOf } from './adapter-config.ts';
import { BEHAVIOURS, type BehaviourSwitches, type Config, RELEASED_DECAY_FACTOR } from './config.ts';
import { crossChecks, hasKey, warningsOf } from './config-checks.ts';
import { type ConfigProblem, problemsOf } from './config-problems.ts';
import { type ConfigFile, fileSchema, KNOWN_KEYS } from './config-schema.ts';
import type { Averaging } from './weight-average.ts';

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
  const problems = crossChecks(config, parsed.data);
  if (problems.length > 0) return { problems };
  return { config, warnings: warningsOf(values, parsed.data, config) };
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
    halfWeights: behaviour.half_weights ?? switches.halfWeights,
    ignoreFixImage: behaviour.ignore_fix_img ?? switches.ignoreFixImage,
  };
}

function toConfig(file: ConfigFile, isEvaluation: boolean): Config {
  const { data, network, solver, compatibility } = file;
  const behaviour = switchesOf(file);
  const adapter = adapterOf(network);
  const isAdapted = (tower: Tower): boolean => adapter === undefined || adaptedTowers(adapter).includes(tower);
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
      corruptClips: data.corrupt_clips,
      randAugment: { operations: data.randaug.N, magnitude: data.randaug.M },
      randomShift,
      ...present('featureViews', featureViewsOf(file)),
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
      freezeText: network.fix_text || (network.train_only ?? 'text') !== 'text' || !isAdapted('text'),
      freezeImage:
        (network.fix_img && !behaviour.ignoreFixImage) ||
        (network.train_only ?? 'image') !== 'image' ||
        !isAdapted('image'),
      freezeTemporal: (network.train_only ?? 'temporal') !== 'temporal',
      ...present('adapter', adapter),
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
      halfWeights: behaviour.halfWeights,
      layerDecay: solver.layer_decay,
      loss: solver.loss,
      labelSmoothing: solver.label_smoothing,
      ...present('averaging', averagingOf(solver)),
    },
    output: {
      folder: file.output.folder,
      evaluateEvery: file.logging.eval_freq,
      tensorboard: file.output.tensorboard,
    },
  };
}

/** Views that a temporal head alone is trained on unless the file says. */
const DEFAULT_FEATURE_VIEWS = 4;

/** 0 asks for draws of every epoch's own. */
function featureViewsOf({ data, network }: ConfigFile): number | undefined {
  const views = data.feature_views ?? (network.train_only === 'temporal' ? DEFAULT_FEATURE_VIEWS : 0);
  return views === 0 ? undefined : views;
}

function present<Key extends string, Value>(key: Key, value: Value | null | undefined): { [K in Key]?: Value } {
  return (value === null || value === undefined ? {} : { [key]: value }) as { [K in Key]?: Value };
}

function averagingOf({ ema_decay: decay, swa_start: firstEpoch }: ConfigFile['solver']): Averaging | undefined {
  if (typeof decay === 'number') return { kind: 'ema', decay };
  return typeof firstEpoch === 'number' ? { kind: 'swa', firstEpoch } : undefined;
}

/** A list of epochs as it is, or the multiples of one number below the last epoch. */
function milestonesOf(step: number | readonly number[], epochs: number): number[] {
  if (typeof step !== 'number') return [...step].sort((a, b) => a - b);
  return Array.from({ length: Math.max(0, Math.ceil(epochs / step) - 1) }, (_, i) => (i + 1) * step);
}
