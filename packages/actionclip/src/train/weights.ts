/**
 * Weights from files into a model: CLIP's to start from, or those of an ActionCLIP that was trained before. Adapters that
 * a file does not have keep their start without effect; those of another LoRA than the model's are merged into the weights.
 */
import { weightsFor } from '../checkpoints/adapters.ts';
import { withCheckpointFile } from '../checkpoints/files.ts';
import { fillModel } from '../checkpoints/fill.ts';
import type { MatchOptions } from '../checkpoints/match.ts';
import { isTemporal } from '../checkpoints/names.ts';
import type { ActionCLIP } from '../model/action-clip.ts';
import { isLora, isSpatioTemporal } from '../model/adapters.ts';

const isVisual = (name: string): boolean => name.startsWith('visual.');

export interface ClipWeightOptions {
  /** False: the text tower and the logit scale keep their random start. */
  readonly text: boolean;
}

/**
 * Loads CLIP's weights; the temporal prompts keep their initial values unless the file has them.
 * @throws CheckpointError where the file cannot be read or does not fit; then nothing has been changed.
 */
export async function loadClipWeights(model: ActionCLIP, path: string, { text }: ClipWeightOptions): Promise<void> {
  const kept = (name: string): boolean => text || isVisual(name) || isTemporal(name);
  await load(model, path, { mayBeMissing: isTemporal, mayBeUnused: isTemporal }, kept);
}

export interface PretrainedOptions {
  /** True: a file with another temporal prompt will do, and the model's own keeps its initial values. */
  readonly otherHead?: boolean;
  /** True: a file for another resolution will do, between whose positions the model's are interpolated. */
  readonly otherResolution?: boolean;
}

/**
 * Loads the weights of an ActionCLIP of any known layout.
 * @throws CheckpointError where the file cannot be read or does not fit; then nothing has been changed.
 */
export async function loadPretrained(
  model: ActionCLIP,
  path: string,
  { otherHead = false, otherResolution = false }: PretrainedOptions = {},
): Promise<void> {
  await load(model, path, {
    ...(otherHead ? { mayBeMissing: isTemporal, mayBeUnused: isTemporal } : {}),
    interpolatePositions: otherResolution,
  });
}

async function load(
  model: ActionCLIP,
  path: string,
  match: MatchOptions,
  wanted?: (name: string) => boolean,
): Promise<void> {
  await withCheckpointFile(path, (contents) => {
    const weights = weightsFor(contents, model.options.adapter);
    return fillModel(model, weights, { ...match, mayBeMissing: orAdapter(match.mayBeMissing) }, wanted);
  });
}

const orAdapter =
  (mayBeMissing: (name: string) => boolean = () => false) =>
  (name: string): boolean =>
    isLora(name) || isSpatioTemporal(name) || mayBeMissing(name);
