/** The released recipe: parameter groups with their rates, and the schedule on the fractional epoch. */
import {
  Adam,
  AdamW,
  cosineSchedule,
  type Device,
  LossScale,
  multistepSchedule,
  type Optimizer,
  type OptimizerOptions,
  type Schedule,
  SGD,
} from '@actionclip/tensor';
import type { ActionCLIP } from '../model/action-clip.ts';
import type { SolverConfig } from './config.ts';
import { type Frozen, isTrained } from './freezing.ts';
import { type NamedGroup, type NamedParameters, splitGroups } from './parameter-groups.ts';

/** The released code's, in place of PyTorch's 0.9 and 0.999. */
export const RELEASED_BETAS = [0.9, 0.98] as const;
const epsilon = 1e-8;
/** Fixed in the released code for Adam, where it is added to the gradient. */
const adamWeightDecay = 0.2;

interface TowerParameters {
  /** The text tower and the logit scale. */
  readonly text: NamedParameters;
  readonly visual: NamedParameters;
  readonly temporal: NamedParameters;
}

function towersOf(model: ActionCLIP, frozen: Frozen): TowerParameters {
  const all = [...model.namedParameters()].filter(([name]) => isTrained(name, frozen));
  const under = (prefix: string): NamedParameters => all.filter(([name]) => name.startsWith(prefix));
  const visual = under('visual.');
  const temporal = under('fusion.');
  return { text: all.filter((entry) => !visual.includes(entry) && !temporal.includes(entry)), visual, temporal };
}

interface OptimizerKind {
  readonly groups: (towers: TowerParameters, solver: SolverConfig) => NamedGroup[];
  readonly build: (groups: readonly NamedGroup[], solver: SolverConfig, options: OptimizerOptions) => Optimizer;
}

const everyTower = (
  { text, visual, temporal }: TowerParameters,
  { learningRate, visualRatio, temporalRatio }: SolverConfig,
): NamedGroup[] => [
  { parameters: text, learningRate },
  { parameters: visual, learningRate: learningRate * visualRatio },
  { parameters: temporal, learningRate: learningRate * temporalRatio },
];

const clipAndHead = (
  { text, visual, temporal }: TowerParameters,
  { learningRate, temporalRatio }: SolverConfig,
): NamedGroup[] => [
  { parameters: [...text, ...visual], learningRate },
  { parameters: temporal, learningRate: learningRate * temporalRatio },
];

const optimizers: Readonly<Record<SolverConfig['optimizer'], OptimizerKind>> = {
  adamw: {
    groups: everyTower,
    build: (groups, { weightDecay }, options) =>
      new AdamW(groups, { ...options, betas: RELEASED_BETAS, epsilon, weightDecay }),
  },
  adam: {
    groups: clipAndHead,
    build: (groups, _, options) =>
      new Adam(groups, { ...options, betas: RELEASED_BETAS, epsilon, weightDecay: adamWeightDecay }),
  },
  sgd: {
    groups: clipAndHead,
    build: (groups, { learningRate, momentum, weightDecay }, options) =>
      new SGD(groups, { ...options, learningRate, momentum, weightDecay }),
  },
};

/**
 * The optimizer of a configuration over all parameters of the parts that are not frozen; those that get no gradient stay as they are. In mixed precision
 * it scales the loss: see `scaleLoss`.
 */
export function optimizerOf(
  model: ActionCLIP,
  solver: SolverConfig,
  options: OptimizerOptions = {},
  frozen: Frozen = new Set(),
): Optimizer {
  const scaling = solver.precision === 'mixed' ? { lossScale: new LossScale() } : {};
  const { groups, build } = optimizers[solver.optimizer];
  const split = splitGroups(groups(towersOf(model, frozen), solver), model.clip.sizes, solver);
  return build(split, solver, { ...scaling, ...options });
}

/** The layout of the parameters of a training on `device`: on the GPU every update by itself costs a dispatch. */
export const layoutOn = ({ name }: Device): NonNullable<OptimizerOptions['layout']> =>
  name === 'webgpu' ? 'flat' : 'separate';

/** The factor of all groups' rates at a fractional epoch. */
export function scheduleOf({ schedule, epochs, warmupEpochs, milestones, decayFactor }: SolverConfig): Schedule {
  if (schedule === 'cosine') return cosineSchedule({ epochs, warmupEpochs });
  const never = [Number.POSITIVE_INFINITY];
  return multistepSchedule({
    milestones: milestones.length > 0 ? milestones : never,
    warmupEpochs,
    decay: decayFactor,
  });
}

/** Sets the rates of the next step. */
export function applySchedule(optimizer: Optimizer, factor: number): void {
  for (const group of optimizer.groups) group.learningRate = group.baseLearningRate * factor;
}

/** Whether the rate is set anew at batch `batchIndex` of an epoch: at the first, and then at every n-th. */
export function isRefreshed(batchIndex: number, everyNth: number): boolean {
  return batchIndex === 0 || (batchIndex + 1) % everyNth === 0;
}
