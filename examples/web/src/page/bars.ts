/** Probabilities as bars, best first. A place keeps its bar, so that what comes many times a second moves calmly. */
import { bestLabels } from 'actionclip/browser';
import type { ScoreReport } from '../protocol.ts';
import { byId, element, labelText, percent } from './dom.ts';
import { inPortions } from './portions.ts';

/** Labels that have a bar until a person asks for all. */
const shownBars = 8;

export class Bars {
  readonly #list = byId('bars', HTMLOListElement);
  readonly #more = byId('more-bars', HTMLButtonElement);
  readonly #bars: Bar[] = [];
  #report: Pick<ScoreReport, 'labels' | 'probabilities'> | undefined;
  #showsAll = false;
  #stop = (): void => {};

  constructor() {
    this.#more.addEventListener('click', () => {
      this.#showsAll = !this.#showsAll;
      this.#draw();
    });
  }

  show(report: Pick<ScoreReport, 'labels' | 'probabilities'>): void {
    this.#report = report;
    this.#draw();
  }

  #draw(): void {
    if (this.#report === undefined) return;
    const { labels, probabilities } = this.#report;
    const ranked = bestLabels(probabilities, this.#showsAll ? labels.length : shownBars);
    for (const { item } of this.#bars.splice(ranked.length)) item.remove();
    const show = (bar: Bar, at = 0): void => bar.show(labels[at] ?? '', probabilities[at] ?? 0);
    for (const [place, bar] of this.#bars.entries()) show(bar, ranked[place]);
    this.#stop();
    this.#stop = inPortions(this.#grow(ranked.length, (bar, place) => show(bar, ranked[place])));
    this.#more.hidden = labels.length <= shownBars;
    this.#more.textContent = this.#showsAll ? `Show the best ${shownBars}` : `Show all ${labels.length}`;
    this.#more.setAttribute('aria-expanded', String(this.#showsAll));
  }

  /** Adds bars until there are so many. */
  *#grow(count: number, show: (bar: Bar, place: number) => void): Generator<void> {
    while (this.#bars.length < count) {
      const bar = new Bar();
      show(bar, this.#bars.length);
      this.#list.append(bar.item);
      this.#bars.push(bar);
      yield;
    }
  }
}

class Bar {
  readonly #label = new Text();
  readonly #value = new Text();
  readonly #fill = element('span', { class: 'bar-fill' });
  readonly item = element(
    'li',
    { class: 'bar' },
    element('span', { class: 'bar-label' }, labelText(this.#label)),
    element('span', { class: 'bar-value' }, this.#value),
    element('span', { class: 'bar-track', attributes: { 'aria-hidden': 'true' } }, this.#fill),
  );

  show(label: string, probability: number): void {
    this.#label.data = label;
    this.#value.data = percent(probability);
    this.#fill.style.setProperty('--share', String(probability));
  }
}
