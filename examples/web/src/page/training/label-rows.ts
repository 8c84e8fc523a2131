/**
 * The labels to learn, each with its clips and the ways to add some. Rows and pictures stay as long as their labels and
 * clips do, so that one more clip costs no more with many than with few.
 */
import { byId, element, labelText } from '../dom.ts';
import { canvasOf } from '../pictures.ts';
import type { Clip, Clips, LabelClips } from './clips.ts';

export interface RowEvents {
  readonly record: (label: string, times: number) => void;
  readonly files: (label: string, files: readonly File[]) => void;
  readonly removeClip: (id: number) => void;
  readonly removeLabel: (label: string) => void;
}

/** What can be done with the clips now. */
export interface RowAbilities {
  readonly mayAdd: boolean;
  /** Anything at all. */
  readonly mayChange: boolean;
}

/** Recordings that one button makes. */
const several = 5;

export class LabelRows {
  readonly #fields = byId('train-labels-fields', HTMLFieldSetElement);
  readonly #list = byId('train-labels', HTMLUListElement);
  readonly #events: RowEvents;
  readonly #rows = new Map<string, Row>();
  /** What had the focus until all was disabled. */
  #waiting: HTMLElement | undefined;

  constructor(events: RowEvents) {
    this.#events = events;
  }

  show({ labels }: Clips, { mayAdd, mayChange }: RowAbilities): void {
    const focused = this.#focused();
    const place = focused === undefined ? -1 : this.#controls().indexOf(focused);
    for (const [label, row] of this.#rows) {
      if (labels.some((one) => one.label === label)) continue;
      row.element.remove();
      this.#rows.delete(label);
    }
    for (const one of labels) this.#rowOf(one.label).show(one, mayAdd);
    this.#fields.disabled = !mayChange;
    this.#focusAgain(focused, place, mayChange);
  }

  #rowOf(label: string): Row {
    const known = this.#rows.get(label);
    if (known !== undefined) return known;
    const row = new Row(label, this.#events);
    this.#rows.set(label, row);
    this.#list.append(row.element);
    return row;
  }

  #controls(): HTMLElement[] {
    return [...this.#list.querySelectorAll<HTMLElement>('button, input')];
  }

  #focused(): HTMLElement | undefined {
    const focused = document.activeElement;
    return focused instanceof HTMLElement && this.#list.contains(focused) ? focused : undefined;
  }

  /** The focus stays where it was, through times when all is disabled, or goes to the neighbour of what is gone. */
  #focusAgain(focused: HTMLElement | undefined, place: number, mayChange: boolean): void {
    if (!mayChange) {
      this.#waiting ??= focused;
      return;
    }
    const before = focused ?? (document.activeElement === document.body ? this.#waiting : undefined);
    this.#waiting = undefined;
    if (before === undefined) return;
    const controls = this.#controls();
    (before.isConnected ? before : (controls[place] ?? controls.at(-1)))?.focus();
  }
}

class Row {
  readonly element: HTMLLIElement;
  readonly #label: string;
  readonly #events: RowEvents;
  readonly #count = element('span', { class: 'hint' });
  readonly #thumbnails: HTMLUListElement;
  readonly #shown = new Map<number, HTMLLIElement>();
  readonly #adding: readonly (HTMLButtonElement | HTMLInputElement)[];

  constructor(label: string, events: RowEvents) {
    this.#label = label;
    this.#events = events;
    const title = element('h3', {}, labelText(label));
    const record = [
      button('Record', `Record ${label}`, () => events.record(label, 1)),
      button(`Record ${several}`, `Record ${several} clips of ${label}`, () => events.record(label, several)),
    ];
    const input = element('input', {
      class: 'visually-hidden',
      attributes: {
        type: 'file',
        multiple: '',
        accept: 'video/*,image/gif,.mkv,.ts',
        'aria-label': `Files of ${label}`,
      },
    });
    input.addEventListener('change', () => {
      const files = [...(input.files ?? [])];
      input.value = '';
      if (files.length > 0) events.files(label, files);
    });
    this.#adding = [...record, input];
    this.#thumbnails = element('ul', { class: 'thumbnails', attributes: { 'aria-label': `Clips of ${label}` } });
    this.element = element(
      'li',
      { class: 'train-label' },
      element(
        'div',
        { class: 'train-label-head' },
        title,
        this.#count,
        removeButton(`Remove ${label}`, () => events.removeLabel(label)),
      ),
      element('div', { class: 'row' }, ...record, element('label', { class: 'button' }, 'Add files', input)),
      this.#thumbnails,
    );
    acceptDrops(this.element, (files) => {
      if (!input.matches(':disabled')) events.files(label, files);
    });
  }

  show({ clips }: LabelClips, mayAdd: boolean): void {
    this.#count.textContent = clips.length === 1 ? '1 clip' : `${clips.length} clips`;
    for (const control of this.#adding) control.disabled = !mayAdd;
    for (const [id, thumbnail] of this.#shown) {
      if (clips.some((clip) => clip.id === id)) continue;
      thumbnail.remove();
      this.#shown.delete(id);
    }
    for (const clip of clips) {
      if (this.#shown.has(clip.id)) continue;
      const thumbnail = this.#thumbnail(clip);
      this.#shown.set(clip.id, thumbnail);
      this.#thumbnails.append(thumbnail);
    }
  }

  #thumbnail({ id, name, frames, picture }: Clip): HTMLLIElement {
    const words = `${name}, ${frames} ${frames === 1 ? 'frame' : 'frames'}`;
    const remove = removeButton(`Remove ${name} of ${this.#label}`, () => this.#events.removeClip(id));
    const item = element('li', { class: 'thumbnail' }, canvasOf(picture, words), remove);
    item.title = words;
    return item;
  }
}

const button = (text: string, words: string, onClick: () => void): HTMLButtonElement =>
  element('button', { attributes: { type: 'button', 'aria-label': words }, onClick }, text);

const removeButton = (words: string, onClick: () => void): HTMLButtonElement =>
  element(
    'button',
    { class: 'remove', attributes: { type: 'button', 'aria-label': words }, onClick },
    element('span', {}, '×'),
  );

/** Files may be dropped on a row. */
function acceptDrops(row: HTMLElement, dropped: (files: readonly File[]) => void): void {
  row.addEventListener('dragover', (event) => {
    if (!event.dataTransfer?.types.includes('Files')) return;
    event.preventDefault();
    row.classList.add('dragging');
  });
  row.addEventListener('dragleave', ({ relatedTarget }) => {
    if (!(relatedTarget instanceof Node && row.contains(relatedTarget))) row.classList.remove('dragging');
  });
  row.addEventListener('drop', (event) => {
    event.preventDefault();
    row.classList.remove('dragging');
    const files = [...(event.dataTransfer?.files ?? [])];
    if (files.length > 0) dropped(files);
  });
}
