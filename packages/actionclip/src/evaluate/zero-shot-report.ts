/** An evaluation as a page. */
import type { ConfusionData, ReportData, ReportTable, SummaryFigure } from '../report/data.ts';
import { calibrationTables } from './calibration-tables.ts';
import type { Evaluation } from './evaluate.ts';
import {
  classTable,
  clipsPerSecond,
  type FigureTable,
  mistakeTable,
  percent,
  precisionTable,
  protocolTable,
  spread,
  viewsText,
} from './figures.ts';
import type { EvaluationSubject } from './subject.ts';

/**
 * What the page of an evaluation shows.
 * @param facts Of the machine.
 */
export function zeroShotReport(
  subject: EvaluationSubject,
  facts: readonly (readonly [name: string, value: string])[] = [],
): ReportData {
  const { result, labels, selected, weights, mixture, templates, templateName } = subject;
  const { full, halves, splits, baseToNovel, broken } = result;
  const repeated = halves ?? splits;
  const tables = [
    protocolTable(subject),
    precisionTable(full, labels, selected.entries),
    classTable(subject),
    mistakeTable(subject),
    ...calibrationTables(full),
  ];
  return {
    title: 'Evaluation',
    subtitle: `${full.labels.length} clips of ${labels.length} classes, ${viewsText(subject)}`,
    summary: [
      ...precisionFigure(full),
      { label: 'top-1', value: percent(full.top1), note: `of ${full.labels.length} clips` },
      { label: 'top-5', value: percent(full.top5), note: `chance ${percent(1 / labels.length)} for top-1` },
      { label: 'mean class accuracy', value: percent(full.meanClassAccuracy) },
      ...(repeated === undefined
        ? []
        : [{ label: `top-1, ${repeated.parts.length} parts`, value: spread(repeated.top1), note: 'sample deviation' }]),
      ...(baseToNovel === undefined ? [] : [{ label: 'harmonic mean', value: percent(baseToNovel.harmonicMean) }]),
    ],
    curves: [],
    tables: tables.flatMap((table) => (table === undefined || table.rows.length === 0 ? [] : [reportTable(table)])),
    confusion: confusionOf(full, labels),
    clips: subject.clips ?? [],
    run: {
      facts: [
        ['weights', mixture === undefined ? weights : `${weights}, ${mixture.alpha} of ${mixture.pretrained} mixed in`],
        ['templates', `${templates.length} (${templateName})`],
        ...(selected.order === undefined ? [] : ([['order of the classes', selected.order.explanation]] as const)),
        ['clips that cannot be read', broken.length === 0 ? 'none' : `${broken.length}, which are in no figure`],
        ['clips a second', clipsPerSecond(subject).toFixed(1)],
        ...facts,
      ],
    },
  };
}

/** The figure that counts where clips have several classes. */
export const precisionFigure = ({ meanAveragePrecision, averagePrecisions = [] }: Evaluation): SummaryFigure[] =>
  meanAveragePrecision === undefined
    ? []
    : [
        {
          label: 'mAP',
          value: percent(meanAveragePrecision),
          note: `over ${averagePrecisions.filter((value) => !Number.isNaN(value)).length} classes with clips`,
        },
      ];

export const confusionOf = (
  { confusion, meanAveragePrecision }: Evaluation,
  labels: readonly string[],
): ConfusionData => ({
  labels,
  counts: confusion.counts,
  ...(meanAveragePrecision === undefined
    ? {}
    : { note: 'A clip of several classes counts as of that class of its own which scores best.' }),
});

const reportTable = ({ title, columns, rows }: FigureTable): ReportTable => ({ title, columns, rows });
