/**
 * Checkpoints of a run as safetensors: the model, the optimizer's running averages, and in the metadata everything
 * else that the next step depends on. `readCheckpointFile` reads the weights of such a file like those of any other.
 */
import type { HostTensor, Optimizer, StateDict } from '@actionclip/tensor';
import { CheckpointError } from '../checkpoints/errors.ts';
import { readSafetensorsFile, writeSafetensorsFile } from '../checkpoints/files.ts';
import type { LoaderPosition } from '../data/loader.ts';
import type { ActionCLIP } from '../model/action-clip.ts';
import type { Config } from './config.ts';
import type { ModelDescription } from './model-description.ts';

/** Their names in the folder of a run. */
export const LAST_CHECKPOINT = 'last.safetensors';
export const BEST_CHECKPOINT = 'best.safetensors';

/** Accuracy after an epoch. */
export interface Validation {
  /** From 0. */
  readonly epoch: number;
  readonly top1: number;
  readonly top5: number;
  /** Where clips have several classes. */
  readonly meanAveragePrecision?: number;
}

/** Whether a validation beats the best before it: by mean average precision where clips have several classes. */
export const isBetter = (one: Validation, best: Validation): boolean =>
  (one.meanAveragePrecision ?? one.top1) > (best.meanAveragePrecision ?? best.top1);

/** Where a run stands, between two steps. */
export interface RunState {
  /** The next batch. */
  readonly position: LoaderPosition;
  /** Optimizer steps done. */
  readonly step: number;
  readonly best?: Validation;
  /** The model's source of random numbers. */
  readonly generator: { readonly seed: number; readonly counter: number };
  /** What the positions count: a run goes on only with as many clips in batches of the same size. */
  readonly data: { readonly clips: number; readonly batchSize: number };
}

export interface TrainingCheckpoint {
  readonly source: string;
  readonly description: ModelDescription;
  /** Texts of the classes. */
  readonly labels: readonly string[];
  readonly config: Config;
  readonly state: RunState;
  readonly parameters: StateDict;
  readonly moments: StateDict;
  /** Averages of the trained parameters; empty where a run keeps none. */
  readonly averages: StateDict;
}

const format = 'actionclip-training';
/** The names that the released checkpoints have for their two parts. */
const modelPrefix = 'model_state_dict.';
const optimizerPrefix = 'optimizer_state_dict.';
/** Parameters that training goes on from, where the model is given with their averages. */
const trainingPrefix = 'training_state_dict.';

/** Writes a checkpoint, atomically. Where there are averages, these are what a reader takes for the model. */
export async function writeCheckpoint(
  path: string,
  {
    model,
    optimizer,
    averages,
    ...rest
  }: { readonly model: ActionCLIP; readonly optimizer: Optimizer } & Pick<
    TrainingCheckpoint,
    'description' | 'labels' | 'config' | 'state' | 'averages'
  >,
): Promise<void> {
  const tensors = new Map<string, HostTensor>();
  for (const [name, tensor] of await model.stateDict()) {
    const average = averages.get(name);
    tensors.set(modelPrefix + name, average ?? tensor);
    if (average !== undefined) tensors.set(trainingPrefix + name, tensor);
  }
  for (const [name, tensor] of await optimizer.stateDict()) tensors.set(optimizerPrefix + name, tensor);
  const metadata = Object.entries(rest).map(([key, value]) => [key, JSON.stringify(value)] as const);
  await writeSafetensorsFile(path, tensors, new Map([['format', format], ...metadata]));
}

/**
 * Reads a checkpoint that `writeCheckpoint` wrote.
 * @throws CheckpointError where the file is absent, damaged, or of another kind.
 */
export async function readTrainingCheckpoint(path: string): Promise<TrainingCheckpoint> {
  const { tensors, metadata } = await readSafetensorsFile(path);
  if (metadata.get('format') !== format) {
    throw new CheckpointError(
      `${path}: not a checkpoint of a training run`,
      'name a last.safetensors or best.safetensors that a run wrote; other weights go to network.weights or pretrain',
    );
  }
  const value = <Key extends 'description' | 'labels' | 'config' | 'state'>(key: Key): TrainingCheckpoint[Key] => {
    try {
      return JSON.parse(metadata.get(key) ?? '') as TrainingCheckpoint[Key];
    } catch (cause) {
      throw new CheckpointError(`${path}: the metadata has no readable ${key}`, 'the file is damaged', { cause });
    }
  };
  const under = (prefix: string): StateDict =>
    new Map(
      [...tensors].flatMap(([name, tensor]) => (name.startsWith(prefix) ? [[name.slice(prefix.length), tensor]] : [])),
    );
  const model = under(modelPrefix);
  const training = under(trainingPrefix);
  return {
    source: path,
    description: value('description'),
    labels: value('labels'),
    config: value('config'),
    state: value('state'),
    parameters: new Map([...model, ...training]),
    moments: under(optimizerPrefix),
    averages: new Map([...model].filter(([name]) => training.has(name))),
  };
}
