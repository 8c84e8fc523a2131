/** The report of a run: curves from its log, accuracy by class, the confusion matrix, and clips that were right and wrong. */
import { join, relative } from 'node:path';
import { ClipDataset } from '../data/dataset.ts';
import { classesOf } from '../data/label-sets.ts';
import { calibrationTables } from '../evaluate/calibration-tables.ts';
import type { Evaluation } from '../evaluate/evaluate.ts';
import { precisionTable } from '../evaluate/figures.ts';
import { confusionPairs, topClasses } from '../evaluate/metrics.ts';
import { confusionOf, precisionFigure } from '../evaluate/zero-shot-report.ts';
import { shadeByAttention } from '../report/class-attention.ts';
import type { Filmstrip, ReportTable, SummaryFigure } from '../report/data.ts';
import { encodeFrame } from '../report/frames.ts';
import { writeReport } from '../report/report.ts';
import { runCurves } from '../report/run-curves.ts';
import type { Config } from '../train/config.ts';
import { type DatasetOptions, evaluationDataset, type RunData } from '../train/datasets.ts';
import { readRunLog } from '../train/log.ts';
import type { OpenedModel } from '../train/model-description.ts';
import type { TrainingOutcome } from '../train/trainer.ts';
import { ClipInsights } from './clip-insight.ts';
import { percent } from './console.ts';
import { Examiner } from './examiner.ts';
import { machineFacts, sizesOf } from './watch.ts';

export interface RunReport {
  readonly title: string;
  readonly config: Config;
  readonly data: RunData;
  readonly datasets: DatasetOptions;
  readonly opened: OpenedModel;
  readonly outcome: TrainingOutcome;
  readonly evaluation: Evaluation;
  /** Figures beside top-1 and top-5. */
  readonly summary: readonly SummaryFigure[];
  /** Tables beside those of the classes. */
  readonly tables: readonly ReportTable[];
  readonly seconds: number;
}

/** Clips shown of each kind. */
const shownClips = 6;
const shownPredictions = 3;

/** Writes `report.html` into the folder of the run; returns its path. */
export async function writeRunReport(run: RunReport): Promise<string> {
  const { config, data, evaluation, outcome } = run;
  const path = join(config.output.folder, 'report.html');
  const precisions = precisionTable(evaluation, data.labels, data.validation);
  await writeReport(path, {
    title: run.title,
    subtitle: sizesOf(data),
    summary: [
      ...precisionFigure(evaluation),
      { label: 'top-1', value: percent(evaluation.top1), note: `of ${evaluation.labels.length} held-out clips` },
      { label: 'top-5', value: percent(evaluation.top5), note: `chance ${percent(1 / data.labels.length)} for top-1` },
      ...run.summary,
    ],
    curves: runCurves(await readRunLog(outcome.log)),
    tables: [
      ...run.tables,
      ...(precisions === undefined ? [] : [precisions]),
      classTable(run),
      mistakeTable(run),
      ...calibrationTables(evaluation),
    ],
    confusion: confusionOf(evaluation, data.labels),
    clips: await filmstrips(run),
    run: { facts: await factsOf(run), configuration: JSON.stringify(config, null, 2) },
  });
  return path;
}

function classTable({ data, evaluation }: RunReport): ReportTable {
  return {
    title: 'Accuracy by class',
    columns: ['class', 'clips', 'right'],
    rows: evaluation.classes
      .filter(({ clips }) => clips > 0)
      .map(({ index, clips, accuracy }) => [data.labels[index] ?? '', clips, percent(accuracy)]),
  };
}

function mistakeTable({ data, evaluation }: RunReport): ReportTable {
  return {
    title: 'Most frequent mistakes',
    columns: ['class', 'taken for', 'clips'],
    rows: confusionPairs(evaluation.confusion).map(({ label, predicted, count }) => [
      data.labels[label] ?? '',
      data.labels[predicted] ?? '',
      count,
    ]),
  };
}

/** A few right clips of different classes and a few wrong ones, the most certain first. */
async function filmstrips({ config, data, datasets, opened, evaluation }: RunReport): Promise<Filmstrip[]> {
  const { scores, labels, indices } = evaluation;
  const dataset = new ClipDataset(evaluationDataset(config, data.validation, { ...datasets, cacheBytes: 0 }));
  const rows = [...labels.keys()].map((row) => {
    const best = topClasses(scores, row, shownPredictions);
    const [first = 0] = best;
    return { row, best, right: first === labels[row], certainty: scores.scores[row * scores.classes + first] ?? 0 };
  });
  rows.sort((a, b) => b.certainty - a.certainty);
  const seen = new Set<number>();
  const right = rows.filter(({ row, right: isRight }) => {
    const label = labels[row] ?? 0;
    return isRight && !seen.has(label) && seen.add(label);
  });
  const wrong = rows.filter((entry) => !entry.right);
  const shown = [...right.slice(0, shownClips), ...wrong.slice(0, shownClips)];
  const insights = opened.model.perFrame
    ? new ClipInsights(opened.model, await new Examiner(config, opened, datasets).prompts(data.labels))
    : undefined;
  const strips: Filmstrip[] = [];
  for (const { row, best } of shown) {
    const index = indices[row] ?? 0;
    const label = labels[row] ?? 0;
    const { frames: planes } = await dataset.load(index, 0);
    const frames = framesOf(planes, config.data);
    const entry = data.validation[index];
    const others = entry === undefined ? [] : classesOf(entry).filter((other) => other !== label);
    const nameOf = (place: number): string => data.labels[place] ?? '';
    strips.push({
      frames: await Promise.all(frames.map((frame) => encodeFrame(frame, sideOf(config)))),
      label: nameOf(label),
      ...(others.length === 0 ? {} : { otherLabels: others.map(nameOf) }),
      predictions: best.map((place) => ({
        label: nameOf(place),
        probability: scores.scores[row * scores.classes + place] ?? 0,
      })),
      source: shownPath(entry?.path ?? '', config.data.root),
      ...(insights === undefined ? {} : await seenIn(insights, planes, frames, [label, ...best], nameOf, config)),
    });
  }
  await insights?.close();
  return strips;
}

/** Attention over the frames, and the similarity of each to the label and to the best guess that is another. */
async function seenIn(
  insights: ClipInsights,
  planes: Uint8Array,
  frames: readonly Uint8Array[],
  labels: readonly number[],
  nameOf: (label: number) => string,
  config: Config,
): Promise<Required<Pick<Filmstrip, 'attention' | 'similarities'>>> {
  const { inputSize } = config.data;
  const insight = await insights.of(planes, frames.length, inputSize);
  const nothing = new Float32Array(0);
  const shaded = frames.map((frame, i) => shadeByAttention(frame, inputSize, insight.attention[i] ?? nothing));
  return {
    attention: await Promise.all(shaded.map((frame) => encodeFrame(frame, sideOf(config)))),
    similarities: [...new Set(labels)]
      .slice(0, 2)
      .map((label) => ({ name: nameOf(label), values: insight.similarities(label) })),
  };
}

const sideOf = ({ data }: Config): { width: number; height: number } => ({
  width: data.inputSize,
  height: data.inputSize,
});

/** Planes [T, 3, S, S] to as many frames of pixels [S, S, 3]. */
function framesOf(planes: Uint8Array, { frames, inputSize }: Config['data']): Uint8Array[] {
  const area = inputSize * inputSize;
  return Array.from({ length: frames }, (_, frame) => {
    const pixels = new Uint8Array(3 * area);
    for (let i = 0; i < area; i++) {
      for (let channel = 0; channel < 3; channel++) {
        pixels[3 * i + channel] = planes[(3 * frame + channel) * area + i] ?? 0;
      }
    }
    return pixels;
  });
}

async function factsOf({ config, opened, outcome, seconds }: RunReport): Promise<[string, string][]> {
  const { dataWait, step, validation, checkpoint } = outcome.time;
  return [
    ...(await machineFacts(config, opened)),
    ...outcome.fallbacks.map((fallback): [string, string] => ['fallback', fallback]),
    ['steps', String(outcome.steps)],
    [
      'time',
      `${seconds.toFixed(0)} s in all; training: steps ${step.toFixed(1)} s, waiting for clips ${dataWait.toFixed(1)} s, ` +
        `validation ${validation.toFixed(1)} s, checkpoints ${checkpoint.toFixed(1)} s`,
    ],
    ['checkpoint', outcome.lastCheckpoint],
  ];
}

/** A clip's path as its list has it: relative to the root of the data. */
const shownPath = (path: string, root: string | undefined): string =>
  root === undefined ? path : relative(root, path);
