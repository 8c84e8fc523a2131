/** What came of a training: how each clip is recognised now, and what to do with the model. */
import type { TrainReport } from '../../training-protocol.ts';
import { byId, drawn, element, labelText, percent } from '../dom.ts';
import { canvasOf } from '../pictures.ts';
import type { Example } from './clips.ts';
import { accuracyWords } from './curves.ts';

export interface Trained {
  readonly report: TrainReport;
  readonly labels: readonly string[];
  readonly examples: readonly Example[];
  /** Epochs that were asked for. */
  readonly epochs: number;
}

/** The name of the file that is downloaded. */
export const trainedFile = 'trained-head.safetensors';

/** Clips that have a row until a person asks for all. */
const shownRows = 10;

export class TrainedPanel {
  readonly #section = byId('trained-section', HTMLElement);
  readonly #summary = byId('trained-summary', HTMLElement);
  readonly #table = byId('trained-clips', HTMLTableElement);
  readonly #more = byId('more-trained', HTMLButtonElement);
  #rows: readonly Recognised[] = [];
  #labels: readonly string[] = [];
  #showsAll = false;
  #address: string | undefined;

  /** @param use Hands the model to recognition. @param downloaded Told when a person takes the file. */
  constructor(use: () => void, downloaded: () => void) {
    byId('use-trained', HTMLButtonElement).addEventListener('click', use);
    byId('download-trained', HTMLButtonElement).addEventListener('click', () => {
      if (this.#address === undefined) return;
      element('a', { attributes: { href: this.#address, download: trainedFile } }).click();
      downloaded();
    });
    this.#more.addEventListener('click', () => {
      this.#showsAll = !this.#showsAll;
      this.#draw();
    });
  }

  show({ report, labels, examples, epochs }: Trained): void {
    this.hide();
    this.#address = URL.createObjectURL(report.file);
    const seconds = (report.milliseconds / 1000).toFixed(1);
    const stopped = report.epochs < epochs ? `Stopped after ${report.epochs} of ${epochs} epochs` : `${epochs} epochs`;
    this.#summary.textContent = `It recognises ${accuracyWords(report.accuracy)}. ${stopped}, ${seconds} s.`;
    const rows = examples.map((example, at) => ({ example, trained: report.clips[at] }));
    // Those that are wrong are what a person looks for.
    const isWrong = ({ example, trained }: (typeof rows)[number]): boolean => trained?.best !== example.label;
    this.#rows = [...rows].sort((a, b) => Number(isWrong(b)) - Number(isWrong(a)));
    this.#labels = labels;
    this.#showsAll = false;
    this.#draw();
    this.#section.hidden = false;
  }

  #draw(): void {
    const { length } = this.#rows;
    const shown = this.#rows.slice(0, this.#showsAll ? length : shownRows);
    const head = ['Clip', 'Recognised as'].map((text) => element('th', { attributes: { scope: 'col' } }, text));
    this.#table.replaceChildren(
      element('thead', {}, element('tr', {}, ...head)),
      element('tbody', {}, ...shown.map((one) => row(one, this.#labels))),
    );
    this.#more.hidden = length <= shownRows;
    this.#more.textContent = this.#showsAll ? 'Show fewer' : `Show all ${length}`;
    this.#more.setAttribute('aria-expanded', String(this.#showsAll));
  }

  hide(): void {
    this.#section.hidden = true;
    if (this.#address !== undefined) URL.revokeObjectURL(this.#address);
    this.#address = undefined;
  }
}

interface Recognised {
  readonly example: Example;
  readonly trained: TrainReport['clips'][number] | undefined;
}

function row({ example, trained }: Recognised, labels: readonly string[]): HTMLTableRowElement {
  const { label, clip } = example;
  const { name, picture } = clip;
  const { best = -1, probability = 0, isHeldOut = false } = trained ?? {};
  const isRight = best === label;
  return element(
    'tr',
    {},
    element(
      'td',
      {},
      element(
        'div',
        { class: 'trained-clip' },
        canvasOf(picture, ''),
        labelText(labels[label] ?? ''),
        element('span', { class: 'hint' }, name),
      ),
    ),
    element(
      'td',
      { class: isRight ? 'right' : 'wrong' },
      mark(isRight),
      labelText(labels[best] ?? ''),
      ' ',
      element('span', { class: 'hint' }, `${percent(probability)}${isHeldOut ? ', kept aside' : ''}`),
    ),
  );
}

/** A tick, or a cross. */
const mark = (isRight: boolean): SVGElement =>
  drawn(
    'svg',
    { viewBox: '0 0 12 12', class: 'mark', role: 'img', 'aria-label': isRight ? 'right:' : 'wrong:' },
    drawn('path', { d: isRight ? 'M1.5 6.5 4.5 9.5 10.5 2.5' : 'M2 2 10 10M10 2 2 10' }),
  );
