/** The sampled frames as a filmstrip over a table of how near each of them is to the best labels. */
import { bestLabels } from 'actionclip/browser';
import type { Picture, ScoreReport } from '../protocol.ts';
import { byId, clock, element, labelText } from './dom.ts';

/** Labels that have a row. */
const shownLabels = 5;

export class Frames {
  readonly #table = byId('frames', HTMLTableElement);
  readonly #seek: (seconds: number) => void;
  #heads: readonly HTMLTableCellElement[] = [];

  /** @param seek Shows a moment of the video. */
  constructor(seek: (seconds: number) => void) {
    this.#seek = seek;
  }

  /** Shows the frames of a video, before there are scores. */
  film(pictures: readonly Picture[]): void {
    this.#heads = pictures.map((picture) => this.#head(picture));
    this.#draw([]);
  }

  score({ labels, probabilities, similarities }: ScoreReport): void {
    const ranked = bestLabels(probabilities, shownLabels);
    const shown = similarities.flatMap((row) => ranked.map((at) => row[at] ?? 0));
    const [least, most] = [Math.min(...shown), Math.max(...shown)];
    const share = (value: number): number => (most > least ? (value - least) / (most - least) : 0);
    this.#draw(
      ranked.map((at) =>
        element(
          'tr',
          {},
          element('th', { attributes: { scope: 'row' } }, labelText(labels[at] ?? '')),
          ...similarities.map((row) => cell(row[at] ?? 0, share(row[at] ?? 0))),
        ),
      ),
    );
  }

  #draw(rows: readonly HTMLTableRowElement[]): void {
    const corner = element('th', { attributes: { scope: 'col' } }, 'Frame');
    const head = element('thead', {}, element('tr', {}, corner, ...this.#heads));
    this.#table.replaceChildren(head, element('tbody', {}, ...rows));
  }

  #head({ time, width, height, pixels }: Picture): HTMLTableCellElement {
    const canvas = element('canvas', { attributes: { 'aria-hidden': 'true' } });
    canvas.width = width;
    canvas.height = height;
    canvas.getContext('2d')?.putImageData(new ImageData(pixels, width, height), 0, 0);
    const moment = clock(time);
    const button = element(
      'button',
      {
        class: 'frame',
        attributes: { type: 'button', 'aria-label': `Frame at ${moment}` },
        onClick: () => this.#seek(time),
      },
      canvas,
      element('span', {}, moment),
    );
    return element('th', { attributes: { scope: 'col' } }, button);
  }
}

/** Two digits and a true minus; a zero has no sign. */
const rounded = (value: number): string =>
  value
    .toFixed(2)
    .replace(/^-(0\.00)$/, '$1')
    .replace('-', '−');

function cell(value: number, share: number): HTMLTableCellElement {
  const made = element('td', {}, rounded(value));
  made.style.setProperty('--share', share.toFixed(3));
  return made;
}
