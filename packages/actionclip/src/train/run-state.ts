/** A run on disk: what a checkpoint holds beside the model, and how a run takes it over and goes on bit for bit. */
import { join } from 'node:path';
import type { Optimizer, StateDict } from '@actionclip/tensor';
import { CheckpointError } from '../checkpoints/errors.ts';
import { matchStateDict } from '../checkpoints/match.ts';
import { printAdapter, sameAdapter } from '../model/adapters.ts';
import { type RunState, readTrainingCheckpoint, type Validation, writeCheckpoint } from './checkpoint.ts';
import type { TrainingRun } from './training-run.ts';
import type { WeightAverage } from './weight-average.ts';

/** What moves in training beside the model. */
export interface Trained {
  readonly optimizer: Optimizer;
  readonly average: WeightAverage | undefined;
}

/** Where a run is: the batch that follows, the steps done, and the most accurate epoch so far. */
export interface RunPlace {
  readonly position: RunState['position'];
  readonly step: number;
  readonly best: Validation | undefined;
}

/** Writes the checkpoint of this name into the run's folder. */
export async function saveRun(
  name: string,
  { config, opened, data, datasets }: TrainingRun,
  { optimizer, average }: Trained,
  { position, step, best }: RunPlace,
): Promise<void> {
  const { model, generator } = opened;
  const { shortSide: _, ...described } = opened.description;
  const shortSide = datasets?.shortSide;
  const description = { ...described, ...(shortSide === undefined ? {} : { shortSide }) };
  const state: RunState = {
    position,
    step,
    ...(best === undefined ? {} : { best }),
    generator: { seed: generator.seed, counter: generator.counter },
    data: { clips: data.train.length, batchSize: config.data.batchSize },
  };
  const averages: StateDict = (await average?.stateDict()) ?? new Map();
  const checkpoint = { model, optimizer, averages, description, labels: data.labels, config, state };
  await writeCheckpoint(join(config.output.folder, name), checkpoint);
}

/**
 * Takes everything over from a checkpoint: parameters, moments, averages, generator.
 * @throws CheckpointError where it is of another model, list, batch size or other texts.
 */
export async function resumeRun(
  path: string,
  { opened, data, config }: TrainingRun,
  { optimizer, average }: Trained,
): Promise<RunPlace> {
  const checkpoint = await readTrainingCheckpoint(path);
  const { state } = checkpoint;
  const [before, now] = [checkpoint.description.adapter, opened.description.adapter];
  if (!sameAdapter(before, now)) {
    throw new CheckpointError(
      `${path}: the run had ${printAdapter(before)}, this one has ${printAdapter(now)}`,
      'resume with the same network.adapter, or start from its weights with pretrain',
    );
  }
  const expected = new Map([...opened.model.namedParameters()].map(([name, { shape }]) => [name, shape] as const));
  const { tensors } = matchStateDict(expected, { source: path, tensors: checkpoint.parameters });
  const { clips, batchSize } = state.data;
  if (clips !== data.train.length || batchSize !== config.data.batchSize) {
    throw new CheckpointError(
      `${path}: the run had ${clips} clips in batches of ${batchSize}, this one has ${data.train.length} in batches of ${config.data.batchSize}`,
      'resume with the same list and batch size, or start from its weights with pretrain',
    );
  }
  if (checkpoint.labels.join('\n') !== data.labels.join('\n')) {
    throw new CheckpointError(`${path}: the run had other class texts`, 'resume with the same label file');
  }
  opened.model.loadStateDict(tensors);
  optimizer.loadStateDict(checkpoint.moments);
  await average?.loadStateDict(checkpoint.averages);
  opened.generator.counter = state.generator.counter;
  return { position: state.position, step: state.step, best: state.best };
}
