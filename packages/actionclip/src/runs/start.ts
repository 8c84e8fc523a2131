/** What a run starts from: a model as it is made, that of an earlier run, or a published one; and how each is trained. */
import { describeCheckpoint } from '../checkpoints/describe.ts';
import { withCheckpointFile } from '../checkpoints/files.ts';
import { type ResolveOptions, resolveWeights } from '../hub/resolve.ts';
import type { Config } from '../train/config.ts';
import {
  describeModel,
  type ModelChoices,
  type ModelDescription,
  type OpenedModel,
  openModel,
} from '../train/model-description.ts';
import { loadPretrained } from '../train/weights.ts';
import type { RunOptions } from './options.ts';

/**
 * How training is done by what it starts from: the published models with the rates and the decay of the paper, and
 * adapters in them with those of CLIP-LoRA (Zanella and Ben Ayed, arXiv 2405.18541).
 */
const recipes = {
  scratch: { lr: 1.5e-3, f_ratio: 2, weight_decay: 0.1 },
  small: { lr: 1e-3, f_ratio: 2, weight_decay: 0.1 },
  published: { lr: 5e-6, f_ratio: 10, weight_decay: 0.2 },
  adapters: { lr: 2e-4, f_ratio: 1, weight_decay: 0.01 },
} as const;

/** The weights that training starts from, and which model they are of. */
export interface Start {
  readonly path: string;
  readonly description: ModelDescription;
  readonly kind: 'small' | 'published';
}

/** The recipe of a run. */
export function recipeOf(init: Start | undefined, { adapter }: RunOptions): (typeof recipes)[keyof typeof recipes] {
  const kind = init?.kind ?? 'scratch';
  return recipes[kind === 'published' && adapter !== undefined ? 'adapters' : kind];
}

/** The checkpoint to start from, fetched where it is a hub name; undefined where none is asked for. */
export async function startOf(init: string | undefined, watch: ResolveOptions = {}): Promise<Start | undefined> {
  if (init === undefined) return undefined;
  const path = await resolveWeights(init, watch);
  const { description } = await withCheckpointFile(path, async (contents) => describeCheckpoint(contents));
  return { path, description, kind: description.vocabulary === 'clip' ? 'published' : 'small' };
}

/**
 * Opens the model of a run: of the sizes and the vocabulary of what it starts from, with its weights, or of `choices`
 * with initial ones. Its frames, input size, temporal head, adapter and templates are those of the configuration.
 * @throws CheckpointError where the weights do not fit.
 */
export async function openFrom(init: Start | undefined, config: Config, choices: ModelChoices): Promise<OpenedModel> {
  if (init === undefined) return openModel(describeModel(config, choices), config.seed);
  const { adapter: _, templates: __, ...known } = init.description;
  const { sizes, frames, temporal, adapter, templates } = describeModel(config, {
    sizes: known.sizes,
    vocabulary: known.vocabulary,
  });
  const opened = await openModel(
    {
      ...known,
      sizes,
      frames,
      ...(temporal && { temporal }),
      ...(adapter && { adapter }),
      ...(templates && { templates }),
    },
    config.seed,
  );
  await loadPretrained(opened.model, init.path, {
    otherHead: temporal !== known.temporal,
    otherResolution: sizes.vision.resolution !== known.sizes.vision.resolution,
  });
  return opened;
}
