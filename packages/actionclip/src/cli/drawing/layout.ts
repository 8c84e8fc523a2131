/** The columns that all parts of a drawing share: a margin, a column of labels, and the field beside it. */
import { type Canvas, pad } from './canvas.ts';
import { printable, textWidth } from './text-width.ts';

export interface Layout {
  readonly labelWidth: number;
  /** Columns of the field beside the labels. */
  readonly fieldWidth: number;
}

const MARGIN = 2;
const GAP = 2;
/** Labels take at most this part of the width. */
const LABEL_PART = 0.35;
const LEAST_LABEL_WIDTH = 4;

/** Labels get what they need, up to about a third of the width. */
export function layoutFor(labels: readonly string[], { columns }: Canvas): Layout {
  const longest = labels.reduce((width, label) => Math.max(width, textWidth(printable(label))), LEAST_LABEL_WIDTH);
  const most = Math.max(LEAST_LABEL_WIDTH, Math.floor(columns * LABEL_PART));
  const labelWidth = Math.min(longest, most);
  return { labelWidth, fieldWidth: Math.max(0, columns - MARGIN - labelWidth - GAP) };
}

/** One line: the label, and in the field what was drawn for it. */
export function row(
  canvas: Canvas,
  { labelWidth }: Layout,
  label: string,
  field: string,
  style: (text: string) => string = (text) => text,
): string {
  return `${' '.repeat(MARGIN)}${style(pad(canvas, label, labelWidth))}${' '.repeat(GAP)}${field}`.trimEnd();
}
