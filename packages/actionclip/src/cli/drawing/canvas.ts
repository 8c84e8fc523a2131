/** What drawings are made on: a width in columns, with or without colours and block characters. */
import type { Terminal } from '../terminal.ts';
import { fitText, padText, printable } from './text-width.ts';

export type Canvas = Pick<Terminal, 'columns' | 'color' | 'blocks'>;

/** Red, green, blue from 0 to 255. */
export type Color = readonly [number, number, number];

/** Colours that tell series apart, on dark and on light ground. */
const SERIES: readonly Color[] = [
  [74, 144, 202],
  [214, 126, 70],
  [88, 160, 104],
  [164, 118, 196],
  [190, 160, 50],
  [70, 168, 172],
];

const ESCAPE = '\x1b[';
const RESET = `${ESCAPE}0m`;

export const seriesColor = (index: number): Color => SERIES[index % SERIES.length] ?? [128, 128, 128];

/** Colours the text, and its ground where given; nothing happens without colours. */
export function colored(canvas: Canvas, text: string, color: Color, ground?: Color): string {
  if (!canvas.color || text === '') return text;
  const codes = `38;2;${color.join(';')}${ground === undefined ? '' : `;48;2;${ground.join(';')}`}`;
  return `${ESCAPE}${codes}m${text}${RESET}`;
}

export const bold = (canvas: Canvas, text: string): string => (canvas.color ? `${ESCAPE}1m${text}${RESET}` : text);

export const faint = (canvas: Canvas, text: string): string => (canvas.color ? `${ESCAPE}2m${text}${RESET}` : text);

const ellipsisOn = ({ blocks }: Canvas): string => (blocks ? '…' : '...');

/** A text of anyone's, cut to at most `width` columns. */
export const fit = (canvas: Canvas, text: string, width: number): string =>
  fitText(printable(text), width, ellipsisOn(canvas));

/** A text of anyone's in exactly `width` columns. */
export const pad = (canvas: Canvas, text: string, width: number): string =>
  padText(printable(text), width, ellipsisOn(canvas));
