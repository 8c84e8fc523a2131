/**
 * From a checkpoint of any known layout to a safetensors file of another, or to a mixture of two checkpoints. What LoRA
 * has learnt is merged into the weights.
 */
import { readFile, realpath } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { ModelDescription } from '../train/model-description.ts';
import { mergeLora } from './adapters.ts';
import { writeFileAtomically } from './atomic-file.ts';
import type { CheckpointContents } from './contents.ts';
import { type DescribedCheckpoint, describeCheckpoint } from './describe.ts';
import { CheckpointError } from './errors.ts';
import { checkpointPath, withCheckpointFile } from './files.ts';
import { interpolateWeights } from './interpolate-weights.ts';
import { requireWholeModel } from './model-shapes.ts';
import { isTemporal } from './names.ts';
import { headsBeside } from './open-model.ts';
import { ownMetadata } from './own-layout.ts';
import type { FloatDtype } from './precision.ts';
import { transformersConfig } from './transformers-config.ts';
import {
  type ReadableTensors,
  tensorsInLayout,
  tensorsInPrecision,
  type WriteOptions,
  writeSafetensors,
} from './write.ts';

/**
 * `actionclip` is CLIP's names with the temporal head under `fusion.` and the model's description in the metadata:
 * everything that a checkpoint says of the model. `openai` and `huggingface` are what programs for CLIP read, by OpenAI's
 * names or those of transformers' CLIPModel (with its `config.json` beside), and have no place for temporal prompts.
 */
export type TargetLayout = 'actionclip' | 'openai' | 'huggingface';

export const targetLayouts = ['actionclip', 'openai', 'huggingface'] as const satisfies readonly TargetLayout[];

export interface ConversionOptions extends Pick<WriteOptions, 'signal' | 'onProgress'> {
  readonly to: TargetLayout;
  /** Each tensor's own if absent; `f32` where weights are mixed. */
  readonly dtype?: FloatDtype;
  /** Leaves the temporal prompts out: what remains is CLIP. */
  readonly dropTemporal?: boolean;
  /** Mixes in so much of the weights that the model was fine-tuned from: see `interpolateWeights`. */
  readonly interpolate?: { readonly pretrained: string; readonly alpha: number };
}

export interface Conversion {
  /** The weights first. */
  readonly files: readonly string[];
  readonly tensors: number;
  /** What is written, without what was dropped. */
  readonly description: ModelDescription;
  /** Temporal prompts that were left out, by this package's names; `shift` has no parameters and stands for itself. */
  readonly dropped: readonly string[];
}

/**
 * Writes the weights of one checkpoint as another, atomically, tensor by tensor.
 * @param from A checkpoint of any known layout; of a sharded one its index or folder.
 * @param to The .safetensors file.
 * @throws CheckpointError where the checkpoint cannot be read, is no whole model, or has parts that the layout cannot hold.
 */
export async function convertCheckpoint(from: string, to: string, options: ConversionOptions): Promise<Conversion> {
  if (!to.endsWith('.safetensors')) {
    throw new CheckpointError(`${to}: what is written is a safetensors file`, 'end its name in .safetensors');
  }
  await refuseSameFile(to, from, ...(options.interpolate ? [options.interpolate.pretrained] : []));
  return withCheckpointFile(from, async (given) => {
    const { interpolate } = options;
    const heads = await headsBeside(await checkpointPath(from), given);
    const { description } = describeCheckpoint(given, heads);
    requireWholeModel(given, description);
    const contents = mergeLora(given);
    const described = describeCheckpoint(contents, heads);
    if (interpolate === undefined) return write({ contents, described, weights: contents.tensors }, to, options);
    return withCheckpointFile(interpolate.pretrained, (pretrained) => {
      const weights = interpolateWeights(mergeLora(pretrained), contents, interpolate.alpha);
      return write({ contents, described, weights }, to, options);
    });
  });
}

interface Source {
  readonly contents: CheckpointContents;
  readonly described: DescribedCheckpoint;
  /** Those of `contents`, or a mixture. */
  readonly weights: ReadableTensors;
}

async function write(
  { contents: { source }, described, weights }: Source,
  path: string,
  { to, dtype, dropTemporal = false, ...writing }: ConversionOptions,
): Promise<Conversion> {
  if (to === 'openai') requireUsualHeads(described.description, source);
  const dropped = dropTemporal || to !== 'actionclip' ? temporalParts(weights, described.description) : [];
  if (dropped.length > 0 && !dropTemporal) {
    throw new CheckpointError(
      `${source}: the ${to} layout has no place for its temporal prompts (${promptsOf(described.description)})`,
      'write the actionclip layout, or drop them (--drop-temporal) and keep CLIP',
    );
  }
  const kept: ReadableTensors = new Map([...weights].filter(([name]) => !dropTemporal || !isTemporal(name)));
  const rounded = dtype === undefined ? kept : tensorsInPrecision(kept, dtype, source);
  const description = dropTemporal ? withoutTemporal(described.description) : described.description;
  const tensors = to === 'actionclip' ? rounded : tensorsInLayout(rounded, to, source);
  const config = to === 'huggingface' ? transformersConfig(description.sizes, rounded) : undefined;
  const configPath = join(dirname(path), 'config.json');
  if (config !== undefined) await refuseOtherConfig(configPath, config);
  const metadata = to === 'actionclip' ? ownMetadata(description, described.labels) : FOR_TORCH;
  await writeSafetensors(path, tensors, { metadata, ...writing });
  if (config !== undefined) await writeFileAtomically(configPath, config);
  return { files: config === undefined ? [path] : [path, configPath], tensors: tensors.size, description, dropped };
}

/** What transformers asks of a file that it is to read. */
const FOR_TORCH: ReadonlyMap<string, string> = new Map([['format', 'pt']]);

function temporalParts(weights: ReadableTensors, { shift }: ModelDescription): string[] {
  return [...[...weights.keys()].filter(isTemporal), ...(shift ? ['shift'] : [])];
}

function promptsOf({ temporal = 'meanP', joint, shift, adapter }: ModelDescription): string {
  const all = { [temporal]: temporal !== 'meanP', joint, shift, 'ST-Adapters': adapter !== undefined };
  return Object.keys(all)
    .filter((name) => all[name])
    .join(', ');
}

/** Programs for OpenAI's state dicts take the heads from the width, so that a file with others would be another model. */
function requireUsualHeads({ sizes: { vision, text } }: ModelDescription, source: string): void {
  for (const { width, heads } of [vision, text]) {
    if (heads === Math.max(1, Math.floor(width / HEAD_WIDTH))) continue;
    throw new CheckpointError(
      `${source}: the openai layout cannot tell of ${heads} attention heads at a width of ${width}`,
      'write the actionclip or the huggingface layout, which say how many there are',
    );
  }
}

const HEAD_WIDTH = 64;

function withoutTemporal(description: ModelDescription): ModelDescription {
  const { temporalLayers: _, positionDeviation: __, scrambledConvolution: ___, adapter: ____, ...clip } = description;
  return { ...clip, temporal: 'meanP', joint: false, shift: false };
}

async function refuseSameFile(to: string, ...sources: readonly string[]): Promise<void> {
  const target = await realpath(to).catch(() => undefined);
  for (const given of sources) {
    const source = await checkpointPath(given);
    if (target !== undefined && target === (await realpath(source).catch(() => undefined))) {
      throw new CheckpointError(`${to} is the file that is read`, 'write to another one');
    }
  }
}

async function refuseOtherConfig(path: string, config: string): Promise<void> {
  const there = await readFile(path, 'utf8').catch(() => config);
  if (there === config) return;
  throw new CheckpointError(
    `${path} is there already, for another model`,
    'write to a folder of its own, as model.safetensors: transformers reads the two together',
  );
}
