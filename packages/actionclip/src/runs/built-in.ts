/**
 * The run without options: the built-in data set, a small ActionCLIP from scratch, and four questions: how many
 * held-out clips it names, how many clips of labels that it never saw, what the order of the frames is worth, and what
 * the temporal transformer is worth against the mean over frames.
 */
import { join } from 'node:path';
import { cacheFolder } from '../cache-folder.ts';
import { readClipList } from '../data/lists.ts';
import { type Evaluation, evaluateFeatures, pairAccuracy } from '../evaluate/evaluate.ts';
import { type ActionDataset, generateActionDataset } from '../synthetic/index.ts';
import type { Config } from '../train/config.ts';
import { configFrom } from '../train/config-file.ts';
import { type RunData, readRunData } from '../train/datasets.ts';
import { type OpenedModel, openModel } from '../train/model-description.ts';
import { train } from '../train/trainer.ts';
import type { TrainingOutcome } from '../train/training-run.ts';
import { unreadableLine } from '../train/unreadable-clips.ts';
import { loadPretrained } from '../train/weights.ts';
import { type Console, openConsole, percent } from './console.ts';
import { Examiner } from './examiner.ts';
import { corruptClipsOf, networkOf, type RunOptions } from './options.ts';
import { type RunReport, writeRunReport } from './run-report.ts';
import { smallData, smallInput, smallModel } from './small-model.ts';
import { openFrom, recipeOf, type Start, startOf } from './start.ts';
import { type RunWatch, watched } from './watch.ts';

/** Training clips of each class, and how much actors, cameras and settings vary (0 to 1). */
export const standardDrawing = { trainClips: 60, difficulty: 0, frames: [14, 20] } as const;

/** Where the built-in clips are drawn, once for all runs. */
export const actionDatasetFolder = (): string => join(cacheFolder(), 'actions');

/** The two forms of the data set, and of its run. */
const forms = {
  standard: {
    drawing: standardDrawing,
    folder: actionDatasetFolder,
    output: 'train-k400',
    title: 'ActionCLIP on the built-in actions',
  },
  hard: {
    drawing: { form: 'hard', trainClips: 60, difficulty: 0.2, frames: [14, 20] },
    folder: () => join(cacheFolder(), 'actions-hard'),
    output: 'train-hard',
    title: 'ActionCLIP on the hard form of the built-in actions',
  },
} as const;

/** Epochs in which the mean over frames is trained on, from the towers of the trained model. */
const comparisonEpochs = 3;

interface Answers {
  readonly heldOut: Evaluation;
  readonly zeroShot: Evaluation;
  /** The parts of clips of ordered pairs that are told apart: frames in order, frames in random order, mean over frames. */
  readonly pairs: number;
  readonly shuffledPairs: number;
  readonly meanPairs: number;
}

export async function builtInRun(options: RunOptions, watch: RunWatch = {}): Promise<void> {
  const started = performance.now();
  const output = openConsole();
  const init = await startOf(options.init, watch);
  const form = forms[options.builtIn === 'hard' ? 'hard' : 'standard'];
  const dataset = await drawDataset(output, form);
  const config = configOf(dataset, options, init, form.output);
  const data = await readRunData(config, output.line);
  const datasets = smallData(config.data.inputSize);
  const choices = smallModel([...dataset.labels, ...dataset.zeroShotLabels]);
  const opened = await openFrom(init, config, choices);
  const { frames, inputSize } = config.data;
  output.line(
    `A model of ${opened.model.parameterCount().toLocaleString('en')} parameters on ${data.train.length} clips of ` +
      `${data.labels.length} actions, ${frames} frames of ${inputSize} x ${inputSize} each`,
  );
  const outcome = await train({
    config,
    data,
    opened,
    datasets,
    progress: output.progress,
    ...(await watched(watch, { title: form.title, config, data, opened })),
    onValidation: ({ epoch, top1, top5 }) =>
      output.line(`epoch ${epoch + 1}: top-1 ${percent(top1)}, top-5 ${percent(top5)} on held-out clips`),
  });
  const unreadable = unreadableLine(outcome.unreadable);
  if (unreadable !== undefined) output.line(unreadable);
  const examiner = new Examiner(config, opened, datasets);
  const clips = await examiner.clips(data.validation);
  const prompts = await examiner.prompts(data.labels);
  const pairs = pairsOf(dataset);
  const unseen = await readClipList(dataset.zeroShotList, { root: dataset.root });
  const answers: Answers = {
    heldOut: evaluateFeatures(clips, prompts),
    zeroShot: evaluateFeatures(await examiner.clips(unseen), await examiner.prompts(dataset.zeroShotLabels)),
    pairs: pairAccuracy(clips, prompts, pairs),
    shuffledPairs: pairAccuracy(await examiner.clips(data.validation, config.seed), prompts, pairs),
    meanPairs: await pairsByMean({ config, data, opened, outcome, pairs, output, signal: watch.signal }),
  };
  const seconds = (performance.now() - started) / 1000;
  const report: RunReport = {
    title: form.title,
    config,
    data,
    datasets,
    opened,
    outcome,
    evaluation: answers.heldOut,
    ...presentation(answers, dataset),
    seconds,
  };
  const path = await writeRunReport(report);
  for (const { label, value, note } of [...heldOutFigures(answers), ...report.summary])
    output.line(`${label.padEnd(24)} ${value.padStart(8)}   ${note ?? ''}`);
  output.line(`Report, after ${seconds.toFixed(0)} s: ${path}`);
}

async function drawDataset(
  { line }: Console,
  { folder, drawing }: (typeof forms)[keyof typeof forms],
): Promise<ActionDataset> {
  const started = performance.now();
  const dataset = await generateActionDataset(folder(), drawing);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  line(dataset.reused ? `Clips: ${dataset.root}` : `Clips, drawn in ${seconds} s: ${dataset.root}`);
  return dataset;
}

function configOf(dataset: ActionDataset, options: RunOptions, init: Start | undefined, output: string): Config {
  const recipe = recipeOf(init, options);
  const epochs = options.epochs ?? 30;
  const { config } = configFrom({
    seed: options.seed ?? 1,
    resume: options.resume,
    data: {
      dataset: 'built-in actions',
      train_list: dataset.trainList,
      val_list: dataset.valList,
      label_list: dataset.labelFile,
      root: dataset.root,
      num_segments: options.frames ?? 8,
      input_size: options.size ?? init?.description.sizes.vision.resolution ?? smallInput,
      batch_size: options.batchSize ?? 32,
      workers: options.workers ?? 1,
      ...corruptClipsOf(options),
      feature_views: options.featureViews,
    },
    network: { arch: 'small', sim_header: options.head ?? 'Transf', ...networkOf(options, init?.description.adapter) },
    solver: {
      precision: options.precision,
      accumulation: options.accumulate,
      epochs,
      ...recipe,
      ...(options.lr === undefined ? {} : { lr: options.lr }),
      lr_warmup_step: Math.min(2, epochs / 10),
      max_gradient_norm: 1,
    },
    logging: { eval_freq: 6 },
    output: { folder: options.out ?? join('runs', output) },
  });
  return config;
}

const pairsOf = ({ labels, orderedPairs }: ActionDataset): [number, number][] =>
  orderedPairs.map(([forward, backward]) => [labels.indexOf(forward), labels.indexOf(backward)]);

interface PairsByMean {
  readonly config: Config;
  readonly data: RunData;
  readonly opened: OpenedModel;
  readonly outcome: TrainingOutcome;
  readonly pairs: readonly [number, number][];
  readonly output: Console;
  readonly signal: AbortSignal | undefined;
}

/** Trains on with the mean over frames in place of the temporal head, and asks for the ordered pairs again. */
async function pairsByMean({ config, data, opened, outcome, pairs, output, signal }: PairsByMean): Promise<number> {
  const datasets = smallData(config.data.inputSize);
  output.line(`The same towers with the mean over frames, trained on for ${comparisonEpochs} epochs`);
  const { resume: _, ...rest } = config;
  const meanConfig: Config = {
    ...rest,
    network: { ...config.network, temporalHead: 'meanP' },
    solver: { ...config.solver, epochs: comparisonEpochs, learningRate: config.solver.learningRate / 2 },
    output: {
      ...config.output,
      folder: join(config.output.folder, 'mean-over-frames'),
      evaluateEvery: comparisonEpochs,
    },
  };
  const other = await openModel({ ...opened.description, temporal: 'meanP' }, config.seed);
  await loadPretrained(other.model, outcome.lastCheckpoint, { otherHead: true });
  const stop = signal === undefined ? {} : { signal };
  await train({ config: meanConfig, data, opened: other, datasets, progress: output.progress, ...stop });
  const examiner = new Examiner(meanConfig, other, datasets);
  return pairAccuracy(await examiner.clips(data.validation), await examiner.prompts(data.labels), pairs);
}

function heldOutFigures({ heldOut }: Answers): RunReport['summary'] {
  return [
    { label: 'top-1', value: percent(heldOut.top1), note: `of ${heldOut.labels.length} held-out clips` },
    { label: 'top-5', value: percent(heldOut.top5), note: `chance ${percent(5 / heldOut.scores.classes)}` },
  ];
}

function presentation(
  { zeroShot, pairs, shuffledPairs, meanPairs }: Answers,
  { zeroShotLabels, orderedPairs }: ActionDataset,
): Pick<RunReport, 'summary' | 'tables'> {
  const chance = percent(1 / zeroShotLabels.length);
  return {
    summary: [
      {
        label: 'zero-shot',
        value: percent(zeroShot.top1),
        note: `of ${zeroShot.labels.length} clips of ${zeroShotLabels.length} labels never trained; chance ${chance}`,
      },
      {
        label: 'ordered pairs, Transf',
        value: percent(pairs),
        note: `${percent(shuffledPairs)} with the frames in random order`,
      },
      { label: 'ordered pairs, meanP', value: percent(meanPairs), note: 'chance 50 %' },
    ],
    tables: [
      {
        title: 'Labels never trained',
        note: `Zero-shot: the clips are scored among these ${zeroShotLabels.length} labels; chance is ${chance}.`,
        columns: ['label', 'clips', 'right'],
        rows: zeroShot.classes.map(({ index, clips, accuracy }) => [
          zeroShotLabels[index] ?? '',
          clips,
          percent(accuracy),
        ]),
      },
      {
        title: 'Pairs that only the order of time tells apart',
        note: `Each clip is scored between the two labels of its pair: ${orderedPairs.map((pair) => pair.join(' / ')).join(', ')}.`,
        columns: ['how frames become a clip', 'right'],
        rows: [
          ['Transf, the temporal transformer', percent(pairs)],
          ['Transf, frames in random order', percent(shuffledPairs)],
          ['meanP, the mean over frames', percent(meanPairs)],
          ['chance', percent(0.5)],
        ],
      },
    ],
  };
}
