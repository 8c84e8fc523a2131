/** The labels as chips: typed, pasted as a list, taken from a preset, and removed with the mouse or the keyboard. */
import { cleanLabels, type LongLabel } from 'actionclip/browser';
import { byId, element, labelText } from './dom.ts';
import { inPortions } from './portions.ts';

/** Chips that are shown of a long list until a person asks for all. */
const shownChips = 12;

/** The labels of a text: one on a line, or several with commas or semicolons between. */
export const labelsIn = (text: string): string[] =>
  text
    .split(/[\n\r,;]+/)
    .map((label) => label.trim())
    .filter((label) => label !== '');

export class LabelEditor {
  readonly #changed: (labels: readonly string[]) => void;
  readonly #list = byId('chips', HTMLUListElement);
  readonly #input = byId('label-input', HTMLInputElement);
  readonly #count = byId('label-count', HTMLElement);
  readonly #more = byId('more-chips', HTMLButtonElement);
  readonly #clear = byId('clear-labels', HTMLButtonElement);
  readonly #note = byId('label-note', HTMLElement);
  /** By label. */
  readonly #chips = new Map<string, HTMLLIElement>();
  #stop = (): void => {};
  #labels: readonly string[] = [];
  #leftOut: ReadonlyMap<string, LongLabel> = new Map();
  #showsAll = false;

  /** @param changed Told of every change that a person makes. */
  constructor(changed: (labels: readonly string[]) => void) {
    this.#changed = changed;
    byId('label-form', HTMLFormElement).addEventListener('submit', (event) => {
      event.preventDefault();
      this.#addTyped();
    });
    this.#input.addEventListener('paste', (event) => {
      const pasted = labelsIn(event.clipboardData?.getData('text') ?? '');
      if (pasted.length < 2) return;
      event.preventDefault();
      this.#add(pasted);
    });
    this.#input.addEventListener('keydown', (event) => {
      if (event.key === ',' || event.key === ';') {
        event.preventDefault();
        this.#addTyped();
      } else if (event.key === 'Backspace' && this.#input.value === '' && this.#labels.length > 0) {
        this.#change(this.#labels.slice(0, -1));
      }
    });
    this.#list.addEventListener('keydown', (event) => this.#moveFocus(event));
    this.#more.addEventListener('click', () => {
      this.#showsAll = !this.#showsAll;
      this.#draw();
    });
    this.#clear.addEventListener('click', () => {
      this.#change([]);
      this.#input.focus();
    });
    this.#draw();
  }

  get labels(): readonly string[] {
    return this.#labels;
  }

  /** Whether the model takes none of those that are there. */
  get allLeftOut(): boolean {
    return this.#labels.length > 0 && this.#labels.every((label) => this.#leftOut.has(label));
  }

  /** Puts other labels in the place of all. */
  replace(labels: readonly string[]): void {
    this.#showsAll = false;
    this.#change(unique(labels));
  }

  /** Marks those that the model cannot take. */
  leaveOut(tooLong: readonly LongLabel[]): void {
    if (tooLong.length === 0 && this.#leftOut.size === 0) return;
    const marked = [...this.#leftOut.keys(), ...tooLong.map(({ label }) => label)];
    this.#leftOut = new Map(tooLong.map((long) => [long.label, long]));
    this.#drop(marked);
    this.#draw();
  }

  #addTyped(): void {
    this.#add(labelsIn(this.#input.value));
    this.#input.value = '';
  }

  #add(labels: readonly string[]): void {
    if (labels.length > 0) this.#change(unique([...this.#labels, ...cleanLabels(labels).labels]));
  }

  #remove(removed: string): void {
    this.#change(this.#labels.filter((label) => label !== removed));
  }

  #change(labels: readonly string[]): void {
    this.#labels = labels;
    this.#draw();
    this.#changed(labels);
  }

  #draw(): void {
    const { length } = this.#labels;
    const shown = this.#shown();
    const isShown = new Set(shown);
    this.#drop([...this.#chips.keys()].filter((label) => !isShown.has(label)));
    this.#stop();
    this.#stop = inPortions(this.#place(shown));
    this.#list.classList.toggle('all', this.#showsAll);
    this.#more.hidden = length <= shownChips;
    this.#more.textContent = this.#showsAll ? 'Show fewer' : `Show all ${length}`;
    this.#more.setAttribute('aria-expanded', String(this.#showsAll));
    this.#clear.hidden = length === 0;
    this.#count.textContent = length === 1 ? '1 label' : `${length} labels`;
    const leftOut = this.#labels.filter((label) => this.#leftOut.has(label)).length;
    this.#note.textContent = leftOut === 0 ? '' : leftOutNote(leftOut, length);
  }

  /** Takes chips away. */
  #drop(labels: readonly string[]): void {
    for (const label of labels) {
      this.#chips.get(label)?.remove();
      this.#chips.delete(label);
    }
  }

  /** Brings the chips into the order of their labels, and makes those that are absent. */
  *#place(labels: readonly string[]): Generator<void> {
    for (const [at, label] of labels.entries()) {
      const there = this.#chips.get(label);
      const chip = there ?? this.#chip(label);
      const next = this.#list.children.item(at);
      if (next !== chip) this.#list.insertBefore(chip, next);
      this.#chips.set(label, chip);
      if (there === undefined) yield;
    }
  }

  /** Those with a chip: of a long list the first, before which come those that the model cannot take. */
  #shown(): readonly string[] {
    if (this.#showsAll || this.#labels.length <= shownChips) return this.#labels;
    const leftOut = this.#labels.filter((label) => this.#leftOut.has(label));
    return [...new Set([...leftOut, ...this.#labels])].slice(0, shownChips);
  }

  #chip(label: string): HTMLLIElement {
    const remove = element('button', {
      class: 'chip-remove',
      attributes: { type: 'button', 'aria-label': `Remove ${label}` },
      onClick: () => this.#removeFocused(label, remove),
    });
    const long = this.#leftOut.get(label);
    const reason = long === undefined ? [] : [element('span', { class: 'chip-reason' }, reasonOf(long))];
    const chip = element('li', { class: 'chip' }, element('span', {}, labelText(label)), ...reason, remove);
    chip.classList.toggle('left-out', long !== undefined);
    return chip;
  }

  /** Delete and Backspace remove the chip in focus, the arrows go to its neighbours. */
  #moveFocus(event: KeyboardEvent): void {
    const focused = document.activeElement;
    const at = focused instanceof HTMLButtonElement ? this.#buttons().indexOf(focused) : -1;
    if (at < 0) return;
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (event.key === 'Delete' || event.key === 'Backspace') this.#buttons()[at]?.click();
    else if (step !== undefined) this.#buttons()[at + step]?.focus();
    else return;
    event.preventDefault();
  }

  /** Removes a chip; the focus goes to the one that takes its place. */
  #removeFocused(label: string, button: HTMLButtonElement): void {
    const at = this.#buttons().indexOf(button);
    this.#remove(label);
    const buttons = this.#buttons();
    (buttons[at] ?? buttons.at(-1) ?? this.#input).focus();
  }

  #buttons(): HTMLButtonElement[] {
    return [...this.#list.querySelectorAll('button')];
  }
}

/** Why a label is left out. */
export const reasonOf = ({ tokens, context }: LongLabel): string =>
  `too long for this model: ${tokens} of ${context} tokens with its prompts`;

const leftOutNote = (count: number, all: number): string =>
  `${count} of ${all} ${all === 1 ? 'label' : 'labels'} left out: too long for this model`;

/** Each label once, whatever its case. */
function unique(labels: readonly string[]): string[] {
  const seen = new Map<string, string>();
  for (const label of labels) {
    const key = label.toLowerCase();
    if (!seen.has(key)) seen.set(key, label);
  }
  return [...seen.values()];
}
