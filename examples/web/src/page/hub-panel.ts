/** Weights by their names on the hub, and those that this browser keeps. */
import { canKeep, type KeptWeights, listKept, removeKept } from '../kept-weights.ts';
import type { WeightsChoice } from '../protocol.ts';
import { byId, element, megabytes } from './dom.ts';

export class HubPanel {
  readonly #chosen: (choice: WeightsChoice) => void;
  readonly #failed: (problem: string) => void;
  readonly #name = byId('hub-name', HTMLInputElement);
  readonly #list = byId('kept-weights', HTMLUListElement);

  constructor(chosen: (choice: WeightsChoice) => void, failed: (problem: string) => void) {
    this.#chosen = chosen;
    this.#failed = failed;
    byId('hub-form', HTMLFormElement).addEventListener('submit', (event) => {
      event.preventDefault();
      const name = nameIn(this.#name.value);
      if (name !== '') this.#chosen({ name, hub: name });
    });
    void this.showKept();
  }

  /** Shows what is kept, with its size, for choosing and removing. */
  async showKept(): Promise<void> {
    const kept = canKeep() ? await listKept().catch(() => []) : [];
    this.#list.replaceChildren(...kept.map((weights) => this.#row(weights)));
    this.#list.hidden = kept.length === 0;
  }

  #row({ name, files }: KeptWeights): HTMLLIElement {
    const open = element('button', {
      class: 'quiet kept-name',
      attributes: { type: 'button' },
      onClick: () => this.#chosen({ name, hub: name }),
    });
    open.textContent = name;
    const remove = element('button', {
      class: 'quiet',
      attributes: { type: 'button', 'aria-label': `Remove ${name} from this browser` },
      onClick: () => void this.#remove(name),
    });
    remove.textContent = 'Remove';
    const size = files.reduce((sum, file) => sum + file.size, 0);
    return element('li', {}, open, element('span', { class: 'hint' }, megabytes(size)), remove);
  }

  async #remove(name: string): Promise<void> {
    try {
      await removeKept(name);
    } catch (error) {
      this.#failed(`${name} cannot be removed (${error instanceof Error ? error.message : String(error)})`);
    }
    await this.showKept();
    this.#name.focus();
  }
}

/** The name in what was typed or pasted, which may be the address of its page. */
const nameIn = (text: string): string =>
  text
    .trim()
    .replace(/^(?:hub:|https:\/\/(?:www\.)?huggingface\.co\/)/, '')
    .replace(/\/+$/, '');
