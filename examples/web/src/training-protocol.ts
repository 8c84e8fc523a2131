/** What the page and its worker say to each other about clips that a person records, and the head that is trained on them. */
import type { FeatureClip, HeadTrainingOptions, TrainedHeadName } from 'actionclip/browser';
import type { Picture } from './protocol.ts';

/** Most frames of a clip whose features are kept: a training looks at others in every epoch. */
export const framesOfClip = 32;

/** A clip as it is kept: features of its frames, and a picture for a person. */
export interface ClipReport {
  readonly rows: Float32Array<ArrayBuffer>;
  readonly frames: number;
  /** The frame in its middle, small. */
  readonly picture: Picture;
}

export interface TrainAsk extends HeadTrainingOptions {
  readonly head: TrainedHeadName;
  readonly labels: readonly string[];
  /** Their labels are places in `labels`. */
  readonly clips: readonly FeatureClip[];
  /** Whether some clips are kept aside to check with, where there are enough. */
  readonly holdsOut: boolean;
}

/** Shares of clips whose best label is their own. */
export interface Accuracy {
  /** Of the clips that are learnt from. */
  readonly learnt: number;
  /** Of those kept aside; absent where there are none. */
  readonly heldOut?: number;
}

/** Where a training stands after a step. */
export interface TrainingProgress {
  /** Epochs done, with the part of the one under way. */
  readonly epochs: number;
  readonly loss: number;
  /** Present after some steps. */
  readonly accuracy?: Accuracy;
}

export interface TrainedClip {
  /** The place of its best label. */
  readonly best: number;
  readonly probability: number;
  readonly isHeldOut: boolean;
}

export interface TrainReport {
  readonly clips: readonly TrainedClip[];
  readonly accuracy: Accuracy;
  /** Whole epochs; fewer than were asked for where a person stopped it. */
  readonly epochs: number;
  readonly milliseconds: number;
  /** Bytes that were on the device at most. */
  readonly peakBytes: number;
  /** The model with its trained head: safetensors in the package's own layout, with the labels. */
  readonly file: Blob;
}
