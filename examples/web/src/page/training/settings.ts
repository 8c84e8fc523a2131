/** The settings of a training, with defaults that suit a handful of clips. */
import { goesOn, TRAINED_HEADS, type TrainedHeadName } from 'actionclip/browser';
import type { ModelReport } from '../../protocol.ts';
import type { TrainAsk } from '../../training-protocol.ts';
import { byId, element } from '../dom.ts';

export type Settings = Pick<TrainAsk, 'head' | 'epochs' | 'learningRate' | 'seed' | 'holdsOut'>;

/** What the heads are. */
const words: Readonly<Record<TrainedHeadName, string>> = {
  Transf: 'A transformer over the frames.',
  Transf_cls: 'A transformer over the frames, read at a class token.',
  LSTM: 'A recurrent layer over the frames.',
  Conv_1D: 'A convolution over time; it has the fewest parameters.',
};

/** Columns of features up to which a model is small, and takes larger steps. */
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

  constructor() {
    this.#head.addEventListener('change', () => this.#describe());
  }

  /** Offers what suits a model: its own head first, which goes on from what it has learnt. */
  suit({ temporal, width }: Pick<ModelReport, 'temporal' | 'width'>): void {
    const own = isHead(temporal) ? temporal : undefined;
    this.#head.replaceChildren(
      ...TRAINED_HEADS.map((head) => {
        const start = goesOn({ temporal: own ?? 'meanP' }, head) ? 'from the model’s own' : 'from random values';
        return element('option', { attributes: { value: head } }, `${head}, ${start}`);
      }),
    );
    this.#head.value = own ?? 'Transf';
    this.#rate.value = width > smallWidth ? '0.0003' : '0.003';
    this.#describe();
  }

  #describe(): void {
    const head = this.#head.value;
    this.#words.textContent = isHead(head) ? words[head] : '';
  }

  set isDisabled(isDisabled: boolean) {
    this.#fields.disabled = isDisabled;
  }

  /** What was chosen; undefined where a field holds what cannot be, which the browser then tells. */
  read(): Settings | undefined {
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
