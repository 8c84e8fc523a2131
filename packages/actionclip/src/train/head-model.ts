/** A model whose towers are those of another and whose temporal head is to be trained. Runs in browsers. */
import { Generator } from '@actionclip/tensor';
import type { OpenedCheckpoint } from '../checkpoints/build-model.ts';
import { ActionCLIP } from '../model/action-clip.ts';
import type { TemporalHeadName } from '../model/temporal.ts';
import { TrainingError } from './errors.ts';
import type { ModelDescription } from './model-description.ts';
import { modelOptions } from './model-options.ts';

/** Heads that have something to learn. */
export const TRAINED_HEADS = ['Transf', 'Transf_cls', 'LSTM', 'Conv_1D'] as const satisfies readonly TemporalHeadName[];

export type TrainedHeadName = (typeof TRAINED_HEADS)[number];

/** Layers of a head that starts anew where the model has had none: a handful of clips does not fill the paper's six. */
const fewLayers = 2;

export interface HeadModel {
  /** Its towers are the parameters of the given model. */
  readonly model: ActionCLIP;
  readonly description: ModelDescription;
  /** Whether the head starts from what the given model's has learnt. */
  readonly goesOn: boolean;
}

/**
 * The same towers under a head of its own: a copy of the model's where that is of this kind, else random values drawn
 * from `seed`.
 * @throws TrainingError for a model that looks across frames before the head, whose head has no frames to learn from
 */
export async function headModel(
  { model: given, description: of }: Pick<OpenedCheckpoint, 'model' | 'description'>,
  head: TrainedHeadName,
  seed: number,
): Promise<HeadModel> {
  if (!given.perFrame) {
    throw new TrainingError(
      'the image tower of this model looks at several frames together, so its head cannot be trained by itself',
      'choose a model without joint, shift or ST-Adapters',
    );
  }
  const { temporalLayers = fewLayers, temporal = 'Transf', ...others } = of;
  const goesOn = temporal === head;
  const description = { ...others, temporal: head, ...(head.startsWith('Transf') ? { temporalLayers } : {}) };
  const model = new ActionCLIP({ ...modelOptions(description), generator: new Generator(seed) });
  model.clip = given.clip;
  await model.fusion.initialize();
  if (goesOn) model.fusion.loadStateDict(await given.fusion.stateDict());
  return { model, description, goesOn };
}
