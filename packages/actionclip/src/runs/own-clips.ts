/** Runs on clips that the user has: the paper's by a YAML file, or any by lists or a table. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DataError } from '../data/errors.ts';
import { drawShots } from '../data/few-shot.ts';
import { readClipTable } from '../data/lists.ts';
import { evaluateEntries } from '../evaluate/evaluate.ts';
import { resolveWeights } from '../hub/resolve.ts';
import type { Config } from '../train/config.ts';
import { ConfigError, type ConfigOverrides, configFrom, parseConfig } from '../train/config-file.ts';
import { type DatasetOptions, type RunData, readRunData } from '../train/datasets.ts';
import { trainedCount } from '../train/freezing.ts';
import { describeModel, type OpenedModel, openModel } from '../train/model-description.ts';
import { train } from '../train/trainer.ts';
import { unreadableLine } from '../train/unreadable-clips.ts';
import { loadClipWeights, loadPretrained } from '../train/weights.ts';
import { openConsole, percent } from './console.ts';
import { Examiner } from './examiner.ts';
import { corruptClipsOf, networkOf, type RunOptions } from './options.ts';
import { writeRunReport } from './run-report.ts';
import { smallData, smallInput, smallModel } from './small-model.ts';
import { openFrom, recipeOf, type Start, startOf } from './start.ts';
import { type RunWatch, sizesOf, watched } from './watch.ts';

/** The names of splits that a table may have for held-out clips. */
const heldOutSplits = ['val', 'validation', 'test'];

/** The paper's run, or any other that a YAML file describes; options replace the values of the file. */
export async function configRun(options: RunOptions, watch: RunWatch = {}): Promise<void> {
  const { line } = openConsole();
  const file = options.config ?? '';
  const yaml = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new ConfigError([`${file}: cannot be read (${cause instanceof Error ? cause.message : String(cause)})`]);
  });
  const { config, warnings } = parseConfig(yaml, file, overridesOf(options));
  for (const warning of warnings) line(`warning: ${warning}`);
  const data = await readRunData(config, line);
  const opened = await openModel(describeModel(config), config.seed);
  const { weights, pretrainedText } = config.network;
  if (weights !== undefined) {
    await loadClipWeights(opened.model, await resolveWeights(weights, watch), { text: pretrainedText });
  }
  if (config.pretrain !== undefined) {
    await loadPretrained(opened.model, await resolveWeights(config.pretrain, watch));
  }
  if (weights === undefined && config.pretrain === undefined && config.resume === undefined) {
    line('warning: the towers start at random; name a file with the weights of CLIP as network.weights');
  }
  await runOn({ config, data, opened, datasets: {}, watch });
}

/** A model on anyone's clips: the small one from scratch, another run's, or a published one. */
export async function clipsRun(options: RunOptions, watch: RunWatch = {}): Promise<void> {
  const { line } = openConsole();
  const init = await startOf(options.init, watch);
  const config = clipsConfig(options, init);
  const data =
    options.clipsTable === undefined ? await readRunData(config, line) : await tableData(options, config, line);
  const opened = await openFrom(init, config, smallModel(data.labels));
  const datasets = init?.kind === 'published' ? {} : smallData(config.data.inputSize);
  await runOn({ config, data, opened, datasets, watch });
}

function clipsConfig(options: RunOptions, init: Start | undefined): Config {
  const known = init?.description;
  // A model of single pictures says nothing of how frames become a clip.
  const ofClips = known !== undefined && known.frames > 1 ? known : undefined;
  const recipe = recipeOf(init, options);
  const epochs = options.epochs ?? 30;
  const { config } = configFrom({
    ...overridesOf(options),
    seed: options.seed ?? 1,
    data: {
      train_list: options.trainList,
      val_list: options.valList,
      label_list: options.labels ?? options.clipsTable,
      root: options.root,
      num_segments: options.frames ?? ofClips?.frames ?? 8,
      input_size: options.size ?? known?.sizes.vision.resolution ?? smallInput,
      batch_size: options.batchSize ?? 16,
      workers: options.workers ?? 1,
      ...corruptClipsOf(options),
      shots: options.shots,
      replace_underscores: true,
      feature_views: options.featureViews,
    },
    network: {
      arch: 'small',
      sim_header: options.head ?? ofClips?.temporal ?? 'Transf',
      ...networkOf(options, known?.adapter),
    },
    solver: {
      precision: options.precision,
      accumulation: options.accumulate,
      epochs,
      ...recipe,
      ...(options.lr === undefined ? {} : { lr: options.lr }),
      lr_warmup_step: Math.min(1, epochs / 10),
      max_gradient_norm: 1,
    },
    logging: { eval_freq: 5 },
    output: { folder: options.out ?? join('runs', 'own-clips') },
  });
  return config;
}

/** The values that options put in the place of a file's. */
function overridesOf(options: RunOptions): ConfigOverrides {
  const given = (values: Record<string, unknown>): Record<string, unknown> =>
    Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
  return given({
    seed: options.seed,
    resume: options.resume,
    data: given({
      train_list: options.trainList,
      val_list: options.valList,
      label_list: options.labels,
      root: options.root,
      num_segments: options.frames,
      input_size: options.size,
      batch_size: options.batchSize,
      workers: options.workers,
      ...corruptClipsOf(options),
      shots: options.shots,
      feature_views: options.featureViews,
    }),
    network: given({ sim_header: options.head, ...networkOf(options) }),
    solver: given({
      epochs: options.epochs,
      lr: options.lr,
      precision: options.precision,
      accumulation: options.accumulate,
    }),
    output: given({ folder: options.out }),
  });
}

async function tableData(
  { clipsTable = '', root }: RunOptions,
  { seed, data: { shots } }: Config,
  line: (text: string) => void,
): Promise<RunData> {
  const table = await readClipTable(clipsTable, { ...(root === undefined ? {} : { root }), onWarning: line });
  const validation = table.clips.filter(({ split }) => heldOutSplits.includes(split));
  const training = table.clips.filter(({ split }) => split === 'train');
  if (training.length === 0 || validation.length === 0) {
    throw new DataError(
      `${clipsTable}: ${training.length} clips have the split train and ${validation.length} one of ${heldOutSplits.join(', ')}`,
      'both are needed; fill in the column split',
    );
  }
  const classes = table.texts.length;
  const drawn = shots === undefined ? training : drawShots(training, { shots, seed, classes, onWarning: line });
  return { labels: table.texts, train: drawn, validation };
}

/** Few shots may be fewer clips than a batch: then every step takes all of them. */
function withFullBatch(config: Config, { train: clips }: RunData): Config {
  const { shots, batchSize } = config.data;
  if (shots === undefined || config.evaluateOnly || clips.length >= batchSize) return config;
  return { ...config, data: { ...config.data, batchSize: clips.length } };
}

/** How many parameters there are, and how many are trained where it is not all of them. */
function parametersOf({ model }: OpenedModel, { network }: Config): string {
  const [all, trained] = [model.parameterCount(), trainedCount(model, network)];
  return `${all.toLocaleString('en')} parameters${trained === all ? '' : ` (${trained.toLocaleString('en')} trained)`}`;
}

interface ClipsRun {
  readonly config: Config;
  readonly data: RunData;
  readonly opened: OpenedModel;
  readonly datasets: DatasetOptions;
  readonly watch: RunWatch;
}

async function runOn({ config: given, data, opened, datasets, watch }: ClipsRun): Promise<void> {
  const started = performance.now();
  const { line, progress } = openConsole();
  const config = withFullBatch(given, data);
  if (config !== given) line(`Batches of all ${config.data.batchSize} clips, as ${given.data.batchSize} are not there`);
  line(`${parametersOf(opened, config)}, ${sizesOf(data)}`);
  const title = `ActionCLIP on ${config.data.dataset === 'custom' ? 'your clips' : config.data.dataset}`;
  const outcome = await train({
    config,
    data,
    opened,
    datasets,
    progress,
    checkpointEvery: 500,
    ...(await watched(watch, { title, config, data, opened })),
    onValidation: ({ epoch, top1, top5, meanAveragePrecision: map }) =>
      line(
        `epoch ${epoch + 1}: ${map === undefined ? '' : `mAP ${percent(map)}, `}top-1 ${percent(top1)}, top-5 ${percent(top5)} on held-out clips`,
      ),
  });
  const unreadable = unreadableLine(outcome.unreadable);
  if (unreadable !== undefined) line(unreadable);
  const { evaluation } = outcome;
  if (evaluation === undefined) {
    line(`Trained without validation: ${outcome.lastCheckpoint}`);
    return;
  }
  const examiner = new Examiner(config, opened, datasets);
  const shuffled = evaluateEntries(
    await examiner.clips(data.validation, config.seed),
    await examiner.prompts(data.labels),
    data.validation,
  );
  const chance = percent(1 / data.labels.length);
  const seconds = (performance.now() - started) / 1000;
  line(`top-1 ${percent(evaluation.top1)}, top-5 ${percent(evaluation.top5)}; chance ${chance}`);
  line(`top-1 with the frames in random order: ${percent(shuffled.top1)}`);
  if (config.evaluateOnly) return;
  const summary = [{ label: 'frames in random order', value: percent(shuffled.top1), note: `chance ${chance}` }];
  const report = { title, config, data, datasets, opened, outcome, evaluation, summary, tables: [], seconds };
  line(`Report, after ${seconds.toFixed(0)} s: ${await writeRunReport(report)}`);
}
