/** The parts of a live page, each drawn anew from what is known of the run. */
import { formatBytes } from '../byte-size.ts';
import { renderCurves } from '../report/curves.ts';
import type { SummaryFigure } from '../report/data.ts';
import { type Html, html } from '../report/html.ts';
import { renderRun, renderSummary } from '../report/parts.ts';
import { numberOf, runCurves } from '../report/run-curves.ts';
import type { LogRecord } from '../train/log.ts';
import { formatDuration, formatNumber, formatRate } from '../train/progress.ts';
import type { History } from './history.ts';

/** The parts of the page in their order, by the ids of their elements. */
export const SECTIONS = ['heading', 'state', 'progress', 'figures', 'charts', 'details'] as const;

export type SectionName = (typeof SECTIONS)[number];

export type Sections = Readonly<Record<SectionName, Html>>;

export function renderSections(history: History): Sections {
  const { subject } = history;
  return {
    heading: html`<h1>${titleOf(history)}</h1>${subject === undefined ? undefined : html`<p class="subtitle">${subject.subtitle}</p>`}`,
    state: renderState(history),
    progress: renderProgress(history),
    figures: html`${renderSummary(figuresOf(history))}`,
    charts: html`${runCurves(history.records).map(renderCurves)}`,
    details: renderDetails(history),
  };
}

export const titleOf = ({ subject }: History): string => subject?.title ?? 'A run of ActionCLIP';

function renderState(history: History): Html {
  if (history.end !== undefined) return html`<span class="light ended"></span>${history.end}`;
  if (history.lastStep === undefined) return html`<span class="light going"></span>The first step is on its way.`;
  return doneOf(history) < 1
    ? html`<span class="light going"></span>Training.`
    : html`<span class="light going"></span>All steps are done; what follows is the evaluation and the report.`;
}

/** The part of all steps that is done, 0 to 1. */
function doneOf({ subject, lastStep }: History): number {
  if (subject === undefined || lastStep === undefined) return 0;
  const { epochs, batchesPerEpoch } = subject;
  const batches = numberOf(lastStep, 'epoch') * batchesPerEpoch + numberOf(lastStep, 'batchIndex') + 1;
  return Math.min(1, batches / Math.max(1, epochs * batchesPerEpoch));
}

function renderProgress(history: History): Html {
  const { subject, lastStep } = history;
  if (subject === undefined || lastStep === undefined) return html``;
  const done = (100 * doneOf(history)).toFixed(1);
  const place =
    `epoch ${numberOf(lastStep, 'epoch') + 1} of ${subject.epochs}, ` +
    `step ${numberOf(lastStep, 'batchIndex') + 1} of ${subject.batchesPerEpoch}`;
  return html`<div class="whole" role="progressbar" aria-valuemin="0" aria-valuemax="100" aria-valuenow="${done}" aria-label="steps done"><span style="width:${done}%"></span></div>
<p class="ends"><span>${place}</span><span>${done} %</span></p>`;
}

function figuresOf({ lastStep, validations, end }: History): SummaryFigure[] {
  if (lastStep === undefined) return [];
  const value = (field: string): number => numberOf(lastStep, field);
  return [
    { label: 'loss', value: formatNumber(value('loss')), note: `of step ${lastStep.step + 1}` },
    heldOutFigure(validations),
    {
      label: 'time left',
      value: end === undefined ? formatDuration(value('secondsLeft')) : '–',
      note: 'validations come on top',
    },
    { label: 'clips a second', value: formatNumber(value('clipsPerSecond')), note: 'of the latest steps' },
    { label: 'waiting for data', value: `${(100 * value('dataWait')).toFixed(0)} %`, note: 'of a step' },
    { label: 'learning rate', value: formatRate(value('learningRate')), note: 'of the text tower' },
    { label: 'memory', value: formatBytes(value('residentBytes')), note: 'of the process' },
    { label: 'memory of the device', value: formatBytes(value('deviceBytes')), note: 'tensors and workspace' },
  ];
}

function heldOutFigure(validations: readonly LogRecord[]): SummaryFigure {
  const last = validations.at(-1);
  if (last === undefined) return { label: 'held-out clips', value: '–', note: 'not validated yet' };
  const field = last.meanAveragePrecision === undefined ? 'top1' : 'meanAveragePrecision';
  const label = field === 'top1' ? 'held-out top-1' : 'held-out mAP';
  const best = validations.reduce((a, b) => (numberOf(b, field) > numberOf(a, field) ? b : a));
  const percent = (record: LogRecord): string => `${(100 * numberOf(record, field)).toFixed(1)} %`;
  return { label, value: percent(last), note: `best ${percent(best)}, after epoch ${numberOf(best, 'epoch') + 1}` };
}

function renderDetails({ subject }: History): Html {
  if (subject === undefined) return html``;
  const { facts, configuration } = subject;
  return renderRun({ facts, configuration });
}
