/** Pictures of the worker on a canvas. */
import type { Picture } from '../protocol.ts';
import { element } from './dom.ts';

/** @param words What is on it; the canvas is hidden from those who do not see it if empty. */
export function canvasOf({ width, height, pixels }: Picture, words: string): HTMLCanvasElement {
  const attributes: Readonly<Record<string, string>> =
    words === '' ? { 'aria-hidden': 'true' } : { role: 'img', 'aria-label': words };
  const canvas = element('canvas', { attributes });
  canvas.width = width;
  canvas.height = height;
  canvas.getContext('2d')?.putImageData(new ImageData(pixels, width, height), 0, 0);
  return canvas;
}
