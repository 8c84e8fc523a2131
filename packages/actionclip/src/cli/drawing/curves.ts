/** Values over frames as lines of blocks of eight heights, below the pictures of the frames. */
import type { Canvas } from './canvas.ts';

const HEIGHTS = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'] as const;
const ASCII_HEIGHTS = ['_', '.', ':', '-', '=', '+', '*', '#'] as const;

export interface Range {
  readonly least: number;
  readonly most: number;
}

/** The range of all finite values; a range of one point where there are none. */
export function rangeOf(values: Iterable<number>): Range {
  let [least, most] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of values) {
    if (!Number.isFinite(value)) continue;
    least = Math.min(least, value);
    most = Math.max(most, value);
  }
  return least <= most ? { least, most } : { least: 0, most: 0 };
}

/** The lowest and the highest character. */
export const heightEnds = ({ blocks }: Canvas): readonly [string, string] =>
  blocks ? [HEIGHTS[0], HEIGHTS[7]] : [ASCII_HEIGHTS[0], ASCII_HEIGHTS[7]];

/** The character whose height stands for a value within the range; a blank where there is no value. */
export function heightCharacter({ blocks }: Canvas, value: number, { least, most }: Range): string {
  if (!Number.isFinite(value)) return ' ';
  const part = most > least ? (value - least) / (most - least) : 0.5;
  const step = Math.round(Math.min(1, Math.max(0, part)) * (HEIGHTS.length - 1));
  return (blocks ? HEIGHTS : ASCII_HEIGHTS)[step] ?? ' ';
}

/** One cell for each value, `cellWidth` columns wide, a column between them. */
export function drawCells(canvas: Canvas, values: readonly number[], cellWidth: number, range: Range): string {
  return values.map((value) => heightCharacter(canvas, value, range).repeat(cellWidth)).join(' ');
}

/** All values within `width` columns: a column shows the mean of its values, or the one nearest to it. */
export function drawDense(canvas: Canvas, values: readonly number[], width: number, range: Range): string {
  return Array.from({ length: width }, (_, column) => {
    const first = Math.floor((column * values.length) / width);
    const last = Math.max(first + 1, Math.floor(((column + 1) * values.length) / width));
    const part = values.slice(first, last);
    return heightCharacter(canvas, part.reduce((sum, value) => sum + value, 0) / part.length, range);
  }).join('');
}
