/**
 * Frames as a filmstrip over a table of how near each of them is to the best labels. Columns and rows stay as long as
 * there are as many, so that a live filmstrip only changes pictures and numbers.
 */
import { bestLabels } from 'actionclip/browser';
import type { Picture, ScoreReport } from '../protocol.ts';
import { byId, clock, element, labelText } from './dom.ts';

/** Labels that have a row. */
const shownLabels = 5;

export class Frames {
  readonly #seek: (seconds: number) => void;
  readonly #scroll = byId('frames-scroll', HTMLElement);
  readonly #head = element('tr', {}, element('th', { attributes: { scope: 'col' } }, 'Frame'));
  readonly #body = element('tbody');
  #columns: readonly Column[] = [];
  readonly #rows: Row[] = [];

  /** @param seek Shows a moment of the video. */
  constructor(seek: (seconds: number) => void) {
    this.#seek = seek;
    byId('frames', HTMLTableElement).replaceChildren(element('thead', {}, this.#head), this.#body);
  }

  /** Shows the frames of a video, before there are scores. */
  film(pictures: readonly Picture[]): void {
    this.#fit(pictures.map(({ time }) => new Column(clock(time), () => this.#seek(time))));
    for (const [at, picture] of pictures.entries()) this.#columns[at]?.draw(picture);
    this.#removeRows(0);
  }

  /**
   * Shows frames that pass by, the newest last: they have no moment to go to.
   * @param seconds That they span in even steps.
   */
  filmLive(pictures: readonly Picture[], seconds: number): void {
    const { length } = pictures;
    if (this.#columns.length !== length || this.#columns.some(({ canSeek }) => canSeek)) {
      this.#fit(pictures.map(() => new Column('')));
      this.#removeRows(0);
    }
    for (const [at, picture] of pictures.entries()) {
      this.#columns[at]?.draw(picture);
      this.#columns[at]?.tell(at === length - 1 ? 'now' : ago((seconds * (length - 1 - at)) / length));
    }
  }

  score({ labels, probabilities, similarities }: Pick<ScoreReport, 'labels' | 'probabilities' | 'similarities'>): void {
    const ranked = bestLabels(probabilities, shownLabels);
    const shown = similarities.flatMap((row) => ranked.map((at) => row[at] ?? 0));
    const [least, most] = [Math.min(...shown), Math.max(...shown)];
    const share = (value: number): number => (most > least ? (value - least) / (most - least) : 0);
    if (this.#rows[0]?.cells.length !== similarities.length) this.#removeRows(0);
    this.#removeRows(ranked.length);
    while (this.#rows.length < ranked.length) this.#addRow(similarities.length);
    for (const [place, at] of ranked.entries()) {
      const row = this.#rows[place];
      if (row === undefined) continue;
      row.label.data = labels[at] ?? '';
      for (const [frame, cell] of row.cells.entries()) {
        const value = similarities[frame]?.[at] ?? 0;
        cell.show(value, share(value));
      }
    }
  }

  #fit(columns: readonly Column[]): void {
    // What is too wide is scrolled by the keyboard too: from button to button, or by itself.
    this.#scroll.tabIndex = columns.some(({ canSeek }) => canSeek) ? -1 : 0;
    for (const { cell } of this.#columns) cell.remove();
    this.#columns = columns;
    this.#head.append(...columns.map(({ cell }) => cell));
  }

  #addRow(cells: number): void {
    const row = new Row(cells);
    this.#rows.push(row);
    this.#body.append(row.row);
  }

  #removeRows(from: number): void {
    for (const { row } of this.#rows.splice(from)) row.remove();
  }
}

/** A frame at the head of the table. */
class Column {
  readonly #canvas = element('canvas', { attributes: { 'aria-hidden': 'true' } });
  readonly canSeek: boolean;
  readonly #moment: Text;
  readonly cell: HTMLTableCellElement;

  /** @param seek Shows the frame's moment; absent where there is none to show. */
  constructor(moment: string, seek?: () => void) {
    this.canSeek = seek !== undefined;
    this.#moment = new Text(moment);
    const content = [this.#canvas, element('span', {}, this.#moment)];
    const frame =
      seek === undefined
        ? element('div', { class: 'frame' }, ...content)
        : element(
            'button',
            { class: 'frame', attributes: { type: 'button', 'aria-label': `Frame at ${moment}` }, onClick: seek },
            ...content,
          );
    this.cell = element('th', { attributes: { scope: 'col' } }, frame);
  }

  tell(moment: string): void {
    if (this.#moment.data !== moment) this.#moment.data = moment;
  }

  draw({ width, height, pixels }: Picture): void {
    // A canvas that is given a size is cleared and allocated again, be it the same size.
    if (this.#canvas.width !== width) this.#canvas.width = width;
    if (this.#canvas.height !== height) this.#canvas.height = height;
    this.#canvas.getContext('2d')?.putImageData(new ImageData(pixels, width, height), 0, 0);
  }
}

class Row {
  readonly label = new Text();
  readonly cells: readonly Cell[];
  readonly row: HTMLTableRowElement;

  constructor(cells: number) {
    this.cells = Array.from({ length: cells }, () => new Cell());
    const head = element('th', { attributes: { scope: 'row' } }, labelText(this.label));
    this.row = element('tr', {}, head, ...this.cells.map(({ cell }) => cell));
  }
}

/** How near a frame is to a label. */
class Cell {
  readonly #value = new Text();
  readonly cell = element('td', {}, this.#value);

  show(value: number, share: number): void {
    this.#value.data = rounded(value);
    this.cell.style.setProperty('--share', share.toFixed(3));
  }
}

/** Two digits and a true minus; a zero has no sign. */
const rounded = (value: number): string =>
  value
    .toFixed(2)
    .replace(/^-(0\.00)$/, '$1')
    .replace('-', '−');

const ago = (seconds: number): string => `${seconds.toFixed(1)} s ago`;
