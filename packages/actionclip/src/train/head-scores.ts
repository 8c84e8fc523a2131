/** What a model in training makes of clips whose frames are features: probabilities, and how many are right. Runs in browsers. */
import { type Captured, compile, type Tensor, tensor } from '@actionclip/tensor';
import { unit } from '@actionclip/transformer';
import { evaluateRows, type PromptFeatures } from '../evaluate/features.ts';
import type { ActionCLIP } from '../model/action-clip.ts';
import { viewProbabilities } from '../recognize/score.ts';
import { bestLabels } from '../recognize/timeline.ts';
import { type FeatureClip, framesOf } from './head-training.ts';

/** Clips that are looked at together; the rest of the last ones is filled up. */
const clipsAtOnce = 16;

export class HeadScores {
  readonly #model: ActionCLIP;
  readonly #prompts: PromptFeatures;
  readonly #fuse: Captured<[Tensor], Tensor>;

  /** @param prompts Features of all classes in all templates, by the model's text tower. */
  constructor(model: ActionCLIP, prompts: PromptFeatures) {
    this.#model = model;
    this.#prompts = prompts;
    this.#fuse = compile((frames: Tensor) => unit(model.fusion.forward(frames)));
  }

  /**
   * Probabilities of the classes for each clip, seen as in recognition: the middle frame of every segment.
   * @param beforeBatch Called before each of few batches.
   */
  async of(clips: readonly FeatureClip[], beforeBatch: () => Promise<void> = async () => {}): Promise<Float64Array[]> {
    const { frames, clip } = this.#model;
    const width = clip.sizes.embedding;
    const scores: Float64Array[] = [];
    for (let first = 0; first < clips.length; first += clipsAtOnce) {
      await beforeBatch();
      const some = clips.slice(first, first + clipsAtOnce);
      const filled = new Float32Array(clipsAtOnce * frames * width);
      for (const [at, { rows }] of some.entries()) filled.set(framesOf(rows, width, frames), at * frames * width);
      const input = tensor(filled, { shape: [clipsAtOnce, frames, width] });
      const rows = await evaluateRows(this.#model, this.#fuse, input);
      for (const at of some.keys()) {
        scores.push(viewProbabilities({ rows: rows.slice(at * width, (at + 1) * width), width }, this.#prompts));
      }
    }
    return scores;
  }

  /** Gives back what scoring keeps on the device. */
  close(): Promise<void> {
    return this.#fuse.dispose();
  }
}

/** The share of clips whose best class is their own; undefined of none. */
export function shareRight(clips: readonly FeatureClip[], scores: readonly Float64Array[]): number | undefined {
  if (clips.length === 0) return undefined;
  const right = clips.filter(({ label }, at) => bestLabels(scores[at] ?? [], 1)[0] === label);
  return right.length / clips.length;
}
