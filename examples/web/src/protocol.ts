/**
 * What the page and its worker say to each other. The page makes calls, of which each has one answer, and hears how far
 * it is in between; a call that is cancelled is answered too.
 */
import type { LongLabel, WindowRun, WindowScore } from 'actionclip/browser';
import type { ClipReport, TrainAsk, TrainingProgress, TrainReport } from './training-protocol.ts';

/** Where the model runs: what is best here, or what a person chose. */
export type DeviceChoice = 'auto' | 'webgpu' | 'wasm-threads' | 'wasm-single';

export interface DeviceReport {
  /** `webgpu` or `wasm`. */
  readonly name: string;
  /** The adapter, or the instruction set and the number of threads. */
  readonly description: string;
  /** Features of the adapter that kernels have variants for. */
  readonly features: readonly string[];
}

/** Weights that a person picked, that they named on the hub, or that are fetched from beside the page. */
export type WeightsChoice =
  | { readonly name: string; readonly blob: Blob }
  | { readonly name: string; readonly hub: string }
  | { readonly name: string; readonly address: string };

export interface ModelReport {
  readonly name: string;
  /** Whose parameter names the file has. */
  readonly layout: string;
  readonly parameters: number;
  /** Frames of a clip. */
  readonly frames: number;
  /** Side of the square input in pixels. */
  readonly inputSize: number;
  /** How frames become a clip. */
  readonly temporal: string;
  /** Columns of its features. */
  readonly width: number;
  /** Whether the image tower sees each frame by itself, so that a head can be trained on features of frames. */
  readonly perFrame: boolean;
  /** The classes that it was trained on, where the file tells. */
  readonly labels: readonly string[];
}

/** A frame as the model sees it. */
export interface Picture {
  /** Counted from 0. */
  readonly index: number;
  /** Seconds from the first frame. */
  readonly time: number;
  readonly width: number;
  readonly height: number;
  /** RGBA, row by row. */
  readonly pixels: Uint8ClampedArray<ArrayBuffer>;
}

export interface VideoReport {
  /** Frames of the video. */
  readonly frames: number;
  /** Seconds. */
  readonly duration: number;
  /** Clips that the model was shown. */
  readonly clips: number;
  /** Ascending in time. */
  readonly pictures: readonly Picture[];
  /** Milliseconds: of all of it, and of the model alone. */
  readonly milliseconds: number;
  readonly modelMilliseconds: number;
  /** Whether the model's programs were compiled meanwhile. */
  readonly compiled: boolean;
  /** Bytes on the device. */
  readonly liveBytes: number;
  readonly peakBytes: number;
}

export interface ScoreReport {
  /** Those that were scored. */
  readonly labels: readonly string[];
  /** Those that were not, since the model takes no texts of this length. */
  readonly tooLong: readonly LongLabel[];
  /** One for each label; their sum is 1. */
  readonly probabilities: Float64Array;
  /** For each picture of the video, its cosine with each label. */
  readonly similarities: readonly Float32Array[];
  /** One where the video is one window. */
  readonly windows: readonly WindowScore[];
  /** Neighbouring windows with the same best label. */
  readonly runs: readonly WindowRun[];
}

/** What came of a frame of the webcam. */
export interface LookReport {
  /** The frame; those before it are known by their index. */
  readonly pictures: readonly Picture[];
  /** How much of the first window was seen: 0 to 1. */
  readonly filled: number;
  /** Of the window that ends with the frame, once it is full. */
  readonly scores?: LiveScores;
  /** Of the frame, from its pixels on. */
  readonly milliseconds: number;
  /** Bytes on the device. */
  readonly liveBytes: number;
}

export interface LiveScores extends Pick<ScoreReport, 'labels' | 'probabilities' | 'similarities'> {
  /** Indices of the frames of the window, ascending; one may be there more than once. A row of similarities each. */
  readonly frames: readonly number[];
}

/** What is asked for, and what the answer is. */
export interface Calls {
  /** Opens a device, in the place of one that was open. */
  readonly open: { readonly ask: { readonly device: DeviceChoice }; readonly answer: DeviceReport };
  /** Loads a model, in the place of one that was there. */
  readonly load: {
    readonly ask: {
      readonly weights: WeightsChoice;
      /** Where CLIP's merges are, for models that have no vocabulary of their own. */
      readonly clipMerges: string;
    };
    readonly answer: ModelReport;
  };
  /** Encodes the frames of a video. */
  readonly watch: {
    readonly ask: {
      readonly name: string;
      readonly blob: Blob;
      /** Seconds of a sliding window; 0 for none, and what suits the video's length if absent. */
      readonly window?: number;
    };
    readonly answer: VideoReport;
  };
  /** Scores the video against labels. */
  readonly score: { readonly ask: { readonly labels: readonly string[] }; readonly answer: ScoreReport };
  /** Makes ready to look at frames of the webcam, a window of seconds at a time, or changes what they are scored against. */
  readonly follow: {
    readonly ask: { readonly labels: readonly string[]; readonly seconds: number };
    readonly answer: {
      /** Frames that the model takes of a window. */
      readonly frames: number;
      readonly seconds: number;
      /** Labels that are not scored, since the model takes no texts of this length. */
      readonly tooLong: readonly LongLabel[];
    };
  };
  /** Looks at one frame of the webcam. */
  readonly look: {
    readonly ask: {
      /** Given away: the worker closes it. */
      readonly frame: VideoFrame | ImageBitmap;
      /** Seconds, of any clock that goes on. */
      readonly time: number;
      /** Whether frames before it have nothing to do with it. */
      readonly restart: boolean;
    };
    readonly answer: LookReport;
  };
  /** Which labels are too long for the model. */
  readonly measure: {
    readonly ask: { readonly labels: readonly string[] };
    readonly answer: { readonly tooLong: readonly LongLabel[] };
  };
  /** Keeps a frame of the webcam for a clip that is recorded. */
  readonly record: {
    readonly ask: {
      /** Given away: the worker closes it. */
      readonly frame: VideoFrame | ImageBitmap;
      /** Whether frames before it belong to another clip. */
      readonly isFirst: boolean;
    };
    readonly answer: { readonly frames: number };
  };
  /** Encodes the clip that was recorded, or a video as a clip. */
  readonly encode: {
    readonly ask: { readonly video?: { readonly name: string; readonly blob: Blob } };
    readonly answer: ClipReport;
  };
  /** Trains a temporal head on clips. Cancelled, it answers with what was learnt until then. */
  readonly train: { readonly ask: TrainAsk; readonly answer: TrainReport };
}

export type CallName = keyof Calls;
export type Ask<K extends CallName> = Calls[K]['ask'];
export type Answer<K extends CallName> = Calls[K]['answer'];

/** How far a call is; without a total nobody knows. */
export interface Progress {
  readonly activity: string;
  /** Seconds within which more is heard, where the work is with files that others made. */
  readonly patience?: number;
  readonly done?: number;
  readonly total?: number;
  /** Of a training, after each step. */
  readonly training?: TrainingProgress;
}

/** Why there is no answer. */
export interface Failure {
  readonly problem: string;
  readonly cancelled: boolean;
}

export type ToWorker =
  | { [K in CallName]: { readonly id: number; readonly call: K; readonly ask: Ask<K> } }[CallName]
  | { readonly cancel: number };

export type FromWorker =
  | { readonly id: number; readonly progress: Progress }
  | { readonly id: number; readonly answer: Answer<CallName> }
  | { readonly id: number; readonly failure: Failure };
