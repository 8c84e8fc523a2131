/** Recognition of actions in videos. */

export { RecognitionError } from './errors.ts';
export { type OpenRecognizerOptions, openRecognizer, videoFiles } from './open.ts';
export { type NamedVideo, Recognizer, type RecognizerOptions } from './recognizer.ts';
export { scoreViews } from './score.ts';
export type { BeforeBatch, FrameStream, StreamedFrame } from './stream.ts';
export { bestLabels, bestOverTime, type WindowRun, windowRuns } from './timeline.ts';
export type {
  Classification,
  ClassifyOptions,
  EmbeddedFrame,
  EmbeddedWindow,
  EmbeddingOutcome,
  LabelOptions,
  SampledFrame,
  VideoEmbedding,
  VideoOutcome,
  ViewOptions,
  WindowScore,
} from './types.ts';
