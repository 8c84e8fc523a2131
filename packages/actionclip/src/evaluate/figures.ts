/** Figures of an evaluation as rows of text: the same for the terminal and for pages. */
import { type ClipEntry, classesOf } from '../data/label-sets.ts';
import type { Evaluation } from './evaluate.ts';
import { confusionPairs } from './metrics.ts';
import type { Spread } from './protocols.ts';
import type { EvaluationSubject } from './subject.ts';

export interface FigureTable {
  readonly title: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** `94.2 %` */
export const percent = (part: number): string => (Number.isNaN(part) ? '–' : `${(100 * part).toFixed(1)} %`);

/** `94.2 ± 1.3 %`; of a single value there is no deviation. */
export const spread = ({ mean, deviation }: Spread): string =>
  Number.isNaN(deviation) ? percent(mean) : `${(100 * mean).toFixed(1)} ± ${(100 * deviation).toFixed(1)} %`;

/** What the protocol gives, row by row; undefined for the full evaluation alone. */
export function protocolTable({ result, selected }: EvaluationSubject): FigureTable | undefined {
  const { halves, splits, baseToNovel } = result;
  const repeated = halves ?? splits;
  const columns = ['classes', 'clips', 'top-1', 'top-5', 'mean class'];
  const row = (part: typeof result.full): string[] => [
    String(part.scores.classes),
    String(part.labels.length),
    percent(part.top1),
    percent(part.top5),
    percent(part.meanClassAccuracy),
  ];
  if (repeated !== undefined) {
    const names =
      halves === undefined
        ? selected.splits.map(({ name }) => name)
        : halves.parts.map(({ seed }) => `half of seed ${seed}`);
    const mean = [spread(repeated.top1), spread(repeated.top5), spread(repeated.meanClassAccuracy)];
    return {
      title: halves === undefined ? 'Splits' : 'Halves of the classes',
      columns: ['', ...columns],
      rows: [
        ...repeated.parts.map((part, at) => [names[at] ?? '', ...row(part)]),
        ['mean ± deviation', '', '', ...mean],
      ],
    };
  }
  if (baseToNovel === undefined) return undefined;
  const { base, novel, harmonicMean } = baseToNovel;
  return {
    title: 'Base to novel',
    columns: ['', ...columns],
    rows: [
      ['base', ...row(base)],
      ['novel', ...row(novel)],
      ['harmonic mean', '', '', percent(harmonicMean), '', ''],
    ],
  };
}

/** One row for each mixture of two checkpoints, with the measures of the protocol. */
export function mixtureTable(subjects: readonly EvaluationSubject[]): FigureTable {
  const rows = subjects.map(({ mixture, result }) => {
    const { full, halves, splits, baseToNovel } = result;
    const repeated = halves ?? splits;
    const ofProtocol =
      repeated === undefined ? baseToNovel && percent(baseToNovel.harmonicMean) : spread(repeated.top1);
    const own = [String(mixture?.alpha ?? 0), percent(full.top1), percent(full.top5), percent(full.meanClassAccuracy)];
    return ofProtocol === undefined ? own : [...own, ofProtocol];
  });
  const last = subjects[0]?.result.baseToNovel === undefined ? 'top-1 of the parts' : 'harmonic mean';
  const columns = ['alpha', 'top-1', 'top-5', 'mean class', last];
  return { title: 'Mixtures', columns: columns.slice(0, rows[0]?.length), rows };
}

/** Classes with clips, the worst first. */
export function classTable({ result, labels }: EvaluationSubject, limit = Number.POSITIVE_INFINITY): FigureTable {
  const present = result.full.classes.filter(({ clips }) => clips > 0);
  const worst = [...present].sort((a, b) => a.accuracy - b.accuracy || b.clips - a.clips || a.index - b.index);
  return {
    title: limit < worst.length ? 'Worst classes' : 'Classes, the worst first',
    columns: ['', 'clips', 'right', ''],
    rows: worst
      .slice(0, limit)
      .map(({ index, clips, correct, accuracy }) => [
        labels[index] ?? '',
        String(clips),
        String(correct),
        percent(accuracy),
      ]),
  };
}

/**
 * Average precision of the classes with clips, the worst first; undefined where clips have one class each.
 * @param entries The data set that was evaluated.
 */
export function precisionTable(
  { averagePrecisions, indices }: Evaluation,
  labels: readonly string[],
  entries: readonly ClipEntry[],
  limit = Number.POSITIVE_INFINITY,
): FigureTable | undefined {
  if (averagePrecisions === undefined) return undefined;
  const clips = labels.map(() => 0);
  for (const place of indices) {
    const entry = entries[place];
    for (const label of entry === undefined ? [] : classesOf(entry)) clips[label] = (clips[label] ?? 0) + 1;
  }
  const present = averagePrecisions.flatMap((precision, index) =>
    Number.isNaN(precision) ? [] : [{ precision, name: labels[index] ?? '', clips: clips[index] ?? 0 }],
  );
  return {
    title: limit < present.length ? 'Worst average precisions' : 'Average precision by class, the worst first',
    columns: ['', 'clips', 'average precision'],
    rows: present
      .sort((a, b) => a.precision - b.precision)
      .slice(0, limit)
      .map(({ name, clips, precision }) => [name, String(clips), percent(precision)]),
  };
}

/** The most frequent confusions. */
export function mistakeTable({ result, labels }: EvaluationSubject, limit = 10): FigureTable {
  return {
    title: 'Most frequent mistakes',
    columns: ['', 'taken for', 'clips'],
    rows: confusionPairs(result.full.confusion, limit).map(({ label, predicted, count }) => [
      labels[label] ?? '',
      labels[predicted] ?? '',
      String(count),
    ]),
  };
}

/** `8 frames, 4 x 3 views` and the like. */
export const viewsText = ({ frames, views }: Pick<EvaluationSubject, 'frames' | 'views'>): string =>
  `${frames} frames, ${views.clips === 1 && views.crops === 1 ? 'one view' : `${views.clips} x ${views.crops} views`}`;

/** Clips encoded in a second. */
export const clipsPerSecond = ({ result }: Pick<EvaluationSubject, 'result'>): number =>
  result.full.labels.length / result.clipSeconds;
