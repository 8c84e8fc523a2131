/** What a person sees of a classified video. */
import { bestLabels } from '../../recognize/timeline.ts';
import type { Classification } from '../../recognize/types.ts';
import { drawBars, type Rest } from './bars.ts';
import { bold, type Canvas, faint, fit } from './canvas.ts';
import { drawFrames } from './frames.ts';
import { layoutFor } from './layout.ts';
import { clipLine, textWidth } from './text-width.ts';
import { drawTimeline } from './timeline.ts';

export interface DrawingOptions {
  /** How many labels get a bar. */
  readonly top: number;
  /** Whether frames are drawn as pictures where there are colours. */
  readonly filmstrip: boolean;
}

/** Curves of more labels than this cannot be compared by eye. */
const MOST_CURVES = 3;

/** Lines of at most `canvas.columns` columns: title, bars, frames with curves and, for several windows, the timeline. */
export function drawClassification(
  canvas: Canvas,
  name: string,
  classification: Classification,
  { top, filmstrip }: DrawingOptions,
): string[] {
  const { labels, probabilities, sampled, windows } = classification;
  const shown = bestLabels(probabilities, top);
  const predictions = shown.map((index) => ({ label: labels[index] ?? '', probability: probabilities[index] ?? 0 }));
  const shownSum = predictions.reduce((sum, { probability }) => sum + probability, 0);
  const rest: Rest = {
    count: labels.length - shown.length,
    probability: Math.max(0, probabilities.reduce((sum, value) => sum + value, 0) - shownSum),
  };
  const layout = layoutFor([...predictions.map(({ label }) => label), 'similarity'], canvas);
  const curves = shown.slice(0, MOST_CURVES).map((index) => ({ label: labels[index] ?? '', index }));
  const parts = [
    [...titleLines(canvas, name, classification), ...drawBars(canvas, layout, predictions, rest)],
    drawFrames(canvas, layout, sampled, curves, filmstrip),
    windows.length > 1 ? drawTimeline(canvas, layout, classification, shown) : [],
  ];
  return parts
    .filter((lines) => lines.length > 0)
    .flatMap((lines, index) => (index === 0 ? lines : ['', ...lines]))
    .map((line) => clipLine(line, canvas.columns));
}

/** The file, how many frames it has and how long it is; on two lines where one is too narrow. */
function titleLines(canvas: Canvas, name: string, { frames, duration, windows }: Classification): string[] {
  const count = `${frames} ${frames === 1 ? 'frame' : 'frames'}, ${duration.toFixed(1)} s`;
  const facts = windows.length > 1 ? `${count}, ${windows.length} windows` : count;
  const title = fit(canvas, name, canvas.columns);
  return textWidth(title) + 2 + facts.length <= canvas.columns
    ? [`${bold(canvas, title)}  ${faint(canvas, facts)}`]
    : [bold(canvas, title), faint(canvas, facts)];
}
