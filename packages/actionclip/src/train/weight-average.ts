/**
 * Averages of the trained parameters, which often classify better than the last of them: exponential over the steps
 * (Polyak and Juditsky 1992), or equal over epochs (Izmailov et al., arXiv 1803.05407). Training itself never reads them.
 */
import {
  type Captured,
  compile,
  type Optimizer,
  type StateDict,
  type Tensor,
  tensor,
  toFloat32,
} from '@actionclip/tensor';

export type Averaging =
  | { readonly kind: 'ema'; readonly decay: number }
  /** From the end of this epoch on; the first is 0. */
  | { readonly kind: 'swa'; readonly firstEpoch: number };

export class WeightAverage {
  readonly #averaging: Averaging;
  readonly #parameters: ReadonlyMap<string, Tensor>;
  #averages: ReadonlyMap<string, Tensor> | undefined;
  #move: Captured<readonly [Tensor], readonly Tensor[]> | undefined;

  constructor({ groups }: Optimizer, averaging: Averaging) {
    this.#averaging = averaging;
    this.#parameters = new Map(groups.flatMap(({ parameters }) => [...parameters]));
  }

  /** Takes the parameters in after a step; `steps` counts those done. */
  async afterStep(steps: number): Promise<void> {
    if (this.#averaging.kind === 'ema') await this.#take(1 - decayAfter(steps, this.#averaging.decay));
  }

  /** Takes the parameters in after an epoch. */
  async afterEpoch(epoch: number): Promise<void> {
    if (this.#averaging.kind !== 'swa' || epoch < this.#averaging.firstEpoch) return;
    await this.#take(1 / (epoch - this.#averaging.firstEpoch + 1));
  }

  /** Runs something on the averages in place of the parameters, where there are averages yet. */
  async during<R>(run: () => Promise<R>): Promise<R> {
    await this.exchange();
    try {
      return await run();
    } finally {
      await this.exchange();
    }
  }

  /** Lets the parameters and their averages change places, bit for bit. */
  async exchange(): Promise<void> {
    for (const [name, average] of this.#averages ?? []) {
      const parameter = this.#parameters.get(name) as Tensor;
      const [before, after] = [await parameter.data(), await average.data()];
      parameter.write(after);
      average.write(before);
    }
  }

  /** The averages by the names of the parameters; empty before the first. */
  async stateDict(): Promise<StateDict> {
    const state: StateDict = new Map();
    for (const [name, average] of this.#averages ?? []) {
      state.set(name, { dtype: 'f32', shape: average.shape, data: await average.data() });
    }
    return state;
  }

  /** Goes on from a state that `stateDict` gave; an empty one leaves everything to the first average. */
  async loadStateDict(state: StateDict): Promise<void> {
    if (state.size === 0) return;
    this.#averages = await this.#copies();
    for (const [name, average] of this.#averages) {
      const kept = state.get(name);
      if (kept !== undefined) average.write(toFloat32(kept).data);
    }
  }

  async #take(weight: number): Promise<void> {
    if (this.#averages === undefined) {
      this.#averages = await this.#copies();
      return;
    }
    this.#move ??= moving(this.#parameters, this.#averages);
    const given = tensor([weight]);
    await this.#move(given);
    given.dispose();
  }

  async #copies(): Promise<Map<string, Tensor>> {
    const copies = new Map<string, Tensor>();
    for (const [name, parameter] of this.#parameters) {
      const { shape, device } = parameter;
      copies.set(name, tensor(await parameter.data(), { shape, ...(device && { device }) }));
    }
    return copies;
  }
}

/** Early averages forget faster: where training starts is no part of its end (as TensorFlow's moving averages do). */
const decayAfter = (steps: number, decay: number): number => Math.min(decay, (1 + steps) / (10 + steps));

/** A share [1] of every parameter into its average. */
const moving = (
  parameters: ReadonlyMap<string, Tensor>,
  averages: ReadonlyMap<string, Tensor>,
): Captured<readonly [Tensor], readonly Tensor[]> =>
  compile((weight: Tensor) => {
    for (const [name, average] of averages) {
      const parameter = parameters.get(name) as Tensor;
      average.assign(average.add(parameter.sub(average).mul(weight.reshape([]))).reshape(average.shape));
    }
    return [];
  });
