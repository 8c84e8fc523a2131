/** What works in a page, without anything of Node: clips from files and addresses, checkpoints from blobs, recognition. */

export { modelOf, type OpenedCheckpoint, type OpenModelOptions } from './checkpoints/build-model.ts';
export { type ByteSource, blobSource, memorySource } from './checkpoints/byte-source.ts';
export { type CheckpointContents, contentsOf, openCheckpoint } from './checkpoints/contents.ts';
export { CheckpointError } from './checkpoints/errors.ts';
export { readHuggingFaceConfig } from './checkpoints/hugging-face-config.ts';
export { type Checkpoint, convertStateDict, readCheckpoint } from './checkpoints/load.ts';
export { type MatchedStateDict, type MatchOptions, matchStateDict } from './checkpoints/match.ts';
export { modelFileParts } from './checkpoints/own-layout.ts';
export { openShards, readShardIndex } from './checkpoints/shards.ts';
export { DataError } from './data/errors.ts';
export type { ChosenFrames, DamageHandling, FrameChoice, FrameSource, FrameVisit } from './data/frame-source.ts';
export { type Image, ImageError } from './data/image/image.ts';
export { resize } from './data/image/resample.ts';
export { LiveFrameReader } from './data/live-frame.ts';
export { type FrameSampling, sampleFrames } from './data/sampling.ts';
export { type TimeRange, trimmed } from './data/trimmed.ts';
export { type BrowserVideoOptions, openVideoInBrowser } from './data/video-browser.ts';
export type { LongLabel } from './evaluate/prompt-tokens.ts';
export { promptKey, type TextCache, type TextCacheSpace, textSpace } from './evaluate/text-cache.ts';
export { isShardIndex } from './hub/choose-files.ts';
export { HubError } from './hub/errors.ts';
export { parseHubName, type RepositorySource, type WeightsSource } from './hub/names.ts';
export { type HubAccess, type HubFile, HubRepository } from './hub/repository.ts';
export { fetchWeightFiles, type WeightFiles, type WeightFilesKeeper } from './hub/weight-files.ts';
export { InterruptedError } from './interrupted.ts';
export { ActionCLIP, type ActionClipOptions } from './model/action-clip.ts';
export { type CleanedLabels, cleanLabels, type LabelCleaningMode } from './prompts/label-cleaning.ts';
export { parseTemplates, TEMPLATE_SETS, type TemplateSetName, templateSet } from './prompts/template-sets.ts';
export { formatPrompts, PromptError, type PromptTemplate, TEMPLATES, type TemplateKind } from './prompts/templates.ts';
export { RecognitionError } from './recognize/errors.ts';
export { FrameEncoder, someFrames } from './recognize/frame-encoder.ts';
export { recognizerOf } from './recognize/of-checkpoint.ts';
export { type NamedVideo, Recognizer, type RecognizerOptions } from './recognize/recognizer.ts';
export { scoreViews } from './recognize/score.ts';
export type { BeforeBatch, FrameStream, StreamedFrame } from './recognize/stream.ts';
export { bestLabels, type WindowRun, windowRuns } from './recognize/timeline.ts';
export type {
  Classification,
  ClassifyOptions,
  EmbeddedFrame,
  SampledFrame,
  VideoEmbedding,
  ViewOptions,
  WindowScore,
} from './recognize/types.ts';
export { type HeadModel, headModel, TRAINED_HEADS, type TrainedHeadName } from './train/head-model.ts';
export { HeadScores, shareRight } from './train/head-scores.ts';
export { type FeatureClip, type HeadStep, type HeadTrainingOptions, trainHead } from './train/head-training.ts';
export { ENOUGH_TO_HOLD_OUT, heldOutPlaces } from './train/held-out.ts';
