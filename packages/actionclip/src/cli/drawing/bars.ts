/** Labels with their probabilities as horizontal bars. */
import { bold, type Canvas, colored, faint, seriesColor } from './canvas.ts';
import { type Layout, row } from './layout.ts';

/** A label and how probable it is, from 0 to 1. */
export interface Prediction {
  readonly label: string;
  readonly probability: number;
}

/** The labels that are not shown, all together. */
export interface Rest {
  readonly count: number;
  readonly probability: number;
}

const EIGHTHS = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'] as const;
const FULL = '█';
const PERCENT_WIDTH = '100.0 %'.length;
/** Bars shorter than this say nothing. */
const LEAST_BAR_WIDTH = 4;

export const percentText = (probability: number): string => `${(probability * 100).toFixed(1)} %`;

/** A bar of `part` (0 to 1) of `width` columns, to an eighth of a column where there are block characters. */
export function bar({ blocks }: Pick<Canvas, 'blocks'>, part: number, width: number): string {
  const clamped = Math.min(1, Math.max(0, part));
  if (!blocks) return '#'.repeat(Math.round(clamped * width));
  const eighths = Math.round(clamped * width * 8);
  return FULL.repeat(Math.floor(eighths / 8)) + EIGHTHS[eighths % 8];
}

/** One line for each prediction, in the order given, and one for the rest where there is one. */
export function drawBars(
  canvas: Canvas,
  layout: Layout,
  predictions: readonly Prediction[],
  rest: Rest = { count: 0, probability: 0 },
): string[] {
  const width = layout.fieldWidth - PERCENT_WIDTH - 1;
  const field = (probability: number, style: (text: string) => string): string => {
    const percent = percentText(probability).padStart(PERCENT_WIDTH);
    if (width < LEAST_BAR_WIDTH) return percent;
    const drawn = bar(canvas, probability, width);
    return `${style(drawn)}${' '.repeat(width - drawn.length)} ${percent}`;
  };
  const lines = predictions.map(({ label, probability }, index) =>
    row(
      canvas,
      layout,
      label,
      field(probability, (text) => colored(canvas, text, seriesColor(index))),
      index === 0 ? (text) => bold(canvas, text) : undefined,
    ),
  );
  if (rest.count === 0) return lines;
  const others = rest.count === 1 ? '1 other' : `${rest.count} others`;
  const faintly = (text: string): string => faint(canvas, text);
  return [...lines, row(canvas, layout, others, field(rest.probability, faintly), faintly)];
}
