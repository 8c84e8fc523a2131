/** What a step learns from a batch: which features gradients flow through, and the losses that are made of them. */
import { autocast, type Tensor } from '@actionclip/tensor';
import type { ActionCLIP } from '../model/action-clip.ts';
import { classifierLoss, contrastiveLoss } from '../model/loss.ts';
import type { StepOptions } from './step.ts';

/** Losses by their names in the log. */
export type LossName = 'loss' | 'videoToText' | 'textToVideo';

/** The losses of the paper's objective. */
export const contrastiveLosses: readonly LossName[] = ['loss', 'videoToText', 'textToVideo'];

export interface Objective {
  /** What `losses` gives, in its order; the first is the loss that is differentiated. */
  readonly names: readonly LossName[];
  /** How many `features` gives. */
  readonly kinds: number;
  /** Frames [b, T, 3, S, S] and tokens [b, length] (or features of either) of some clips of a batch to features, each [b, D], not normalised. */
  features(frames: Tensor, tokens: Tensor): readonly Tensor[];
  /** Features and classes of all clips of a batch to scalars. */
  losses(features: readonly Tensor[], labels: Tensor): readonly Tensor[];
}

/** The objective of a step: the paper's, or where there are texts of all classes, the choice among these. */
export function objectiveOf(model: ActionCLIP, options: StepOptions): Objective {
  return options.classTexts === undefined
    ? contrastive(model, options)
    : classifier(model, options.classTexts, options);
}

/** Clips against the texts of the batch (the paper). */
function contrastive(model: ActionCLIP, options: StepOptions): Objective {
  return {
    names: contrastiveLosses,
    kinds: 2,
    features(frames, tokens) {
      const video = videoFeatures(model, frames, options);
      const text = options.fromTextFeatures ? tokens : inPrecision(options, () => model.encodeText(tokens));
      return [video, options.freezeText ? text.detach() : text];
    },
    losses([video, text], labels) {
      const logits = model.logits(video as Tensor, text as Tensor);
      const { total, videoToText, textToVideo } = contrastiveLoss(logits, labels, options.labelSmoothing);
      return [total, videoToText, textToVideo];
    },
  };
}

/** Clips against the texts of all classes, which stay as they are (Text4Vis; Wu, Sun, Ouyang, arXiv 2207.01297). */
function classifier(model: ActionCLIP, classTexts: Tensor, options: StepOptions): Objective {
  return {
    names: ['loss'],
    kinds: 1,
    features: (frames) => [videoFeatures(model, frames, options)],
    losses([video], labels) {
      return [classifierLoss(model.logits(video as Tensor, classTexts), labels, options.labelSmoothing)];
    },
  };
}

function videoFeatures(model: ActionCLIP, frames: Tensor, options: StepOptions): Tensor {
  const frameFeatures = options.fromFrameFeatures ? frames : inPrecision(options, () => model.encodeFrames(frames));
  return model.fusion.forward(options.freezeImage ? frameFeatures.detach() : frameFeatures);
}

const inPrecision = ({ precision = 'f32' }: StepOptions, encode: () => Tensor): Tensor =>
  autocast(encode, { enabled: precision === 'mixed' });
