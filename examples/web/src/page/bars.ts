/** Probabilities as bars, best first. */
import { bestLabels } from 'actionclip/browser';
import type { ScoreReport } from '../protocol.ts';
import { byId, element, labelText, percent } from './dom.ts';

/** Labels that have a bar until a person asks for all. */
const shownBars = 8;

export class Bars {
  readonly #list = byId('bars', HTMLOListElement);
  readonly #more = byId('more-bars', HTMLButtonElement);
  #report: ScoreReport | undefined;
  #showsAll = false;

  constructor() {
    this.#more.addEventListener('click', () => {
      this.#showsAll = !this.#showsAll;
      this.#draw();
    });
  }

  show(report: ScoreReport): void {
    this.#report = report;
    this.#draw();
  }

  #draw(): void {
    if (this.#report === undefined) return;
    const { labels, probabilities } = this.#report;
    const ranked = bestLabels(probabilities, this.#showsAll ? labels.length : shownBars);
    this.#list.replaceChildren(...ranked.map((at) => bar(labels[at] ?? '', probabilities[at] ?? 0)));
    this.#more.hidden = labels.length <= shownBars;
    this.#more.textContent = this.#showsAll ? `Show the best ${shownBars}` : `Show all ${labels.length}`;
    this.#more.setAttribute('aria-expanded', String(this.#showsAll));
  }
}

function bar(label: string, probability: number): HTMLLIElement {
  const fill = element('span', { class: 'bar-fill' });
  fill.style.setProperty('--share', String(probability));
  return element(
    'li',
    { class: 'bar' },
    element('span', { class: 'bar-label' }, labelText(label)),
    element('span', { class: 'bar-value' }, percent(probability)),
    element('span', { class: 'bar-track', attributes: { 'aria-hidden': 'true' } }, fill),
  );
}
