/** The data of a run: class texts and clip lists read from the files of a configuration, and the two data sets on them. */
import type { TrainingPipelineOptions } from '../data/augment/pipelines.ts';
import { flipChance } from '../data/augment/pipelines.ts';
import type { ClipDatasetDescription } from '../data/dataset.ts';
import { drawShots } from '../data/few-shot.ts';
import { type ClipEntry, readClipList, readLabels, type WarningHandler } from '../data/lists.ts';
import type { FrameSourceOptions } from '../data/open-source.ts';
import { cleanLabel } from '../prompts/templates.ts';
import type { Config } from './config.ts';
import { ConfigError } from './config-file.ts';

export interface RunData {
  /** Texts of the classes as the prompts have them. */
  readonly labels: readonly string[];
  readonly train: readonly ClipEntry[];
  /** Clips on which the run is measured; without any there is no validation. */
  readonly validation: readonly ClipEntry[];
}

/** How frames are read, kept and augmented, beyond what the configuration says. */
export interface DatasetOptions {
  readonly source?: FrameSourceOptions;
  /** Bytes of decoded frames kept in memory for each of the two data sets; default 0. */
  readonly cacheBytes?: number;
  readonly augmentation?: Omit<TrainingPipelineOptions, 'inputSize'>;
  /** Shorter side of evaluated frames before the centre crop; the released proportion if absent. */
  readonly shortSide?: number;
}

/**
 * Reads label file and lists.
 * @throws ConfigError where a list that is needed is not named, DataError where one cannot be read.
 */
export async function readRunData(config: Config, onWarning?: WarningHandler): Promise<RunData> {
  const { labelList, trainList, validationList, root, labelCleaning, shots } = config.data;
  const names = await readLabels(labelList, onWarning);
  const list = async (file: string | undefined): Promise<ClipEntry[]> =>
    file === undefined ? [] : readClipList(file, { classCount: names.length, ...(root === undefined ? {} : { root }) });
  if (!config.evaluateOnly && trainList === undefined) {
    throw new ConfigError(['data.train_list: training needs a list of clips; name one']);
  }
  if (config.evaluateOnly && validationList === undefined) {
    throw new ConfigError(['data.val_list: evaluation needs a list of clips; name one']);
  }
  const training = config.evaluateOnly ? [] : await list(trainList);
  return {
    labels: names.map((name) => cleanLabel(name, labelCleaning)),
    train:
      shots === undefined
        ? training
        : drawShots(training, { shots, seed: config.seed, classes: names.length, onWarning }),
    validation: await list(validationList),
  };
}

/** Clips as training sees them: random frames, augmented. */
export function trainingDataset(
  config: Config,
  entries: readonly ClipEntry[],
  { augmentation, shortSide: _, ...options }: DatasetOptions = {},
): ClipDatasetDescription {
  const { frames, inputSize, randomShift, dataset, featureViews } = config.data;
  const per = config.behaviour.augmentEachFrame ? 'frame' : 'clip';
  const randAugment = { ...config.data.randAugment, per } as const;
  return {
    ...common(config, options),
    entries,
    sampling: { segments: frames, randomShift },
    ...(featureViews === undefined ? {} : { draws: featureViews }),
    pipeline: { kind: 'training', inputSize, randAugment, flip: flipChance(dataset), ...augmentation },
  };
}

/** Clips as evaluation sees them: the middle of each segment, cropped at the centre. */
export function evaluationDataset(
  config: Config,
  entries: readonly ClipEntry[],
  { shortSide, ...options }: DatasetOptions = {},
): ClipDatasetDescription {
  const { frames, inputSize } = config.data;
  return {
    ...common(config, options),
    entries,
    sampling: { segments: frames, randomShift: false },
    pipeline: { kind: 'evaluation', inputSize, ...(shortSide === undefined ? {} : { shortSide }) },
  };
}

function common(
  { seed, data }: Config,
  { source, cacheBytes = 0 }: DatasetOptions,
): Pick<ClipDatasetDescription, 'source' | 'seed' | 'cacheBytes'> {
  return { seed, cacheBytes, source: { imageTemplate: data.imageTemplate, indexBias: data.firstFrame, ...source } };
}
