/**
 * Training: batches through the captured step, the schedule, log, progress, validation and checkpoints. A run that was
 * stopped anywhere goes on from its last checkpoint and ends with the same parameters, bit for bit.
 */
import { join } from 'node:path';
import {
  defaultDevice,
  type Optimizer,
  OutOfMemoryError,
  printPlan,
  type Schedule,
  type Tensor,
} from '@actionclip/tensor';
import { hasLabelSets } from '../data/label-sets.ts';
import { type ClipBatch, ClipLoader } from '../data/loader.ts';
import { Random } from '../data/random.ts';
import type { Evaluation } from '../evaluate/evaluate.ts';
import type { PromptFeatures } from '../evaluate/features.ts';
import { type PromptTokens, promptTokens } from '../evaluate/prompt-tokens.ts';
import { InterruptedError } from '../interrupted.ts';
import { TEMPLATE_SETS } from '../prompts/template-sets.ts';
import { classInput, drawTexts } from './batch-inputs.ts';
import { type BatchStep, type BatchStepOptions, batchStep, type HostBatch, stepOptionsOf } from './batch-step.ts';
import { BEST_CHECKPOINT, isBetter, LAST_CHECKPOINT, type RunState, type Validation } from './checkpoint.ts';
import { classTextsOf, writeClassTexts } from './class-texts.ts';
import type { Config } from './config.ts';
import { trainingDataset } from './datasets.ts';
import { divergence, examineStep } from './divergence.ts';
import type { TrainingError } from './errors.ts';
import { type BatchPlace, type FeatureBatch, hasFrames } from './features-loader.ts';
import { type FrozenFeatures, featuresOf } from './features-run.ts';
import { frozenParts } from './freezing.ts';
import { LOG_FILE, readRunLog } from './log.ts';
import { readMemory } from './memory.ts';
import { applySchedule, isRefreshed, layoutOn, optimizerOf, scheduleOf } from './optimization.ts';
import { lighterOptions, memoryBudget, planWithin } from './planned-memory.ts';
import { openRunRecords, type RunRecords } from './records.ts';
import { inRunFolder } from './run-folder.ts';
import { resumeRun, saveRun, type Trained } from './run-state.ts';
import { readMeasures, type StepMeasures } from './step.ts';
import { Timing } from './timing.ts';
import type { TrainingOutcome, TrainingRun } from './training-run.ts';
import { UnreadableClips } from './unreadable-clips.ts';
import { Validator, validationOf } from './validation.ts';
import { WeightAverage } from './weight-average.ts';

/**
 * Trains as the configuration says, from its first epoch or from the checkpoint named by `config.resume`.
 * @throws TrainingError where the loss is no number, the device fails, the disk is full or another run is at work in the
 *   folder, DataError for a clip that cannot be read, CheckpointError for a checkpoint that does not fit,
 *   InterruptedError where the signal was set off. The checkpoints on disk stay whole.
 */
export async function train(run: TrainingRun): Promise<TrainingOutcome> {
  const device = run.opened.model.parameters()[0]?.device ?? (await defaultDevice());
  const { config, progress } = run;
  const tell = (message: string): void => progress?.message(message);
  return inRunFolder(config, tell, async () => {
    const trainer = new Trainer(run, config.evaluateOnly ? 'separate' : layoutOn(device));
    try {
      return await trainer.run();
    } catch (error) {
      throw error instanceof OutOfMemoryError ? await trainer.withOptions(error) : error;
    } finally {
      await trainer.close();
    }
  });
}

/** A step whose measures are on their way from the device. */
interface PendingStep {
  readonly batch: BatchPlace;
  readonly inputs: HostBatch;
  readonly step: number;
  /** Of the model's source of random numbers, before the step. */
  readonly counter: number;
  readonly learningRate: number;
  readonly measures: Promise<StepMeasures>;
}

/** The position of the batch that follows within the epoch. */
const nextAfter = ({ epoch, batchIndex }: BatchPlace): RunState['position'] => ({ epoch, batchIndex: batchIndex + 1 });

class Trainer {
  readonly #given: TrainingRun;
  readonly #config: Config;
  readonly #prompts: PromptTokens;
  readonly #templateDraws: Random;
  readonly #optimizer: Optimizer;
  readonly #average: WeightAverage | undefined;
  readonly #schedule: Schedule;
  readonly #step: BatchStep;
  readonly #stepOptions: BatchStepOptions;
  /** Where clips are classified by the texts of all classes. */
  readonly #classTexts: Tensor | undefined;
  /** Of frozen towers, in place of frames and tokens. */
  readonly #features: FrozenFeatures | undefined;
  #texts: PromptFeatures | undefined;
  readonly #unreadable: UnreadableClips;
  readonly #validator: Validator;
  readonly #timing = new Timing();
  readonly #trainLoader: ClipLoader | undefined;
  #log: RunRecords | undefined;
  #steps = 0;
  #best: Validation | undefined;
  #evaluation: Evaluation | undefined;
  #pending: PendingStep | undefined;
  #planned = false;
  /** Tells of options that take less memory, until the first step is done. */
  #lighter: (() => Promise<string | undefined>) | undefined;
  /** The number of classes where clips have several. */
  readonly #severalOf: number | undefined;
  #fallbacks: readonly string[] = [];

  constructor(run: TrainingRun, layout: ReturnType<typeof layoutOn>) {
    const { config, data, opened, datasets, progress } = run;
    const { model, tokenizer } = opened;
    this.#given = run;
    this.#config = config;
    this.#severalOf = hasLabelSets(data.train) ? data.labels.length : undefined;
    this.#prompts = promptTokens(
      data.labels,
      tokenizer,
      model.clip.sizes.text.context,
      TEMPLATE_SETS[config.data.templates].templates,
    );
    this.#templateDraws = new Random(config.seed).fork('templates');
    this.#optimizer = optimizerOf(model, config.solver, { layout }, frozenParts(config.network));
    const { averaging } = config.solver;
    this.#average = averaging && new WeightAverage(this.#optimizer, averaging);
    this.#schedule = scheduleOf(config.solver);
    model.clip.checkpointing = config.network.checkpoint;
    const { embedding } = model.clip.sizes;
    const isClassifier = config.solver.loss === 'classifier';
    this.#classTexts = isClassifier ? classTextsOf(data.labels.length, embedding) : undefined;
    this.#features = featuresOf(run);
    this.#stepOptions = {
      ...stepOptionsOf(config),
      ...(this.#classTexts && { classTexts: this.#classTexts }),
      fromFrameFeatures: this.#features !== undefined,
      fromTextFeatures: this.#features?.hasTexts ?? false,
    };
    this.#step = batchStep(model, this.#optimizer, this.#stepOptions);
    this.#unreadable = new UnreadableClips(config, (message) => progress?.message(message));
    this.#validator = new Validator(run, this.#prompts, this.#unreadable.loading('validation'), this.#features);
    const { batchSize, workers } = config.data;
    if (!config.evaluateOnly) {
      const dataset = trainingDataset(config, data.train, datasets);
      const clips = this.#unreadable.loading('training');
      this.#trainLoader = new ClipLoader(dataset, { batchSize, workers, shuffle: true, dropLast: true, ...clips });
    }
  }

  async run(): Promise<TrainingOutcome> {
    const { folder } = this.#config.output;
    if (this.#config.evaluateOnly) await this.#validate(0);
    else await this.#train();
    return {
      steps: this.#steps,
      ...(this.#best === undefined ? {} : { best: this.#best }),
      ...(this.#evaluation === undefined ? {} : { evaluation: this.#evaluation }),
      time: this.#timing.split,
      fallbacks: this.#fallbacks,
      unreadable: this.#unreadable.all,
      lastCheckpoint: join(folder, LAST_CHECKPOINT),
      bestCheckpoint: join(folder, BEST_CHECKPOINT),
      log: join(folder, LOG_FILE),
    };
  }

  /** The same error with the options that take less, where it is the first step that the device had no memory for. */
  async withOptions(error: OutOfMemoryError): Promise<OutOfMemoryError> {
    const lighter = await this.#lighter?.();
    return lighter === undefined ? error : new OutOfMemoryError(error.message, lighter);
  }

  async close(): Promise<void> {
    const used = [this.#trainLoader, this.#validator, this.#features, this.#log];
    await Promise.all(used.map((each) => each?.close()));
  }

  async #train(): Promise<void> {
    const loader = this.#trainLoader as ClipLoader;
    const { solver, resume } = this.#config;
    let position = { epoch: solver.startEpoch, batchIndex: 0 };
    // What the optimizer has laid out anew is computed before weights are loaded and the step is captured.
    await this.#given.opened.model.initialize();
    if (resume !== undefined) {
      const state = await resumeRun(resume, this.#given, this.#trained());
      [position, this.#steps, this.#best] = [state.position, state.step, state.best];
    }
    if (this.#classTexts) writeClassTexts(this.#classTexts, await this.#validator.prompts());
    this.#log = await openRunRecords(this.#config, {
      resumeAtStep: resume === undefined ? undefined : this.#steps,
      watcher: this.#given.watcher,
    });
    if (resume !== undefined) this.#unreadable.resume(await readRunLog(join(this.#config.output.folder, LOG_FILE)));
    this.#given.opened.model.train();
    const source = (await this.#features?.training(loader)) ?? loader;
    if (this.#features?.hasTexts) this.#texts = await this.#validator.prompts();
    let start = performance.now();
    for await (const batch of source.batches(position, solver.epochs - 1)) {
      await this.#trainOn(batch, loader.batchesPerEpoch);
      this.#timing.step(batch.waitMilliseconds, performance.now() - start);
      const isLast = batch.batchIndex + 1 === loader.batchesPerEpoch;
      if (isLast) await this.#endEpoch(batch.epoch);
      else if (this.#steps % (this.#given.checkpointEvery ?? Number.POSITIVE_INFINITY) === 0) {
        await this.#save(LAST_CHECKPOINT, nextAfter(batch));
      }
      if (this.#given.signal?.aborted) throw await this.#stopped(batch, isLast);
      start = performance.now();
    }
    // What is done with the model from here on is done with what was validated.
    await this.#average?.exchange();
    this.#given.progress?.done();
  }

  /** Saves what the run needs to go on, unless the end of the epoch just did. */
  async #stopped(batch: BatchPlace, isSaved: boolean): Promise<InterruptedError> {
    if (!isSaved) await this.#save(LAST_CHECKPOINT, nextAfter(batch));
    this.#given.progress?.done();
    const last = join(this.#config.output.folder, LAST_CHECKPOINT);
    return new InterruptedError(`Stopped after step ${this.#steps}; resume from ${last}`);
  }

  /**
   * Starts the step of a batch, and only then waits for the measures of the step before, whose copy to the host was
   * asked for before this step: the device has work while the host reads, and is never more than two steps behind.
   */
  async #trainOn(batch: ClipBatch | FeatureBatch, batchesPerEpoch: number): Promise<void> {
    const { epoch, batchIndex } = batch;
    if (isRefreshed(batchIndex, this.#config.behaviour.learningRateRefresh)) {
      applySchedule(this.#optimizer, this.#schedule(epoch + batchIndex / batchesPerEpoch));
    }
    const { data, opened } = this.#given;
    const inputs = [
      { data: batch.frames, shape: batch.shape },
      drawTexts(batch, data.train, this.#prompts, this.#templateDraws, this.#texts),
      classInput(batch, data.train, this.#severalOf),
    ] as const;
    const { counter } = opened.generator;
    if (!this.#planned) {
      await this.#plan(inputs);
      if (hasFrames(batch)) await this.#log?.clips(this.#steps, batch);
    }
    const measures = readMeasures(await this.#step.run(inputs), this.#step.losses);
    // A failure is reported where the measures are awaited.
    measures.catch(() => undefined);
    const before = this.#pending;
    const learningRate = this.#optimizer.groups[0]?.learningRate ?? 0;
    this.#pending = { batch, inputs, step: this.#steps, counter, learningRate, measures };
    this.#steps++;
    await this.#average?.afterStep(this.#steps);
    if (before !== undefined) await this.#report(before);
  }

  /** Says what memory a step will need, and where it cannot be as fast as was asked, before the first one runs. */
  async #plan(inputs: HostBatch): Promise<void> {
    this.#planned = true;
    const { model } = this.#given.opened;
    const device = await defaultDevice();
    const step = { model, optimizer: this.#optimizer, options: this.#stepOptions, batch: inputs };
    const room = { budget: await memoryBudget(device), held: (await device.memory()).live };
    const { memory, fallbacks } = await planWithin(step, this.#step, room);
    this.#fallbacks = fallbacks;
    this.#lighter = () => lighterOptions(step, memory);
    this.#given.progress?.message(`Planned memory of a training step: ${printPlan(memory)}`);
    const { limits } = await device.backend();
    if (this.#config.solver.precision === 'mixed' && limits.slowHalves !== undefined) {
      this.#given.progress?.message(
        `Mixed precision rounds the factors of products and brings no speed here: they are multiplied in 32 bits, since ${limits.slowHalves}`,
      );
    }
  }

  async #report(reported: PendingStep): Promise<void> {
    const { batch, step, learningRate } = reported;
    const measures = await reported.measures;
    this.#lighter = undefined;
    const { epoch, batchIndex, waitMilliseconds } = batch;
    const loader = this.#trainLoader as ClipLoader;
    if (!Number.isFinite(measures.loss)) throw await this.#diverged(reported, measures);
    const { epochs } = this.#config.solver;
    const remaining = (epochs - epoch) * loader.batchesPerEpoch - batchIndex - 1;
    const memory = await readMemory(await defaultDevice());
    const pace = { learningRate, ...this.#timing.pace(batch.labels.length, remaining), ...memory };
    await this.#logUnreadable(step);
    await this.#log?.write({ kind: 'step', step, epoch, batchIndex, ...measures, ...pace, waitMilliseconds });
    const place = { epoch: epoch + 1, epochs, step: batchIndex + 1, steps: loader.batchesPerEpoch };
    this.#given.progress?.update({ ...place, loss: measures.loss, ...pace });
  }

  async #diverged({ batch, inputs, step, counter }: PendingStep, measures: StepMeasures): Promise<TrainingError> {
    const { data, opened } = this.#given;
    opened.generator.counter = counter;
    const { epoch, batchIndex, indices } = batch;
    const place = { step, epoch, batchIndex };
    const clips = [...new Set(indices)].map((index) => data.train[index]?.path ?? `clip ${index}`);
    const findings = await examineStep(opened.model, this.#optimizer, inputs, this.#stepOptions);
    await this.#log?.write({ kind: 'diverged', ...place, ...measures, clips, ...findings });
    return divergence(place, measures.loss, clips, findings);
  }

  async #logUnreadable(step: number): Promise<void> {
    for (const record of this.#unreadable.records(step)) await this.#log?.write(record);
  }

  /** Reads the loss of the last step: after it, nothing is under way. */
  async #settle(): Promise<void> {
    const pending = this.#pending;
    this.#pending = undefined;
    if (pending !== undefined) await this.#report(pending);
  }

  async #endEpoch(epoch: number): Promise<void> {
    await this.#settle();
    await this.#average?.afterEpoch(epoch);
    const { epochs } = this.#config.solver;
    const isDue = (epoch + 1) % this.#config.output.evaluateEvery === 0 || epoch + 1 === epochs;
    if (isDue && this.#given.data.validation.length > 0) {
      const validation = await this.#validate(epoch);
      if (this.#best === undefined || isBetter(validation, this.#best)) {
        this.#best = validation;
        await this.#save(BEST_CHECKPOINT, { epoch: epoch + 1, batchIndex: 0 });
      }
    }
    await this.#save(LAST_CHECKPOINT, { epoch: epoch + 1, batchIndex: 0 });
  }

  async #validate(epoch: number): Promise<Validation> {
    // Steps and validations take turns with the memory: the device never holds the workspace of both.
    await this.#step.trim();
    const evaluation = await this.#timing.measure('validation', () =>
      this.#onAverages(() => this.#validator.evaluate()),
    );
    const validation = validationOf(epoch, evaluation);
    this.#evaluation = evaluation;
    const { meanClassAccuracy, labels } = evaluation;
    const step = Math.max(0, this.#steps - 1);
    await this.#logUnreadable(step);
    await this.#log?.write({ kind: 'validation', step, ...validation, meanClassAccuracy, clips: labels.length });
    this.#given.onValidation?.(validation, evaluation);
    return validation;
  }

  #onAverages<R>(run: () => Promise<R>): Promise<R> {
    return this.#average === undefined ? run() : this.#average.during(run);
  }

  #trained(): Trained {
    return { optimizer: this.#optimizer, average: this.#average };
  }

  async #save(name: string, position: RunState['position']): Promise<void> {
    await this.#settle();
    const state = { position, step: this.#steps, best: this.#best };
    await this.#timing.measure('checkpoint', () => saveRun(name, this.#given, this.#trained(), state));
  }
}
