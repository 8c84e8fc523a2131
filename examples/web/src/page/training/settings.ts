/** The settings of a training, with defaults that suit a handful of clips. */
import { TRAINED_HEADS, type TrainedHeadName } from 'actionclip/browser';
import type { ModelReport } from '../../protocol.ts';
import type { TrainAsk } from '../../training-protocol.ts';
import { byId, element } from '../dom.ts';

export type Settings = Pick<TrainAsk, 'head' | 'epochs' | 'learningRate' | 'seed' | 'holdsOut'>;

/**
 * What the heads are, and their rates, as values of the menu: those by which the small model learns new words for drawn
 * actions in a hundred epochs, and a tenth of them for wide models.
 */
const heads: Readonly<Record<TrainedHeadName, { words: string; small: string; wide: string }>> = {
  Transf: { words: 'A transformer over the frames.', small: '0.003', wide: '0.0003' },
  Transf_cls: { words: 'A transformer over the frames, read at a class token.', small: '0.003', wide: '0.0003' },
  LSTM: { words: 'A recurrent layer over the frames.', small: '0.01', wide: '0.001' },
  Conv_1D: { words: 'A convolution over time; it has the fewest parameters.', small: '0.1', wide: '0.01' },
};

/** Columns of features up to which a model is small. */
const smallWidth = 128;

const isHead = (name: string): name is TrainedHeadName => TRAINED_HEADS.some((head) => head === name);

export class TrainingSettings {
  readonly #fields = byId('train-settings', HTMLFieldSetElement);
  readonly #head = byId('train-head', HTMLSelectElement);
  readonly #words = byId('train-head-words', HTMLElement);
  readonly #epochs = byId('train-epochs', HTMLInputElement);
  readonly #rate = byId('train-rate', HTMLSelectElement);
  readonly #seed = byId('train-seed', HTMLInputElement);
  readonly #aside = byId('train-aside', HTMLInputElement);
  readonly #more = byId('train-more', HTMLDetailsElement);
  #isSmall = true;

  constructor() {
    this.#head.addEventListener('change', () => this.#suitHead());
  }

  /** Offers what suits a model: its own head first, which goes on from what it has learnt. */
  suit({ temporal, width }: Pick<ModelReport, 'temporal' | 'width'>): void {
    const own = isHead(temporal) ? temporal : undefined;
    this.#head.replaceChildren(
      ...TRAINED_HEADS.map((head) => {
        const start = head === own ? 'from the model’s own' : 'from random values';
        return element('option', { attributes: { value: head } }, `${head}, ${start}`);
      }),
    );
    this.#head.value = own ?? 'Transf';
    this.#isSmall = width <= smallWidth;
    this.#suitHead();
  }

  #suitHead(): void {
    const head = this.#head.value;
    if (!isHead(head)) return;
    const { words, small, wide } = heads[head];
    this.#words.textContent = words;
    this.#rate.value = this.#isSmall ? small : wide;
  }

  set isDisabled(isDisabled: boolean) {
    this.#fields.disabled = isDisabled;
  }

  /** What was chosen; undefined where a field holds what cannot be, which the browser then tells. */
  read(): Settings | undefined {
    if (!this.#seed.checkValidity()) this.#more.open = true;
    const invalid = [this.#epochs, this.#seed].find((input) => !input.reportValidity());
    const head = this.#head.value;
    if (invalid !== undefined || !isHead(head)) return undefined;
    return {
      head,
      epochs: this.#epochs.valueAsNumber,
      learningRate: Number(this.#rate.value),
      seed: this.#seed.valueAsNumber,
      holdsOut: this.#aside.checked,
    };
  }
}
