/** One optimizer step as a captured program: forward, loss, backward, clipping and update. */
import { type Captured, compile, type Optimizer, stack, type Tensor, tensor, where } from '@actionclip/tensor';
import type { ActionCLIP } from '../model/action-clip.ts';
import { contrastiveLosses, objectiveOf } from './objective.ts';

export interface StepOptions {
  /** The text tower gets no gradient; the logit scale is trained all the same. */
  readonly freezeText: boolean;
  /** The image tower gets no gradient; the temporal head is trained all the same. */
  readonly freezeImage: boolean;
  /** The step takes features of frames [B, T, D] in place of frames, as the frozen image tower gave them. */
  readonly fromFrameFeatures?: boolean;
  /** The step takes features of texts [B, D] in place of tokens, as the frozen text tower gave them. */
  readonly fromTextFeatures?: boolean;
  /** The largest norm of all gradients together; without it they are not clipped. */
  readonly maximumGradientNorm?: number;
  /**
   * Mixed: the products of the two towers take factors of half precision; the temporal head, which is a thousandth of the
   * work, features, logits and the loss are in 32 bits. The optimizer is then one that scales the loss. f32 if absent.
   */
  readonly precision?: 'f32' | 'mixed';
  /** The share of every target that is spread evenly over the batch; 0 if absent. */
  readonly labelSmoothing?: number;
  /** Features of a text for each class, [classes, D], that clips are classified by instead of the texts of the batch. */
  readonly classTexts?: Tensor;
}

/** What a step reports, in the order of its elements. */
export interface StepMeasures {
  readonly loss: number;
  /** The two directions; absent where clips are classified. */
  readonly videoToText?: number;
  readonly textToVideo?: number;
  /** Before clipping; absent where gradients are neither clipped nor scaled. Not finite: the step was skipped. */
  readonly gradientNorm?: number;
  /** The factor of the loss; absent where it is not scaled. */
  readonly lossScale?: number;
}

/** Frames [B, T, 3, S, S], tokens [B, length] (or features of either) and classes [B] to the measures of the batch as one tensor. */
export type TrainingStep = Captured<readonly [Tensor, Tensor, Tensor], Tensor>;

/**
 * Moves the parameters along their gradients after a loss (scalar), unless that one or one before it was no number; gives
 * the gradient norm and the loss scale of the step, where there are such.
 */
export type Update = (loss: Tensor) => Tensor[];

/**
 * The update of a captured step. Steps are started before the loss of the one before them is read: those behind a loss
 * that is no number change nothing either, so that what led to it can be looked at.
 */
export function updateOf(optimizer: Optimizer, { maximumGradientNorm }: StepOptions): Update {
  const [first] = optimizer.groups.flatMap(({ parameters }) => [...parameters.values()]);
  const lossesBefore = tensor(0, first?.device && { device: first.device });
  return (loss) => {
    const losses = where(loss.detach().isfinite(), lossesBefore, Number.NaN);
    lossesBefore.assign(losses);
    const scale = optimizer.lossScale?.scale.detach();
    const clipping = maximumGradientNorm === undefined ? {} : { maxNorm: maximumGradientNorm };
    const norm = optimizer.update({ onlyIfFinite: losses, ...clipping });
    return [norm, scale].filter((measure) => measure !== undefined);
  };
}

/** The captured step of a model; the model must be in training mode when it is first called. */
export function trainingStep(model: ActionCLIP, optimizer: Optimizer, options: StepOptions): TrainingStep {
  const objective = objectiveOf(model, options);
  const update = updateOf(optimizer, options);
  return compile((frames: Tensor, tokens: Tensor, labels: Tensor) => {
    const losses = objective.losses(objective.features(frames, tokens), labels);
    const loss = losses[0] as Tensor;
    optimizer.scaleLoss(loss).backward();
    return stack([...losses, ...update(loss)]);
  });
}

/** Reads what a step reported, of which the losses come first. */
export async function readMeasures(output: Tensor, losses = contrastiveLosses): Promise<StepMeasures> {
  const read = await output.data().finally(() => output.dispose());
  const named = [...losses, 'gradientNorm', 'lossScale'].slice(0, read.length);
  return { loss: Number.NaN, ...Object.fromEntries(named.map((name, i) => [name, read[i]])) };
}
