/** What is wrong or odd about a configuration beyond single values: keys together, and keys that nothing reads. */
import { adapterProblems, unusedSections } from './adapter-config.ts';
import { type Config, RELEASED_DECAY_FACTOR } from './config.ts';
import type { ConfigProblem } from './config-problems.ts';
import { type ConfigFile, IGNORED_KEYS } from './config-schema.ts';

/** CLIP's context length: the rows of the released heads' table of frame positions. */
const MAXIMUM_FRAMES = 77;

/** What single keys cannot tell. */
export function crossChecks({ data, network, solver, evaluateOnly }: Config, file: ConfigFile): ConfigProblem[] {
  const problems: ConfigProblem[] = adapterProblems(network);
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
  const { ema_decay: decay, swa_start: averagedFrom } = file.solver;
  require(typeof decay !== 'number' || typeof averagedFrom !== 'number', [
    'solver',
    'swa_start',
  ], 'ema_decay keeps another average of the parameters; leave out one of the two');
  require(typeof averagedFrom !== 'number' || averagedFrom < solver.epochs, [
    'solver',
    'swa_start',
  ], `no epoch comes after ${averagedFrom} of ${solver.epochs}; lower it`);
  require(network.temporalHead === 'meanP' || data.frames <= MAXIMUM_FRAMES, [
    'data',
    'num_segments',
  ], `${data.frames} frames are more than the ${MAXIMUM_FRAMES} positions of ${network.temporalHead}; lower it`);
  const { freezeText, freezeImage, freezeTemporal, temporalHead } = network;
  require(solver.loss !== 'classifier' || freezeText, [
    'solver',
    'loss',
  ], 'the texts of a classifier are encoded once, before training; set network.fix_text to true');
  const isHeadFixed = freezeTemporal || temporalHead === 'meanP';
  require(evaluateOnly || !(freezeText && freezeImage && isHeadFixed), [
    'network',
    'train_only',
  ], `only the logit scale is left to train, as ${temporalHead === 'meanP' ? 'meanP has no parameters' : 'fix_text or fix_img freezes the same part'}; leave another part free`);
  require(evaluateOnly || freezeImage || data.featureViews === undefined, [
    'data',
    'feature_views',
  ], 'features are kept of a frozen image tower only; set network.fix_img or train_only: temporal, or leave it out');
  require(!network.joint || network.temporalHead === 'meanP', [
    'network',
    'joint',
  ], `joint attention gives one feature a clip, which ${network.temporalHead} cannot take; set sim_header to meanP`);
  return problems;
}

/** What is odd about a configuration that can be run: each key that nothing reads, once, and doubts. */
export function warningsOf(values: unknown, file: ConfigFile, config: Config): string[] {
  return [...ignoredKeys(values), ...unusedSections(file.network), ...overruledKeys(file, config), ...doubts(config)];
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

/** Whether plain values have a key at this path. */
export function hasKey(values: unknown, ...path: string[]): boolean {
  let place: unknown = values;
  for (const key of path) {
    if (typeof place !== 'object' || place === null || !Object.hasOwn(place, key)) return false;
    place = (place as Record<string, unknown>)[key];
  }
  return true;
}
