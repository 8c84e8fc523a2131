/** The parameters that a described model has, and whether a checkpoint has them all. Runs in browsers. */
import { Generator } from '@actionclip/tensor';
import { ActionCLIP } from '../model/action-clip.ts';
import type { ModelDescription } from '../train/model-description.ts';
import { modelOptions } from '../train/model-options.ts';
import type { CheckpointContents } from './contents.ts';
import { matchNames } from './match.ts';

/** The shapes of a model's parameters by their names; no value is computed. */
export function modelShapes(description: ModelDescription): Map<string, readonly number[]> {
  const model = new ActionCLIP({ ...modelOptions(description), generator: new Generator(0) });
  return new Map([...model.namedParameters()].map(([name, parameter]) => [name, parameter.shape]));
}

/**
 * Compares the parameters of a checkpoint with those of the model that it describes.
 * @throws CheckpointError that lists what is missing, what is too much and what has another shape.
 */
export function requireWholeModel(contents: CheckpointContents, description: ModelDescription): void {
  matchNames(modelShapes(description), contents, { frames: description.frames });
}
