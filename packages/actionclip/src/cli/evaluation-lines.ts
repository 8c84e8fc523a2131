/** The figures of an evaluation as lines for people. */
import { calibrationTables } from '../evaluate/calibration-tables.ts';
import {
  classTable,
  clipsPerSecond,
  type FigureTable,
  mistakeTable,
  mixtureTable,
  percent,
  precisionTable,
  protocolTable,
  viewsText,
} from '../evaluate/figures.ts';
import type { EvaluationSubject } from '../evaluate/subject.ts';
import { bold, type Canvas, fit, pad } from './drawing/canvas.ts';
import { lineWidth } from './drawing/text-width.ts';

/** Classes and mistakes that are shown. */
const shownRows = 10;

export function evaluationLines(subject: EvaluationSubject, canvas: Canvas): string[] {
  const { full } = subject.result;
  const protocol = protocolTable(subject);
  const classes = classTable(subject, shownRows);
  const mistakes = mistakeTable(subject, shownRows);
  const precisions = precisionTable(full, subject.labels, subject.selected.entries, shownRows);
  return [
    headLine(subject),
    ...(full.meanAveragePrecision === undefined
      ? []
      : [`mAP         ${percent(full.meanAveragePrecision).padStart(7)}`]),
    `top-1       ${percent(full.top1).padStart(7)}`,
    `top-5       ${percent(full.top5).padStart(7)}`,
    `mean class  ${percent(full.meanClassAccuracy).padStart(7)}`,
    ...(protocol === undefined ? [] : tableLines(protocol, canvas)),
    ...(precisions === undefined ? [] : tableLines(precisions, canvas)),
    ...tableLines(classes, canvas),
    ...(mistakes.rows.length === 0 ? [] : tableLines(mistakes, canvas)),
    ...calibrationTables(full).flatMap((table) => tableLines(table, canvas)),
    '',
    `${clipsPerSecond(subject).toFixed(1)} clips/s`,
  ];
}

/** The same for mixtures of two checkpoints, one row for each. */
export function mixtureLines(subjects: readonly EvaluationSubject[], canvas: Canvas): string[] {
  const [first] = subjects;
  return [...(first === undefined ? [] : [headLine(first)]), ...tableLines(mixtureTable(subjects), canvas)];
}

function headLine(subject: EvaluationSubject): string {
  const { result, labels, templates, templateName } = subject;
  const { full, broken } = result;
  const counted = `${full.labels.length} clips${broken.length === 0 ? '' : `, ${broken.length} more cannot be read`}`;
  return `${counted}, ${labels.length} classes, ${templates.length} ${templates.length === 1 ? 'template' : 'templates'} (${templateName}), ${viewsText(subject)}`;
}

/** Space between two columns. */
const gap = '  ';

/** Texts left, numbers right; the first column gives way where the terminal is narrow. */
export function tableLines({ title, columns, rows }: FigureTable, canvas: Canvas): string[] {
  const cells = columns.map((_, column) => [columns, ...rows].map((row) => row[column] ?? ''));
  const widths = cells.map((column) => Math.max(...column.map(lineWidth)));
  const isNumber = cells.map((column) => column.slice(1).every((cell) => cell === '' || /^[\d–]/.test(cell)));
  const rest = widths.slice(1).reduce((sum, width) => sum + width + gap.length, 2);
  const first = Math.max(8, Math.min(widths[0] ?? 0, canvas.columns - rest));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) => {
        const width = column === 0 ? first : (widths[column] ?? 0);
        return isNumber[column] ? fit(canvas, cell, width).padStart(width) : pad(canvas, cell, width);
      })
      .join(gap)
      .trimEnd();
  return ['', bold(canvas, title), `  ${line(columns)}`, ...rows.map((row) => `  ${line(row)}`)];
}
