/**
 * A model as plain data: sizes, temporal prompt and vocabulary. It stands in the checkpoints, so that a file alone is
 * enough to open its model.
 */
import { Generator } from '@actionclip/tensor';
import {
  BytePairTokenizer,
  createClipTokenizer,
  loadCharacterReferences,
  type SavedTokenizer,
} from '@actionclip/tokenizer';
import { type ClipSizes, type PresetName, presets } from '@actionclip/transformer';
import { ActionCLIP, type ActionClipOptions } from '../model/action-clip.ts';
import { nearest } from '../nearest.ts';
import type { TemplateSetName } from '../prompts/template-sets.ts';
import type { Config } from './config.ts';
import { ConfigError } from './config-file.ts';
import { modelOptions } from './model-options.ts';

export interface ModelDescription extends Omit<ActionClipOptions, 'generator'> {
  /** OpenAI's vocabulary, or one of the model's own. */
  readonly vocabulary: 'clip' | SavedTokenizer;
  /** Shorter side of evaluated frames, in pixels, before the centre crop; the released proportion if absent. */
  readonly shortSide?: number;
  /** The set of texts around the labels that it is trained with; the 16 of the paper if absent. */
  readonly templates?: TemplateSetName;
}

export interface OpenedModel {
  readonly description: ModelDescription;
  readonly model: ActionCLIP;
  readonly tokenizer: BytePairTokenizer;
  /** The source of the initial parameters and of dropout. */
  readonly generator: Generator;
}

/** What a description leaves open in a configuration: an architecture or a vocabulary of one's own. */
export interface ModelChoices {
  readonly sizes?: ClipSizes;
  readonly vocabulary?: ModelDescription['vocabulary'];
  readonly temporalLayers?: number;
  readonly positionDeviation?: number;
}

/**
 * The model that a configuration asks for.
 * @throws ConfigError for an architecture that is no preset, or an input that does not divide into patches.
 */
export function describeModel(config: Config, choices: ModelChoices = {}): ModelDescription {
  const { network, data, behaviour } = config;
  const preset = choices.sizes ?? presetOf(network.architecture);
  const { patch } = preset.vision;
  if (data.inputSize % patch !== 0) {
    throw new ConfigError([
      `data.input_size: ${data.inputSize} pixels do not divide into patches of ${patch}; choose a multiple`,
    ]);
  }
  return {
    sizes: { ...preset, vision: { ...preset.vision, resolution: data.inputSize } },
    frames: data.frames,
    temporal: network.temporalHead,
    joint: network.joint,
    shift: network.shift,
    scrambledConvolution: behaviour.conv1d === 'reshaped',
    dropout: network.dropout,
    embeddingDropout: network.embeddingDropout,
    ...(network.adapter === undefined ? {} : { adapter: network.adapter }),
    ...(choices.temporalLayers === undefined ? {} : { temporalLayers: choices.temporalLayers }),
    ...(choices.positionDeviation === undefined ? {} : { positionDeviation: choices.positionDeviation }),
    vocabulary: choices.vocabulary ?? 'clip',
    ...(data.templates === 'actionclip' ? {} : { templates: data.templates }),
  };
}

function presetOf(name: string): ClipSizes {
  const found = Object.hasOwn(presets, name) ? presets[name as PresetName] : undefined;
  if (found !== undefined) return found;
  const names = Object.keys(presets);
  const near = nearest(name, names);
  const advice = near.length > 0 ? `did you mean ${near.join(' or ')}?` : `known are ${names.join(', ')}`;
  throw new ConfigError([`network.arch: there is no architecture ${name}; ${advice}`]);
}

/** Makes a model with initial parameters drawn from `seed`, and its tokenizer. */
export async function openModel(description: ModelDescription, seed: number): Promise<OpenedModel> {
  const { vocabulary } = description;
  const generator = new Generator(seed);
  await loadCharacterReferences();
  const tokenizer = vocabulary === 'clip' ? await createClipTokenizer() : BytePairTokenizer.fromJSON(vocabulary);
  const { vocabulary: rows } = description.sizes.text;
  if (tokenizer.vocabularySize > rows) {
    throw new ConfigError([
      `network.arch: the vocabulary of ${tokenizer.vocabularySize} tokens needs more than the model's ${rows} rows`,
    ]);
  }
  const model = new ActionCLIP({ ...modelOptions(description), generator });
  await model.initialize();
  return { description, model, tokenizer, generator };
}
