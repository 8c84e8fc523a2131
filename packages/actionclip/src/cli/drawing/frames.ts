/** The frames that were looked at: their pictures and times, and below them how similar each is to the best labels. */
import type { SampledFrame } from '../../recognize/types.ts';
import { type Canvas, colored, faint, seriesColor } from './canvas.ts';
import { drawCells, drawDense, heightEnds, type Range, rangeOf } from './curves.ts';
import { drawFilmstrip } from './filmstrip.ts';
import { type Layout, row } from './layout.ts';
import { timeFormat } from './times.ts';

/** A picture narrower than this shows nothing. */
const LEAST_PICTURE_WIDTH = 10;
const MOST_PICTURE_WIDTH = 16;
const MOST_TIME_WIDTH = 8;
/** More frames than this are not shown one by one. */
const MOST_SINGLE_FRAMES = 16;

export interface CurveLabel {
  readonly label: string;
  /** Place in the frames' `similarities`. */
  readonly index: number;
}

/** How frames stand in rows: as few rows as the least width of a cell allows, all rows as even as can be. */
export interface Arrangement {
  readonly perRow: number;
  readonly cellWidth: number;
}

/** Cells of at least `least` columns (fewer only where not even one fits) and at most `most`, a column between them. */
export function arrange(count: number, width: number, least: number, most: number): Arrangement {
  const fitting = Math.max(1, Math.floor((width + 1) / (least + 1)));
  const rows = Math.ceil(count / Math.min(count, fitting));
  const perRow = Math.ceil(count / rows);
  const cellWidth = Math.max(1, Math.min(most, Math.floor((width + 1) / perRow) - 1));
  return { perRow, cellWidth };
}

/** Pictures where they are wanted and there are colours, times, and a curve for each label. */
export function drawFrames(
  canvas: Canvas,
  layout: Layout,
  sampled: readonly SampledFrame[],
  labels: readonly CurveLabel[],
  filmstrip: boolean,
): string[] {
  const frames = sampled.toSorted((a, b) => a.time - b.time);
  const write = timeFormat(frames.map(({ time }) => time));
  const timeWidth = Math.max(...frames.map(({ time }) => write(time).length));
  if (frames.length === 0 || layout.fieldWidth < timeWidth) return [];
  const pictures = filmstrip && canvas.color;
  const least = Math.max(timeWidth, pictures ? LEAST_PICTURE_WIDTH : 0);
  const most = Math.max(timeWidth, pictures ? MOST_PICTURE_WIDTH : MOST_TIME_WIDTH);
  const range = rangeOf(frames.flatMap(({ similarities }) => labels.map(({ index }) => similarities[index] ?? 0)));

  const head = (part: readonly SampledFrame[], width: number): string[] => [
    ...(pictures ? pictureRows(canvas, layout, part, width) : []),
    row(canvas, layout, 'time', part.map(({ time }) => write(time).padEnd(width)).join(' ')),
  ];
  const curves = (part: readonly SampledFrame[], draw: (values: readonly number[]) => string): string[] =>
    labels.map(({ label, index }, series) => {
      const values = part.map(({ similarities }) => similarities[index] ?? Number.NaN);
      return row(canvas, layout, label, colored(canvas, draw(values), seriesColor(series)));
    });
  const faintly = (text: string): string => faint(canvas, text);
  const caption = row(canvas, layout, 'similarity', faintly(scaleText(canvas, range)), faintly);

  if (frames.length > MOST_SINGLE_FRAMES) {
    const { perRow, cellWidth } = arrange(MOST_SINGLE_FRAMES, layout.fieldWidth, least, most);
    const shown = Array.from({ length: perRow }, (_, cell) => middleOf(frames, cell, perRow));
    const width = perRow * (cellWidth + 1) - 1;
    return [...head(shown, cellWidth), ...curves(frames, (values) => drawDense(canvas, values, width, range)), caption];
  }
  const { perRow, cellWidth } = arrange(frames.length, layout.fieldWidth, least, most);
  const lines: string[] = [];
  for (let first = 0; first < frames.length; first += perRow) {
    const part = frames.slice(first, first + perRow);
    if (first > 0) lines.push('');
    lines.push(...head(part, cellWidth), ...curves(part, (values) => drawCells(canvas, values, cellWidth, range)));
  }
  return [...lines, caption];
}

function pictureRows(canvas: Canvas, layout: Layout, frames: readonly SampledFrame[], width: number): string[] {
  const images = frames.map(({ image }) => image);
  return drawFilmstrip(canvas, images, width).map((line) => row(canvas, layout, '', line));
}

/** The frame in the middle of one of `cells` equal parts. */
function middleOf(frames: readonly SampledFrame[], cell: number, cells: number): SampledFrame {
  const index = Math.floor(((cell + 0.5) * frames.length) / cells);
  const frame = frames[index];
  if (frame === undefined) throw new RangeError(`no frame ${index} of ${frames.length}`);
  return frame;
}

function scaleText(canvas: Canvas, { least, most }: Range): string {
  const [low, high] = heightEnds(canvas);
  return `${low} ${least.toFixed(3)}  ${high} ${most.toFixed(3)}`;
}
