/** What a trained model sees in the single frames of a clip: their similarity to labels, and where attention lies. */
import { type Captured, compile, type Tensor, tensor } from '@actionclip/tensor';
import { unit } from '@actionclip/transformer';
import { evaluateRows, type PromptFeatures } from '../evaluate/features.ts';
import { type ActionCLIP, normalized } from '../model/action-clip.ts';
import { labelFeature } from '../recognize/score.ts';
import { classAttention } from '../report/class-attention.ts';

export interface ClipInsight {
  /** Weights of the patches for each frame. */
  readonly attention: readonly Float32Array[];
  /** The cosine of each frame with a label, the mean over its prompts. */
  similarities(label: number): number[];
}

/** For models whose image tower sees each frame by itself. */
export class ClipInsights {
  readonly #model: ActionCLIP;
  readonly #prompts: PromptFeatures;
  readonly #features: Captured<[Tensor], Tensor>;
  readonly #attention: Captured<[Tensor], Tensor>;

  constructor(model: ActionCLIP, prompts: PromptFeatures) {
    this.#model = model;
    this.#prompts = prompts;
    this.#features = compile((frames: Tensor) => unit(model.encodeImages(frames)));
    this.#attention = compile((frames: Tensor) => classAttention(model.clip.visual, normalized(frames)));
  }

  /** @param planes The frames of a clip, [count, 3, side, side]. */
  async of(planes: Uint8Array, count: number, side: number): Promise<ClipInsight> {
    const input = (): Tensor => tensor(planes, { shape: [count, 3, side, side] });
    const features = rowsOf(await evaluateRows(this.#model, this.#features, input()), count);
    const attention = rowsOf(await evaluateRows(this.#model, this.#attention, input()), count);
    return {
      attention,
      similarities: (label) => {
        const text = labelFeature(this.#prompts, label);
        return features.map((row) => row.reduce((sum, value, i) => sum + value * (text[i] ?? 0), 0));
      },
    };
  }

  /** Gives back all that the programs keep on the device. */
  async close(): Promise<void> {
    await this.#features.dispose();
    await this.#attention.dispose();
  }
}

/** As many rows of equal length. */
const rowsOf = (values: Float32Array, count: number): Float32Array[] =>
  Array.from({ length: count }, (_, row) =>
    values.subarray((row * values.length) / count, ((row + 1) * values.length) / count),
  );
