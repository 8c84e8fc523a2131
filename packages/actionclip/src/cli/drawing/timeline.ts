/** Sliding windows over a long video: a strip of the best label over time, and the runs of windows that share it. */
import { bestOverTime, windowRuns } from '../../recognize/timeline.ts';
import type { Classification } from '../../recognize/types.ts';
import { percentText } from './bars.ts';
import { type Canvas, colored, faint, fit, seriesColor } from './canvas.ts';
import { type Layout, row } from './layout.ts';
import { lineWidth, textWidth } from './text-width.ts';
import { digitsFor, timeText } from './times.ts';

const NO_WINDOW = '·';
const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ';
/** A label beyond the letters. */
const MANY = '*';

/**
 * The strip with its times, then a line for each run. Labels are told apart by colours, or by letters without them.
 * @param shown Labels that have a colour already, by their place.
 */
export function drawTimeline(
  canvas: Canvas,
  layout: Layout,
  { labels, windows, duration }: Pick<Classification, 'labels' | 'windows' | 'duration'>,
  shown: readonly number[] = [],
): string[] {
  const runs = windowRuns(windows);
  const places = new Map(
    [...new Set([...shown, ...runs.map(({ label }) => label)])].map((label, place) => [label, place]),
  );
  const letter = (label: number): string => LETTERS[places.get(label) ?? LETTERS.length] ?? MANY;
  const tinted = (label: number, text: string): string => {
    const place = places.get(label);
    return place === undefined ? text : colored(canvas, text, seriesColor(place));
  };
  const width = layout.fieldWidth;
  const strip = bestOverTime(windows, duration, width)
    .map((label) =>
      label === undefined
        ? canvas.blocks
          ? NO_WINDOW
          : '.'
        : tinted(label, canvas.color && places.has(label) ? '█' : letter(label)),
    )
    .join('');
  const digits = digitsFor(runs.flatMap(({ start, end }) => [start, end]));
  const [from, to] = ['0:00', timeText(duration)];
  const scale = from + to.padStart(Math.max(to.length + 1, width - from.length));
  const spans = runs.map(({ start, end }) => `${timeText(start, digits)}-${timeText(end, digits)}`);
  const spanWidth = Math.max(...spans.map(({ length }) => length));
  const lines = runs.map(({ label, probability, windows: count }, index) => {
    const mark = tinted(label, canvas.color ? '█' : letter(label));
    const start = `  ${(spans[index] ?? '').padStart(spanWidth)}  ${mark} ${percentText(probability).padStart(7)}  `;
    const name = fit(canvas, labels[label] ?? '', Math.max(4, canvas.columns - lineWidth(start)));
    const note = `  ${count} windows`;
    const hasNote = count > 1 && lineWidth(start) + textWidth(name) + note.length <= canvas.columns;
    return `${start}${name}${hasNote ? faint(canvas, note) : ''}`;
  });
  const hasStrip = width >= textWidth(from) + textWidth(to) + 1;
  return [
    ...(hasStrip ? [row(canvas, layout, 'timeline', strip), row(canvas, layout, '', faint(canvas, scale))] : []),
    ...lines,
  ];
}
