/** An evaluation as a page. */
import type { ReportData, ReportTable } from '../report/data.ts';
import { calibrationTables } from './calibration-tables.ts';
import {
  classTable,
  clipsPerSecond,
  type FigureTable,
  mistakeTable,
  percent,
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
  const tables = [protocolTable(subject), classTable(subject), mistakeTable(subject), ...calibrationTables(full)];
  return {
    title: 'Evaluation',
    subtitle: `${full.labels.length} clips of ${labels.length} classes, ${viewsText(subject)}`,
    summary: [
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
    confusion: { labels, counts: full.confusion.counts },
    clips: [],
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

const reportTable = ({ title, columns, rows }: FigureTable): ReportTable => ({ title, columns, rows });
