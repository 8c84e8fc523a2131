/** The report of a run: curves from its log, accuracy by class, the confusion matrix, and clips that were right and wrong. */
import { join } from 'node:path';
import { calibrationTables } from '../evaluate/calibration-tables.ts';
import type { Evaluation } from '../evaluate/evaluate.ts';
import { precisionTable } from '../evaluate/figures.ts';
import { confusionPairs } from '../evaluate/metrics.ts';
import { confusionOf, precisionFigure } from '../evaluate/zero-shot-report.ts';
import type { Filmstrip, ReportTable, SummaryFigure } from '../report/data.ts';
import { writeReport } from '../report/report.ts';
import { runCurves } from '../report/run-curves.ts';
import type { Config } from '../train/config.ts';
import { type DatasetOptions, evaluationDataset, type RunData } from '../train/datasets.ts';
import { readRunLog } from '../train/log.ts';
import type { OpenedModel } from '../train/model-description.ts';
import type { TrainingOutcome } from '../train/training-run.ts';
import type { UnreadableClip } from '../train/unreadable-clips.ts';
import { percent } from './console.ts';
import { Examiner } from './examiner.ts';
import { filmstrips } from './filmstrips.ts';
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
      ...unreadableTables(outcome.unreadable),
    ],
    confusion: confusionOf(evaluation, data.labels),
    clips: await filmstripsOf(run),
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

/** The clips that could not be read, where there are some. */
function unreadableTables(clips: readonly UnreadableClip[]): ReportTable[] {
  if (clips.length === 0) return [];
  const consequence = ({ part, epochs }: UnreadableClip): string =>
    part === 'training' ? `replaced in ${epochs === 1 ? 'one epoch' : `${epochs} epochs`}` : 'left out';
  return [
    {
      title: `Clips that could not be read: ${clips.length}`,
      columns: ['clip', 'part', 'consequence', 'reason'],
      rows: clips.map((clip) => [clip.path, clip.part, consequence(clip), clip.reason]),
    },
  ];
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

async function filmstripsOf({ config, data, datasets, opened, evaluation }: RunReport): Promise<Filmstrip[]> {
  const examiner = new Examiner(config, opened, datasets);
  return filmstrips({
    model: opened.model,
    evaluation,
    labels: data.labels,
    dataset: evaluationDataset(config, data.validation, { ...datasets, cacheBytes: 0 }),
    prompts: () => examiner.prompts(data.labels),
    root: config.data.root,
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
