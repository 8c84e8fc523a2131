/** The public API: models, data, prompts, training, evaluation, checkpoints, reports and the built-in data set. */

export { CacheError, cacheFolder } from './cache-folder.ts';
export { writeFileAtomically } from './checkpoints/atomic-file.ts';
export { modelOf } from './checkpoints/build-model.ts';
export { type ByteSource, blobSource, memorySource } from './checkpoints/byte-source.ts';
export { type CheckpointContents, openCheckpoint } from './checkpoints/contents.ts';
export {
  type Conversion,
  type ConversionOptions,
  convertCheckpoint,
  type TargetLayout,
} from './checkpoints/convert.ts';
export { CheckpointError } from './checkpoints/errors.ts';
export { readCheckpointFile, readSafetensorsFile, writeSafetensorsFile } from './checkpoints/files.ts';
export { type CheckpointInspection, inspectCheckpoint } from './checkpoints/inspect.ts';
export { interpolateWeights, type Weights } from './checkpoints/interpolate-weights.ts';
export { type Checkpoint, convertStateDict, readCheckpoint } from './checkpoints/load.ts';
export { type MatchedStateDict, type MatchOptions, matchStateDict } from './checkpoints/match.ts';
export type { LayoutName } from './checkpoints/names.ts';
export { openMixture } from './checkpoints/open-mixture.ts';
export { type OpenedCheckpoint, type OpenModelOptions, openCheckpointModel } from './checkpoints/open-model.ts';
export type { FloatDtype } from './checkpoints/precision.ts';
export { type ReadableTensor, type ReadableTensors, writeSafetensors } from './checkpoints/write.ts';

export { channelDeviation, channelMean, normalise } from './data/augment/clip.ts';
export {
  evaluationPipeline,
  flipChance,
  type TrainingPipelineOptions,
  trainingPipeline,
} from './data/augment/pipelines.ts';
export { ClipDataset, type ClipDatasetDescription, type LoadedClip, type PipelineDescription } from './data/dataset.ts';
export type { DatasetViews } from './data/dataset-views.ts';
export { DataError } from './data/errors.ts';
export { drawShots, type ShotOptions } from './data/few-shot.ts';
export type { ChosenFrames, DamageHandling, FrameChoice, FrameSource, FrameVisit } from './data/frame-source.ts';
export { type Image, ImageError } from './data/image/image.ts';
export { resize } from './data/image/resample.ts';
export {
  type ClipEntry,
  type ClipListOptions,
  type ClipTable,
  type ClipTableOptions,
  formatClipList,
  formatLabels,
  parseClipList,
  parseClipTable,
  parseLabels,
  readClipList,
  readClipTable,
  readLabels,
  type TableClip,
} from './data/lists.ts';
export {
  type ClipBatch,
  ClipLoader,
  type ClipLoaderOptions,
  type CorruptClipReport,
  type CorruptClips,
  type LoaderPosition,
} from './data/loader.ts';
export { type FrameSourceOptions, openFrameSource, type VideoDecoder } from './data/open-source.ts';
export { Random, RandomError, type RandomState } from './data/random.ts';
export { type FrameSampling, sampleFrames } from './data/sampling.ts';
export { type TimeRange, trimmed } from './data/trimmed.ts';

export { type DiagnoseOptions, type Diagnosis, diagnose } from './doctor/diagnose.ts';
export { printDiagnosis } from './doctor/print.ts';

export {
  joinLists,
  type ListSelection,
  type SelectedClips,
  selectFromLists,
  selectFromTable,
  type TableSelection,
} from './evaluate/clip-selection.ts';
export {
  type Evaluation,
  type EvaluationOptions,
  evaluate,
  evaluateAmong,
  evaluateClassSets,
  evaluateEntries,
  evaluateFeatures,
  evaluateScores,
  pairAccuracy,
  scoreClips,
} from './evaluate/evaluate.ts';
export {
  type ClipFeatureOptions,
  type ClipFeatures,
  FeatureEncoder,
  type FeatureRows,
  type PromptFeatures,
} from './evaluate/features.ts';
export {
  classOfPath,
  findLabelOrder,
  type LabelOrder,
  type MovedClass,
  mapLabels,
} from './evaluate/label-orders.ts';
export {
  type ClassAccuracy,
  type ConfusionMatrix,
  type ConfusionPair,
  confusionMatrix,
  confusionPairs,
  EVALUATION_LOGIT_SCALE,
  MetricError,
  meanAveragePrecision,
  meanClassAccuracy,
  perClassAccuracy,
  predictedClasses,
  type ScoreMatrix,
  scoreTemplates,
  topClasses,
  topKAccuracy,
} from './evaluate/metrics.ts';
export { numpyPermutation } from './evaluate/numpy-permutation.ts';
export { type LongLabel, type PromptTokens, promptTokens } from './evaluate/prompt-tokens.ts';
export {
  type BaseAndNovel,
  type BaseToNovel,
  evaluateBaseToNovel,
  evaluateHalves,
  evaluateSplits,
  frequentHalf,
  HALF_SEEDS,
  type HalfEvaluation,
  halfOfClasses,
  type RepeatedEvaluation,
  type Spread,
  spreadOf,
} from './evaluate/protocols.ts';
export { writeScores } from './evaluate/scores-file.ts';
export {
  type CachedPromptOptions,
  cachedPrompts,
  promptKey,
  type TextCache,
  type TextCacheSpace,
  textSpace,
} from './evaluate/text-cache.ts';
export { type FileTextCacheOptions, openFileTextCache, rememberedTextSpace } from './evaluate/text-cache-files.ts';
export {
  evaluateZeroShot,
  type Protocol,
  type ZeroShotOptions,
  type ZeroShotProgress,
  type ZeroShotResult,
} from './evaluate/zero-shot.ts';
export type { DownloadProgress } from './hub/download.ts';
export { HubError } from './hub/errors.ts';
export { type NamedWeights, namedWeights } from './hub/names.ts';
export { type ResolveOptions, resolveWeights } from './hub/resolve.ts';
export { InterruptedError } from './interrupted.ts';

export { ActionCLIP, type ActionClipOptions } from './model/action-clip.ts';
export {
  type ContrastiveLoss,
  contrastiveLoss,
  contrastiveTargets,
  rowDivergence,
  targetTemperature,
} from './model/loss.ts';
export { JointEmbedding, shift } from './model/spatiotemporal.ts';
export {
  ClassTokenHead,
  ConvolutionHead,
  LSTMHead,
  MeanPooling,
  TemporalHead,
  type TemporalHeadName,
  type TemporalOptions,
  TransformerHead,
  temporalHeads,
} from './model/temporal.ts';
export { type DatasetLayoutName, datasetLayoutNames } from './prepare/layout-names.ts';
export { type CheckProgress, type PrepareOptions, prepareDataset } from './prepare/prepare.ts';
export type { CheckKind, PrepareReport } from './prepare/report.ts';
export { classFinder, classKey } from './prompts/class-names.ts';
export { type CleanedLabels, cleanLabels, isCamelCase, type LabelCleaningMode } from './prompts/label-cleaning.ts';
export { readTemplates } from './prompts/template-files.ts';
export {
  parseTemplates,
  TEMPLATE_SETS,
  type TemplateSet,
  type TemplateSetName,
  templateSet,
  templateSetNames,
} from './prompts/template-sets.ts';

export {
  cleanLabel,
  formatPrompts,
  type LabelCleaning,
  PromptError,
  type PromptTemplate,
  TEMPLATES,
  type TemplateKind,
} from './prompts/templates.ts';

export {
  type BeforeBatch,
  bestLabels,
  bestOverTime,
  type Classification,
  type ClassifyOptions,
  type EmbeddedFrame,
  type EmbeddedWindow,
  type EmbeddingOutcome,
  type FrameStream,
  type LabelOptions,
  type NamedVideo,
  type OpenRecognizerOptions,
  openRecognizer,
  RecognitionError,
  Recognizer,
  type RecognizerOptions,
  type SampledFrame,
  type StreamedFrame,
  scoreViews,
  type VideoEmbedding,
  type VideoOutcome,
  type ViewOptions,
  videoFiles,
  type WindowRun,
  type WindowScore,
  windowRuns,
} from './recognize/index.ts';

export {
  type ConfusionData,
  type CurveChart,
  type CurveSeries,
  type Filmstrip,
  type ReportData,
  ReportError,
  type ReportImage,
  type ReportTable,
  type RunDescription,
  type SummaryFigure,
} from './report/data.ts';
export { encodeFrame } from './report/frames.ts';
export {
  type RecognitionFacts,
  type RecognizedVideo,
  recognizedVideo,
  renderRecognition,
  writeRecognition,
} from './report/recognition.ts';
export { renderReport, writeReport } from './report/report.ts';

export { actionDatasetFolder, standardDrawing } from './runs/built-in.ts';
export { Examiner } from './runs/examiner.ts';
export type { RunOptions } from './runs/options.ts';
export { startRun } from './runs/run.ts';
export { smallData, smallInput, smallModel } from './runs/small-model.ts';
export { openFrom, type Start, startOf } from './runs/start.ts';

export { fileIdentity, weightsIdentity } from './search/identity.ts';
export { recipeOf } from './search/recipe.ts';
export { type SearchHit, searchIndex } from './search/search.ts';
export { type IndexProgress, type UpdateOptions, updateIndex, windowRows } from './search/update-index.ts';
export { type FileStamp, type FoundVideo, findVideos, listVideos } from './search/video-files.ts';
export {
  type IndexedVideo,
  type ReadVideo,
  readVideoIndex,
  type VideoIndex,
  windowsOf,
  writeVideoIndex,
} from './search/video-index.ts';

export {
  type Action,
  type ActionDataset,
  type ActionDatasetOptions,
  actionLabels,
  actionOf,
  type ClipOptions,
  clipPoses,
  defaultClipOptions,
  defaultTrainedLabels,
  defaultZeroShotLabels,
  frameTemplate,
  generateActionDataset,
  orderedPairsAmong,
  type Pose,
  renderClip,
} from './synthetic/index.ts';

export {
  BEST_CHECKPOINT,
  LAST_CHECKPOINT,
  type RunState,
  readTrainingCheckpoint,
  type TrainingCheckpoint,
  type Validation,
  writeCheckpoint,
} from './train/checkpoint.ts';
export {
  BEHAVIOURS,
  type BehaviourSwitches,
  type Config,
  type DataConfig,
  type NetworkConfig,
  type OutputConfig,
  type SolverConfig,
} from './train/config.ts';
export { ConfigError, type ConfigOverrides, configFrom, parseConfig } from './train/config-file.ts';
export { type ConfigResult, resolveConfig } from './train/config-resolution.ts';
export {
  type DatasetOptions,
  evaluationDataset,
  type RunData,
  readRunData,
  trainingDataset,
} from './train/datasets.ts';
export { TrainingError } from './train/errors.ts';
export {
  type EventFile,
  type EventFileOptions,
  openEventFile,
} from './train/event-file.ts';
export type { EventImage } from './train/event-record.ts';
export { LOG_FILE, LogError, type LogRecord, openRunLog, type RunLog, readRunLog } from './train/log.ts';
export type { MemoryUse } from './train/memory.ts';
export {
  describeModel,
  type ModelChoices,
  type ModelDescription,
  type OpenedModel,
  openModel,
} from './train/model-description.ts';
export { layoutOn, optimizerOf, scheduleOf } from './train/optimization.ts';
export { Progress, type ProgressOptions, type ProgressState, type ProgressStream } from './train/progress.ts';
export { type StepMeasures, type StepOptions, type TrainingStep, trainingStep } from './train/step.ts';
export type { Activity, Pace, TimeSplit } from './train/timing.ts';
export { train } from './train/trainer.ts';
export type { TrainingOutcome, TrainingRun } from './train/training-run.ts';
export { type UnreadableClip, unreadableLine } from './train/unreadable-clips.ts';
export { loadClipWeights, loadPretrained } from './train/weights.ts';
