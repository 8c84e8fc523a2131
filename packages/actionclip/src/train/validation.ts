/** Validation during training: the clips of the validation list, scored against the prompts of all classes. */
import { ClipLoader, type ClipLoaderOptions } from '../data/loader.ts';
import { type Evaluation, evaluateEntries } from '../evaluate/evaluate.ts';
import { FeatureEncoder, type PromptFeatures } from '../evaluate/features.ts';
import type { PromptTokens } from '../evaluate/prompt-tokens.ts';
import type { Validation } from './checkpoint.ts';
import { evaluationDataset } from './datasets.ts';
import type { FrozenFeatures } from './features-run.ts';
import type { TrainingRun } from './training-run.ts';

export class Validator {
  readonly #run: TrainingRun;
  readonly #prompts: PromptTokens;
  readonly #loading: Pick<ClipLoaderOptions, 'corruptClips' | 'onCorruptClip'>;
  readonly #encoder: FeatureEncoder;
  /** No more clips at a time than in a step, unless the size of the batches decides which clips are left out. */
  readonly #batchSize: number;
  readonly #features: FrozenFeatures | undefined;
  #loader: ClipLoader | undefined;
  #kept: PromptFeatures | undefined;

  /**
   * @param loading What is done about clips that cannot be read.
   * @param features Of frozen towers, in place of frames and tokens.
   */
  constructor(
    run: TrainingRun,
    prompts: PromptTokens,
    loading: Pick<ClipLoaderOptions, 'corruptClips' | 'onCorruptClip'>,
    features?: FrozenFeatures,
  ) {
    this.#loading = loading;
    const { behaviour, data, solver } = run.config;
    this.#run = run;
    this.#batchSize = behaviour.dropLastValidationBatch ? data.batchSize : data.batchSize / solver.accumulation;
    this.#prompts = prompts;
    this.#features = features;
    this.#encoder = new FeatureEncoder(run.opened.model);
  }

  /** Scores every clip of the list once; afterwards the device keeps none of the memory that it took. */
  async evaluate(): Promise<Evaluation> {
    this.#loader ??= this.#open();
    const prompts = await this.prompts();
    const clips = await (this.#features ?? this.#encoder).clips(this.#loader, this.#batchSize);
    const evaluation = evaluateEntries(clips, prompts, this.#run.data.validation);
    await this.#encoder.trim();
    return evaluation;
  }

  /** Features of all prompts; those of a frozen text tower are computed once. */
  async prompts(): Promise<PromptFeatures> {
    const encoder = this.#features?.hasTexts ? this.#features : this.#encoder;
    const features = this.#kept ?? (await encoder.prompts(this.#prompts));
    if (this.#run.config.network.freezeText) this.#kept = features;
    return features;
  }

  async close(): Promise<void> {
    await this.#loader?.close();
  }

  #open(): ClipLoader {
    const { config, data, datasets } = this.#run;
    return new ClipLoader(evaluationDataset(config, data.validation, datasets), {
      batchSize: this.#batchSize,
      workers: config.data.workers,
      dropLast: config.behaviour.dropLastValidationBatch,
      ...this.#loading,
    });
  }
}

/** What is kept of an evaluation: the measures by which the best epoch is chosen. */
export function validationOf(epoch: number, { top1, top5, meanAveragePrecision }: Evaluation): Validation {
  return { epoch, top1, top5, ...(meanAveragePrecision === undefined ? {} : { meanAveragePrecision }) };
}
