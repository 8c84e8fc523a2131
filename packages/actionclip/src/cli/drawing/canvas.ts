/** What drawings are made on: a width in columns, with or without colours and block characters. */
import type { Terminal } from '../terminal.ts';
import { fitText, padText, printable } from './text-width.ts';

export type Canvas = Pick<Terminal, 'columns' | 'color' | 'palette' | 'blocks'>;

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
  const code = canvas.palette ? paletteCode : directCode;
  const codes = `38;${code(color)}${ground === undefined ? '' : `;48;${code(ground)}`}`;
  return `${ESCAPE}${codes}m${text}${RESET}`;
}

const directCode = (color: Color): string => `2;${color.join(';')}`;

/** Levels of red, green and blue in the cube of 6 x 6 x 6 colours, which begins at 16. */
const CUBE_LEVELS = [0, 95, 135, 175, 215, 255] as const;

function paletteCode(color: Color): string {
  const place = color.reduce((index, value) => index * CUBE_LEVELS.length + nearestLevel(value), 0);
  return `5;${16 + place}`;
}

function nearestLevel(value: number): number {
  const distances = CUBE_LEVELS.map((level) => Math.abs(level - value));
  return distances.indexOf(Math.min(...distances));
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
