/** The loss and the share of clips that are right, drawn while a training goes on, with the same in words. */
import type { Accuracy, TrainingProgress } from '../../training-protocol.ts';
import { byId, drawn, element } from '../dom.ts';
import { binned, type Point, roundAbove } from './curve.ts';

/** Points of a curve: more would not be seen. */
const columns = 240;

interface Series {
  readonly name: string;
  /** Its colour, from 1. */
  readonly colour: number;
  readonly points: readonly Point[];
}

interface Plot {
  readonly title: string;
  /** The value at the top. */
  readonly top: number;
  readonly written: (value: number) => string;
  readonly series: readonly Series[];
}

const loss = (value: number): string => value.toFixed(value < 0.095 ? 3 : 2);
/** Shares of few clips: whole percents. */
const share = (value: number): string => `${Math.round(100 * value)} %`;

export class Curves {
  readonly #section = byId('curves-section', HTMLElement);
  readonly #place = byId('curves', HTMLElement);
  #epochs = 1;
  #losses: Point[] = [];
  #learnt: Point[] = [];
  #heldOut: Point[] = [];
  #isDue = false;

  /** Begins a training of so many epochs. */
  start(epochs: number): void {
    this.#epochs = epochs;
    [this.#losses, this.#learnt, this.#heldOut] = [[], [], []];
    this.#draw();
    this.#section.hidden = false;
  }

  hide(): void {
    this.#section.hidden = true;
  }

  add({ epochs, loss: value, accuracy }: TrainingProgress): void {
    this.#losses.push([epochs, value]);
    if (accuracy !== undefined) this.#addAccuracy(epochs, accuracy);
    // Steps may be faster than the screen.
    if (this.#isDue) return;
    this.#isDue = true;
    requestAnimationFrame(() => {
      this.#isDue = false;
      this.#draw();
    });
  }

  /** What came of it in words, for those who do not see the curves. */
  get summary(): string {
    const [first, last] = [this.#losses[0]?.[1], this.#losses.at(-1)?.[1]];
    if (first === undefined || last === undefined) return 'No step is done yet.';
    return `The loss went from ${loss(first)} to ${loss(last)}.`;
  }

  #addAccuracy(epochs: number, { learnt, heldOut }: Accuracy): void {
    this.#learnt.push([epochs, learnt]);
    if (heldOut !== undefined) this.#heldOut.push([epochs, heldOut]);
  }

  #draw(): void {
    const highest = Math.max(0, ...this.#losses.map(([, value]) => value));
    const plots: readonly Plot[] = [
      {
        title: 'Loss',
        top: roundAbove(highest),
        written: loss,
        series: [{ name: 'loss', colour: 1, points: binned(this.#losses, this.#epochs, columns) }],
      },
      {
        title: 'Clips recognised',
        top: 1,
        written: share,
        series: [
          { name: 'learnt from', colour: 3, points: this.#learnt },
          { name: 'kept aside', colour: 2, points: this.#heldOut },
        ],
      },
    ];
    this.#place.replaceChildren(...plots.map((plot) => figure(plot, this.#epochs)));
  }
}

function figure({ title, top, written, series }: Plot, epochs: number): HTMLElement {
  const shown = series.filter(({ points }) => points.length > 0);
  const latest = shown.map(({ name, points }) => ({ name, value: written(points.at(-1)?.[1] ?? 0) }));
  const words = latest.map(({ name, value }) => (shown.length > 1 ? `${name} ${value}` : value)).join(', ');
  const svg = drawn(
    'svg',
    {
      viewBox: '0 0 100 100',
      preserveAspectRatio: 'none',
      role: 'img',
      'aria-label': `${title}: ${words || 'none yet'}`,
    },
    ...[0, 50, 100].map((y) => drawn('line', { x1: 0, x2: 100, y1: y, y2: y, class: 'grid' })),
    ...shown.map(({ colour, points }) => curve(points, { epochs, top, colour })),
  );
  return element(
    'figure',
    { class: 'curve' },
    element(
      'figcaption',
      {},
      element('span', {}, title),
      ...shown.map(({ name, colour }, at) =>
        element(
          'span',
          { class: `curve-value series-${colour}` },
          element('strong', {}, latest[at]?.value ?? ''),
          series.length > 1 ? ` ${name}` : '',
        ),
      ),
    ),
    element(
      'div',
      { class: 'curve-plot' },
      element('span', { class: 'curve-top', attributes: { 'aria-hidden': 'true' } }, written(top)),
      element('div', { class: 'curve-area' }, svg),
      element(
        'div',
        { class: 'time-scale', attributes: { 'aria-hidden': 'true' } },
        element('span', {}, '0'),
        element('span', {}, `${epochs} epochs`),
      ),
    ),
  );
}

interface Scale {
  readonly epochs: number;
  readonly top: number;
  readonly colour: number;
}

/** One point is drawn as a short line, which a lone point would not be. */
function curve(points: readonly Point[], { epochs, top, colour }: Scale): SVGElement {
  const first = points[0];
  const all = points.length === 1 && first !== undefined ? [[0, first[1]] as const, first] : points;
  const written = all.map(([x, y]) => `${((100 * x) / epochs).toFixed(2)},${(100 - (100 * y) / top).toFixed(2)}`);
  return drawn('polyline', { points: written.join(' '), class: `series-${colour}` });
}

/** The accuracy in words. */
export function accuracyWords({ learnt, heldOut }: Accuracy): string {
  const own = `${share(learnt)} of the clips that it learnt from`;
  return heldOut === undefined ? own : `${share(heldOut)} of the clips kept aside and ${own}`;
}
