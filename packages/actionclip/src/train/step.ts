/** One optimizer step as a captured program: forward, loss, backward, clipping and update. */
import { type Captured, compile, type Optimizer, stack, type Tensor } from '@actionclip/tensor';
import type { ActionCLIP } from '../model/action-clip.ts';
import { contrastiveLoss } from '../model/loss.ts';

export interface StepOptions {
  /** The text tower gets no gradient; the logit scale is trained all the same. */
  readonly freezeText: boolean;
  /** The image tower gets no gradient; the temporal head is trained all the same. */
  readonly freezeImage: boolean;
  /** The largest norm of all gradients together; without it they are not clipped. */
  readonly maximumGradientNorm?: number;
}

/** What a step reports, in the order of its elements. */
export interface StepMeasures {
  readonly loss: number;
  readonly videoToText: number;
  readonly textToVideo: number;
  /** Before clipping; absent where gradients are neither clipped nor scaled. */
  readonly gradientNorm?: number;
}

/** Frames [B, T, 3, S, S], tokens [B, length] and classes [B] to the measures of the batch as one tensor. */
export type TrainingStep = Captured<readonly [Tensor, Tensor, Tensor], Tensor>;

/** The captured step of a model; the model must be in training mode when it is first called. */
export function trainingStep(model: ActionCLIP, optimizer: Optimizer, options: StepOptions): TrainingStep {
  const { freezeText, freezeImage, maximumGradientNorm } = options;
  return compile((frames: Tensor, tokens: Tensor, labels: Tensor) => {
    const frameFeatures = model.encodeFrames(frames);
    const video = model.fusion.forward(freezeImage ? frameFeatures.detach() : frameFeatures); // [B, D]
    const text = model.encodeText(tokens); // [B, D]
    const loss = contrastiveLoss(model.logits(video, freezeText ? text.detach() : text), labels);
    optimizer.scaleLoss(loss.total).backward();
    const measures: Tensor[] = [loss.total, loss.videoToText, loss.textToVideo];
    const norm = optimizer.update(maximumGradientNorm === undefined ? {} : { maxNorm: maximumGradientNorm });
    if (norm) measures.push(norm);
    return stack(measures);
  });
}

/** Reads what a step reported. */
export async function readMeasures(output: Tensor): Promise<StepMeasures> {
  const reading = output.data();
  const [loss = Number.NaN, videoToText = Number.NaN, textToVideo = Number.NaN, norm] = await reading.finally(() =>
    output.dispose(),
  );
  return { loss, videoToText, textToVideo, ...(norm === undefined ? {} : { gradientNorm: norm }) };
}
