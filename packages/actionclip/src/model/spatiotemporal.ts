/** Pre-network and in-network prompts (paper section 3.3): time inside of the image tower. */
import { concat, type Generator, Module, normalParameter, type Tensor } from '@actionclip/tensor';

/** Fraction of the channels that move each way in `shift`. */
const shiftDivisor = 8;

/**
 * The in-network prompt "Shift" (TSM): on patch tokens the first eighth of the channels comes from the next frame, the
 * second eighth from the frame before, with zeros at the ends; the class token stays. [batch · frames, length, width].
 */
export function shift(tokens: Tensor, frames: number): Tensor {
  const [rows, length, width] = tokens.shape as readonly [number, number, number];
  const batch = rows / frames;
  const fold = Math.floor(width / shiftDivisor);
  const patches: Tensor = tokens.narrow(1, 1, length - 1).reshape([batch, frames, length - 1, width]);
  const ahead = patches
    .narrow(3, 0, fold)
    .slice(1, 1)
    .pad([
      [0, 1],
      [0, 0],
      [0, 0],
    ]);
  const behind = patches
    .narrow(3, fold, fold)
    .slice(1, 0, frames - 1)
    .pad([
      [1, 0],
      [0, 0],
      [0, 0],
    ]);
  const still = patches.narrow(3, 2 * fold, width - 2 * fold);
  const shifted: Tensor = concat([ahead, behind, still], 3).reshape([rows, length - 1, width]);
  return concat([tokens.narrow(1, 0, 1), shifted], 1);
}

/**
 * The pre-network prompt "Joint": all patches of a clip in one sequence, each with a learned vector for its frame, and
 * one class token a clip. Its parameter stands among those of the image tower (`visual.time_embedding`).
 */
export class JointEmbedding extends Module {
  /** [frames, width], N(0, 1/width). */
  time_embedding: Tensor;

  constructor(frames: number, width: number, generator?: Generator) {
    super();
    this.time_embedding = normalParameter([frames, width], width ** -0.5, generator);
  }

  /**
   * Embedded frames [batch · frames, 1 + patches, width] to [batch, 1 + patches · frames, width], ordered patch by patch and
   * within each by time.
   */
  join(tokens: Tensor): Tensor {
    const [rows, length, width] = tokens.shape as readonly [number, number, number];
    const frames = this.time_embedding.shape[0] as number;
    const batch = rows / frames;
    // The class tokens of all frames are equal before the first block: one of them stands for the clip.
    const classToken: Tensor = tokens.narrow(1, 0, 1).reshape([batch, frames, width]).narrow(1, 0, 1);
    const patches: Tensor = tokens
      .narrow(1, 1, length - 1)
      .reshape([batch, frames, length - 1, width])
      .permute(0, 2, 1, 3);
    const timed: Tensor = patches.add(this.time_embedding).reshape([batch, (length - 1) * frames, width]);
    return concat([classToken, timed], 1);
  }
}
