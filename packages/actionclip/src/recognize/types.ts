/** What recognition takes and gives: options of a video's views, features of a video, and probabilities of labels. */
import type { Image } from '../data/image/image.ts';
import type { FeatureRows } from '../evaluate/features.ts';

/** How many looks are taken at a video, and over which stretches of it. */
export interface ViewOptions {
  /** Clips of T frames from each window, spread over it; 1 unless told: the middle of every segment. */
  readonly clips?: number;
  /** Squares of each frame: 1, the centre as in evaluation, or 3 along the longer side; 1 unless told. */
  readonly crops?: 1 | 3;
  /** Seconds of a sliding window; the whole video is one window unless told. */
  readonly window?: number;
  /** Seconds from the start of one window to the next; half a window unless told. */
  readonly stride?: number;
  /** Most frames whose pictures are kept, evenly over the video; 64 unless told. */
  readonly pictures?: number;
  /** Stops the work before its next batch; then InterruptedError is thrown. */
  readonly signal?: AbortSignal;
  /** Called after each batch with the pictures encoded so far and of how many. */
  readonly onEncoded?: (progress: { readonly pictures: number; readonly totalPictures: number }) => void;
}

/** Texts around the labels. */
export interface LabelOptions {
  /** Texts with `{}`; those of the recognizer unless told. */
  readonly templates?: readonly string[];
  readonly signal?: AbortSignal;
}

export interface ClassifyOptions extends ViewOptions, LabelOptions {}

/** A frame that is shown. */
export interface EmbeddedFrame {
  /** Counted from 0. */
  readonly index: number;
  /** Seconds from the first frame. */
  readonly time: number;
  /** S x S as the model sees it, the middle crop. */
  readonly image: Image;
  /** Of unit length. With the joint prompt, which has no features of single frames, that of the frame's clip. */
  readonly feature: Float32Array;
}

/** A stretch of the video, in seconds, and unit features of its views, clip by clip and in each crop by crop. */
export interface EmbeddedWindow {
  readonly start: number;
  readonly end: number;
  readonly views: FeatureRows;
}

/** What a video is to the model, whatever the labels. */
export interface VideoEmbedding {
  /** Frames of the video. */
  readonly frames: number;
  /** Seconds. */
  readonly duration: number;
  /** Ascending. */
  readonly sampled: readonly EmbeddedFrame[];
  /** One where no window was asked for. */
  readonly windows: readonly EmbeddedWindow[];
}

/** A frame that was looked at, and how near it is to each label. */
export interface SampledFrame {
  /** Counted from 0. */
  readonly index: number;
  /** Seconds from the first frame. */
  readonly time: number;
  /** S x S as the model sees it. */
  readonly image: Image;
  /** Cosine of the frame with each label, whose feature is the mean over templates. */
  readonly similarities: Float32Array;
}

/** Probabilities of the labels in a stretch of the video, in seconds. */
export interface WindowScore {
  readonly start: number;
  readonly end: number;
  readonly probabilities: Float64Array;
}

export interface Classification {
  readonly labels: readonly string[];
  /** One for each label, in their order; their sum is 1. The mean over windows. */
  readonly probabilities: Float64Array;
  /** Frames of the video. */
  readonly frames: number;
  /** Seconds. */
  readonly duration: number;
  readonly sampled: readonly SampledFrame[];
  /** One where no window was asked for. */
  readonly windows: readonly WindowScore[];
}

/** One of many videos: its classification, or why there is none. */
export type VideoOutcome =
  | { readonly path: string; readonly classification: Classification }
  | { readonly path: string; readonly error: Error };

/** One of many videos: its features, or why there are none. */
export type EmbeddingOutcome =
  | { readonly path: string; readonly embedding: VideoEmbedding }
  | { readonly path: string; readonly error: Error };
