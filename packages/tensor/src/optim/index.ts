/** Optimizers, gradient clipping and learning-rate schedules. */
export { Adam, type AdamOptions, AdamW } from './adam.ts';
export { clipGradNorm, clipGradValue } from './clip.ts';
export {
  type GroupOptions,
  type GroupSettings,
  OptimizerError,
  type ParameterGroup,
  type Parameters,
} from './groups.ts';
export { LossScale, type LossScaleOptions } from './loss-scale.ts';
export { Optimizer, type OptimizerOptions, type UpdateOptions, type UpdateRule } from './optimizer.ts';
export {
  type CosineOptions,
  constantSchedule,
  cosineSchedule,
  type MultistepOptions,
  multistepSchedule,
  type Schedule,
} from './schedules.ts';
export { SGD, type SGDOptions } from './sgd.ts';
