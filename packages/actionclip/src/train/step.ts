/** One optimizer step as a captured program: forward, loss, backward, clipping and update. */
import { autocast, type Captured, compile, type Optimizer, stack, type Tensor } from '@actionclip/tensor';
import type { ActionCLIP } from '../model/action-clip.ts';
import { contrastiveLoss } from '../model/loss.ts';

export interface StepOptions {
  /** The text tower gets no gradient; the logit scale is trained all the same. */
  readonly freezeText: boolean;
  /** The image tower gets no gradient; the temporal head is trained all the same. */
  readonly freezeImage: boolean;
  /** The largest norm of all gradients together; without it they are not clipped. */
  readonly maximumGradientNorm?: number;
  /**
   * Mixed: the products of the two towers take factors of half precision; the temporal head, which is a thousandth of the
   * work, features, logits and the loss are in 32 bits. The optimizer is then one that scales the loss. f32 if absent.
   */
  readonly precision?: 'f32' | 'mixed';
  /** The share of every target that is spread evenly over the batch; 0 if absent. */
  readonly labelSmoothing?: number;
}

/** What a step reports, in the order of its elements. */
export interface StepMeasures {
  readonly loss: number;
  readonly videoToText: number;
  readonly textToVideo: number;
  /** Before clipping; absent where gradients are neither clipped nor scaled. Not finite: the step was skipped. */
  readonly gradientNorm?: number;
  /** The factor of the loss; absent where it is not scaled. */
  readonly lossScale?: number;
}

/** Frames [B, T, 3, S, S], tokens [B, length] and classes [B] to the measures of the batch as one tensor. */
export type TrainingStep = Captured<readonly [Tensor, Tensor, Tensor], Tensor>;

/** Features of clips and of their texts, [B, D] each, through which gradients flow to what is trained. */
export function trainedFeatures(
  model: ActionCLIP,
  frames: Tensor,
  tokens: Tensor,
  { freezeText, freezeImage, precision = 'f32' }: StepOptions,
): { readonly video: Tensor; readonly text: Tensor } {
  const enabled = precision === 'mixed';
  const frameFeatures = autocast(() => model.encodeFrames(frames), { enabled });
  const text = autocast(() => model.encodeText(tokens), { enabled });
  const video = model.fusion.forward(freezeImage ? frameFeatures.detach() : frameFeatures);
  return { video, text: freezeText ? text.detach() : text };
}

/** Moves the parameters along their gradients; the gradient norm and the loss scale of the step, where there are such. */
export function updateMeasures(optimizer: Optimizer, { maximumGradientNorm }: StepOptions): Tensor[] {
  const scale = optimizer.lossScale?.scale.detach();
  const norm = optimizer.update(maximumGradientNorm === undefined ? {} : { maxNorm: maximumGradientNorm });
  return [norm, scale].filter((measure) => measure !== undefined);
}

/** The captured step of a model; the model must be in training mode when it is first called. */
export function trainingStep(model: ActionCLIP, optimizer: Optimizer, options: StepOptions): TrainingStep {
  return compile((frames: Tensor, tokens: Tensor, labels: Tensor) => {
    const { video, text } = trainedFeatures(model, frames, tokens, options);
    const loss = contrastiveLoss(model.logits(video, text), labels, options.labelSmoothing);
    optimizer.scaleLoss(loss.total).backward();
    const measures = updateMeasures(optimizer, options);
    return stack([loss.total, loss.videoToText, loss.textToVideo, ...measures]);
  });
}

/** Reads what a step reported. */
export async function readMeasures(output: Tensor): Promise<StepMeasures> {
  const reading = output.data();
  const [loss = Number.NaN, videoToText = Number.NaN, textToVideo = Number.NaN, norm, scale] = await reading.finally(
    () => output.dispose(),
  );
  return {
    loss,
    videoToText,
    textToVideo,
    ...(norm === undefined ? {} : { gradientNorm: norm }),
    ...(scale === undefined ? {} : { lossScale: scale }),
  };
}
