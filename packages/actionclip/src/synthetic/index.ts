/** The built-in data set: articulated figures that perform actions, drawn in software. */
export {
  type Action,
  actionLabels,
  actionOf,
  defaultTrainedLabels,
  defaultZeroShotLabels,
  hardTrainedLabels,
  hardZeroShotLabels,
  orderedPairsAmong,
} from './actions.ts';
export { type ClipForm, type ClipOptions, clipPoses, defaultClipOptions, renderClip } from './clip.ts';
export {
  type ActionDataset,
  type ActionDatasetOptions,
  type DatasetProgress,
  frameTemplate,
  generateActionDataset,
} from './dataset.ts';
export { type Pair, renderPair } from './pair.ts';
export { generatePairDataset, type PairDataset, type PairDatasetOptions } from './pair-dataset.ts';
export type { Pose } from './pose.ts';
