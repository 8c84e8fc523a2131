/** The step of a run on batches as the loader gives them: on the device whole, or in parts. */
import { type Optimizer, type StepStats, type Tensor, tensor } from '@actionclip/tensor';
import type { ActionCLIP } from '../model/action-clip.ts';
import { accumulatedStep } from './accumulation.ts';
import type { Config } from './config.ts';
import { type LossName, objectiveOf } from './objective.ts';
import { type StepOptions, trainingStep } from './step.ts';

/** Elements in host memory, with one row for each clip. */
export interface HostInput {
  readonly data: Uint8Array | Float32Array | Int32Array;
  readonly shape: readonly number[];
}

/** Frames [B, T, 3, S, S], tokens [B, length] (or features of either, as the step takes them) and classes [B]. */
export type HostBatch = readonly [frames: HostInput, tokens: HostInput, labels: HostInput];

/** What a step will need, and what of it does not run in its fastest form. */
export type StepPlan = Pick<StepStats, 'memory' | 'fallbacks'>;

export interface BatchStep {
  /** One optimizer step; what `readMeasures` reads, with the names of `losses` first. */
  run(batch: HostBatch): Promise<Tensor>;
  readonly losses: readonly LossName[];
  /** Plans and compiles for batches like this one, and runs nothing. */
  prepare(batch: HostBatch): Promise<StepPlan>;
  /** Gives back the memory kept between steps. */
  trim(): Promise<void>;
}

export interface BatchStepOptions extends StepOptions {
  readonly batchSize: number;
  /** In how many parts a batch is computed; 1 is the plain step. */
  readonly accumulation: number;
}

/** What a configuration says of a step. */
export function stepOptionsOf({ data, network, solver }: Config): BatchStepOptions {
  const { maximumGradientNorm: norm } = solver;
  return {
    batchSize: data.batchSize,
    accumulation: solver.accumulation,
    freezeText: network.freezeText,
    freezeImage: network.freezeImage,
    precision: solver.precision,
    labelSmoothing: solver.labelSmoothing,
    ...(norm === undefined ? {} : { maximumGradientNorm: norm }),
  };
}

/** The step of a configuration; the model must be in training mode when it is first used. */
export function batchStep(model: ActionCLIP, optimizer: Optimizer, options: BatchStepOptions): BatchStep {
  const { batchSize, accumulation } = options;
  if (accumulation > 1) return accumulatedStep(model, optimizer, options, Math.ceil(batchSize / accumulation));
  const step = trainingStep(model, optimizer, options);
  const load = ({ data, shape }: HostInput): Tensor => tensor(data, { shape });
  const loadAll = ([frames, tokens, labels]: HostBatch) => [load(frames), load(tokens), load(labels)] as const;
  return {
    losses: objectiveOf(model, options).names,
    async run(batch) {
      const inputs = loadAll(batch);
      try {
        return await step(...inputs);
      } finally {
        for (const input of inputs) input.dispose();
      }
    },
    prepare: (batch) => step.prepare(...loadAll(batch)),
    trim: () => step.trim(),
  };
}
