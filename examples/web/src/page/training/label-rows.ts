/** The labels to learn, each with its clips and the ways to add some. */
import { byId, element, labelText } from '../dom.ts';
import { canvasOf } from '../pictures.ts';
import type { Clip, Clips, LabelClips } from './clips.ts';

export interface RowEvents {
  readonly record: (label: string, times: number) => void;
  readonly files: (label: string, files: readonly File[]) => void;
  readonly removeClip: (id: number) => void;
  readonly removeLabel: (label: string) => void;
}

/** Recordings that one button makes. */
const several = 5;

export class LabelRows {
  readonly #list = byId('train-labels', HTMLUListElement);
  readonly #events: RowEvents;
  /** What had the focus until it was disabled. */
  #waiting: Focused | undefined;

  constructor(events: RowEvents) {
    this.#events = events;
  }

  /** @param mayAdd Whether clips can be added now. @param mayRemove Whether they can be removed. */
  show({ labels }: Clips, { mayAdd, mayRemove }: { readonly mayAdd: boolean; readonly mayRemove: boolean }): void {
    const focused = focusedIn(this.#list) ?? (document.activeElement === document.body ? this.#waiting : undefined);
    this.#list.replaceChildren(...labels.map((label, at) => this.#row(label, at)));
    for (const control of this.#controls()) {
      control.disabled = control.dataset.role === 'remove' ? !mayRemove : !mayAdd;
    }
    this.#focusAgain(focused);
  }

  #row({ label, clips }: LabelClips, at: number): HTMLLIElement {
    const input = element('input', {
      class: 'visually-hidden',
      attributes: { id: `train-files-${at}`, type: 'file', multiple: '', accept: 'video/*,image/gif,.mkv,.ts' },
    });
    input.addEventListener('change', () => {
      const files = [...(input.files ?? [])];
      input.value = '';
      if (files.length > 0) this.#events.files(label, files);
    });
    const row = element(
      'li',
      { class: 'train-label' },
      element(
        'div',
        { class: 'train-label-head' },
        element('h3', { attributes: { id: `train-label-${at}` } }, labelText(label)),
        element('span', { class: 'hint' }, counted(clips.length)),
        this.#button('×', `Remove ${label}`, `label ${at}`, () => this.#events.removeLabel(label), 'remove'),
      ),
      element(
        'div',
        { class: 'row', attributes: { role: 'group', 'aria-labelledby': `train-label-${at}` } },
        this.#button('Record', `Record ${label}`, `record ${at}`, () => this.#events.record(label, 1)),
        this.#button(`Record ${several}`, `Record ${several} clips of ${label}`, `several ${at}`, () =>
          this.#events.record(label, several),
        ),
        element('label', { class: 'button', attributes: { for: input.id } }, 'Add files'),
        input,
      ),
      element(
        'ul',
        { class: 'thumbnails', attributes: { 'aria-label': `Clips of ${label}` } },
        ...clips.map((clip) => this.#thumbnail(label, clip)),
      ),
    );
    acceptDrops(row, (files) => {
      if (!input.disabled) this.#events.files(label, files);
    });
    return row;
  }

  #thumbnail(label: string, { id, name, frames, picture }: Clip): HTMLLIElement {
    const words = `${name}, ${frames} ${frames === 1 ? 'frame' : 'frames'}`;
    const remove = this.#button(
      '×',
      `Remove ${name} of ${label}`,
      `clip ${id}`,
      () => this.#events.removeClip(id),
      'remove',
    );
    const item = element('li', { class: 'thumbnail' }, canvasOf(picture, words), remove);
    item.title = words;
    return item;
  }

  #button(text: string, words: string, key: string, onClick: () => void, role = 'add'): HTMLButtonElement {
    const button = element(
      'button',
      {
        class: role === 'remove' ? 'remove' : '',
        attributes: { type: 'button', 'aria-label': words },
        onClick,
      },
      role === 'remove' ? element('span', {}, text) : text,
    );
    button.dataset.key = key;
    button.dataset.role = role;
    return button;
  }

  #controls(): (HTMLButtonElement | HTMLInputElement)[] {
    return [...this.#list.querySelectorAll<HTMLButtonElement | HTMLInputElement>('button, input')];
  }

  /** Rows are made anew; the focus stays where it was, or goes to what took the place of what was removed. */
  #focusAgain(focused: Focused | undefined): void {
    this.#waiting = undefined;
    if (focused === undefined) return;
    const controls = this.#controls();
    const same = controls.find(({ dataset, id }) => (dataset.key ?? id) === focused.key);
    const near = controls.slice(0, focused.at + 1).findLast(({ disabled }) => !disabled);
    if (same?.disabled) this.#waiting = focused;
    else (same ?? near)?.focus();
  }
}

/** A control of the rows, and its place among them. */
interface Focused {
  readonly key: string;
  readonly at: number;
}

/** Which control has the focus. */
function focusedIn(list: HTMLElement): Focused | undefined {
  const focused = document.activeElement;
  if (!(focused instanceof HTMLElement) || !list.contains(focused)) return undefined;
  return { key: focused.dataset.key ?? focused.id, at: [...list.querySelectorAll('button, input')].indexOf(focused) };
}

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

const counted = (clips: number): string => (clips === 1 ? '1 clip' : `${clips} clips`);
