/** The curves of a run from the records of its log: what was learnt, how fast, and in what memory. */
import type { LogRecord } from '../train/log.ts';
import type { CurveChart, CurveSeries } from './data.ts';

const BYTES_PER_GIGABYTE = 1e9;

/** Charts of all records so far; where there are none of a kind, its charts are empty. */
export function runCurves(log: readonly LogRecord[]): CurveChart[] {
  const steps = log.filter(({ kind }) => kind === 'step');
  const validations = log.filter(({ kind }) => kind === 'validation');
  const several = validations.some(({ meanAveragePrecision }) => meanAveragePrecision !== undefined);
  const scores = several ? [along(validations, 'mAP', 'meanAveragePrecision')] : [];
  const last = log.reduce((most, { step }) => Math.max(most, step + 1), 1);
  const axis = { xLabel: 'step', xDomain: [0, last] } as const;
  return [
    { title: 'Loss', ...axis, yLabel: 'KL divergence', series: [along(steps, 'training', 'loss')] },
    {
      title: several ? 'Held-out mAP and accuracy' : 'Held-out accuracy',
      ...axis,
      yLabel: several ? 'mAP, clips named right' : 'clips named right',
      percent: true,
      series: [...scores, along(validations, 'top-1', 'top1'), along(validations, 'top-5', 'top5')],
    },
    {
      title: 'Learning rate',
      ...axis,
      yLabel: 'of the text tower',
      series: [along(steps, 'rate', 'learningRate')],
    },
    { title: 'Speed', ...axis, yLabel: 'clips a second', series: [along(steps, 'speed', 'clipsPerSecond')] },
    {
      title: 'Waiting for data',
      ...axis,
      yLabel: 'part of a step',
      percent: true,
      series: [along(steps, 'waiting', 'dataWait')],
    },
    {
      title: 'Memory',
      ...axis,
      yLabel: 'GB',
      series: [
        along(steps, 'process', 'residentBytes', BYTES_PER_GIGABYTE),
        along(steps, 'device', 'deviceBytes', BYTES_PER_GIGABYTE),
      ],
    },
  ];
}

/** The number in a field of a record; NaN where there is none. */
export function numberOf(record: LogRecord, field: string): number {
  const value = record[field];
  return typeof value === 'number' ? value : Number.NaN;
}

/** One point for each record, at the number of steps done. */
const along = (records: readonly LogRecord[], name: string, field: string, unit = 1): CurveSeries => ({
  name,
  points: records.map((record) => ({ x: record.step + 1, y: numberOf(record, field) / unit })),
});
