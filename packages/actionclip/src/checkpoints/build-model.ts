/** A model of what a checkpoint holds, with the checkpoint's values. Runs in browsers. */
import { defaultDevice, Generator, OutOfMemoryError } from '@actionclip/tensor';
import { BytePairTokenizer, createClipTokenizer, loadCharacterReferences, TokenizerError } from '@actionclip/tokenizer';
import { ActionCLIP } from '../model/action-clip.ts';
import type { TemporalHeadName } from '../model/temporal.ts';
import type { ModelDescription } from '../train/model-description.ts';
import { modelOptions } from '../train/model-options.ts';
import type { CheckpointContents } from './contents.ts';
import { type DescribedCheckpoint, describeCheckpoint, isFrames, MAXIMUM_FRAMES, type TowerHeads } from './describe.ts';
import { CheckpointError } from './errors.ts';
import { fillModel } from './fill.ts';
import type { LayoutName } from './names.ts';

export interface OpenModelOptions {
  /**
   * The temporal head; that of the file if absent, which for plain CLIP is meanP. With meanP the weights of the file's
   * head stay unused. Another head than the file's is refused unless `untrainedHead` is set.
   */
  readonly temporal?: TemporalHeadName;
  /** Whether `temporal` may name a head that the file does not have, and that starts from random weights then. */
  readonly untrainedHead?: boolean;
  /**
   * Frames of a clip. If absent, those of the file where it tells (its description, the positions of Transf_cls and of
   * the joint prompt, a table of frame positions that was cut to them), else 8. Positions that were learned for another
   * number are interpolated, linearly in time.
   */
  readonly frames?: number;
  /**
   * Side of the square input in pixels, a multiple of the patch; that of the file if absent. The positions of patches
   * are interpolated (bicubic).
   */
  readonly resolution?: number;
  /** Attention heads of the towers where the file does not tell; one for each 64 columns if absent. */
  readonly heads?: TowerHeads;
  /** Makes CLIP's tokenizer for a model that has no vocabulary of its own; `createClipTokenizer`, which needs Node, if absent. */
  readonly clipTokenizer?: () => Promise<BytePairTokenizer>;
}

export interface OpenedCheckpoint {
  /** In evaluation mode. */
  readonly model: ActionCLIP;
  /**
   * CLIP's tokenizer, or the one in the description of this package's own files.
   * @throws CheckpointError when it is asked for and the file has neither CLIP's vocabulary nor its own.
   */
  readonly tokenizer: BytePairTokenizer;
  /** The model as it is, overrides included. Its vocabulary is CLIP's unless the file has its own. */
  readonly description: ModelDescription;
  readonly layout: LayoutName;
  /** Texts of the classes, from this package's own training checkpoints. */
  readonly labels?: readonly string[];
  /** Usually the path. */
  readonly source: string;
  /** Parameters with random values, since the file does not have them: none but those of an untrained head. */
  readonly untrained: readonly string[];
  /** Parameters of the file that the model does not have: none but those of a temporal head that was not asked for. */
  readonly unused: readonly string[];
}

const isOfHead = (name: string): boolean => name.startsWith('fusion.');

/**
 * Builds the model of a checkpoint on the default device. The values go from the file to the device piece by piece;
 * nothing that the file has is initialised.
 * @throws CheckpointError where the file does not hold a whole model, or not the one that was asked for;
 *   OutOfMemoryError where the device cannot hold it. Nothing of it is left on the device then.
 */
export async function modelOf(contents: CheckpointContents, options: OpenModelOptions = {}): Promise<OpenedCheckpoint> {
  const { source, layout } = contents;
  const found = describeCheckpoint(contents, options.heads);
  const description = overridden(found.description, options, source);
  const otherHead = description.temporal !== found.description.temporal;
  const model = new ActionCLIP({ ...modelOptions(description), generator: new Generator(0) }).eval();
  await refuseTooLarge(model, source);
  const release = (error: unknown): never => {
    for (const parameter of model.parameters()) parameter.dispose();
    throw error;
  };
  // The vocabulary is put together while the values are read.
  const [{ missing, unused }, tokenizer] = await Promise.all([
    fillModel(model, contents, {
      interpolatePositions: options.resolution !== undefined,
      interpolateFrames: found.learnedFrames ?? 'unknown',
      mayBeMissing: (name) => otherHead && isOfHead(name),
      mayBeUnused: (name) => otherHead && isOfHead(name),
    }).catch(release),
    tokenizerOf(description, source, options.clipTokenizer),
  ]);
  if (missing.length > 0) await model.initialize();
  return {
    model,
    get tokenizer(): BytePairTokenizer {
      if (tokenizer instanceof BytePairTokenizer) return tokenizer;
      throw tokenizer;
    },
    description,
    layout,
    ...(found.labels === undefined ? {} : { labels: found.labels }),
    source,
    untrained: missing,
    unused,
  };
}

/** @throws OutOfMemoryError before gigabytes are read of what can never be held. */
async function refuseTooLarge(model: ActionCLIP, source: string): Promise<void> {
  const { memoryBytes = Number.POSITIVE_INFINITY } = (await (await defaultDevice()).backend()).limits;
  const bytes = 4 * model.parameterCount();
  if (bytes <= memoryBytes) return;
  throw new OutOfMemoryError(
    `${source}: its parameters take ${bytes} bytes, and the device holds ${memoryBytes}`,
    'choose a smaller model, or another device',
  );
}

function overridden(
  found: DescribedCheckpoint['description'],
  { temporal = found.temporal, untrainedHead, frames = found.frames, resolution }: OpenModelOptions,
  source: string,
): ModelDescription {
  if (found.joint && temporal !== 'meanP') {
    throw new CheckpointError(`${source}: the joint prompt gives one feature a clip`, 'choose the temporal head meanP');
  }
  if (temporal !== found.temporal && temporal !== 'meanP' && !untrainedHead) {
    throw new CheckpointError(
      `${source}: its temporal head is ${found.temporal}, and ${temporal} would start from random weights`,
      `choose ${[...new Set([found.temporal, 'meanP'])].join(' or ')}, or ask for an untrained head`,
    );
  }
  if (!isFrames(frames)) {
    throw new CheckpointError(
      `${source}: ${frames} frames were asked for`,
      `choose a whole number from 1 to ${MAXIMUM_FRAMES}`,
    );
  }
  const { vision } = found.sizes;
  const side = resolution ?? vision.resolution;
  if (!Number.isSafeInteger(side) || side < 1 || side % vision.patch !== 0) {
    throw new CheckpointError(
      `${source}: a resolution of ${side} does not divide into patches of ${vision.patch}`,
      `choose a multiple of ${vision.patch}`,
    );
  }
  const { temporalLayers, shortSide, ...others } = found;
  return {
    ...others,
    ...(temporal === found.temporal && temporalLayers !== undefined ? { temporalLayers } : {}),
    ...(shortSide === undefined ? {} : { shortSide: Math.round((shortSide * side) / vision.resolution) }),
    sizes: { ...found.sizes, vision: { ...vision, resolution: side } },
    frames,
    temporal,
  };
}

/** The tokenizer of a model, or the error for those who ask for it where there is none. */
async function tokenizerOf(
  { vocabulary, sizes }: ModelDescription,
  source: string,
  clipTokenizer: () => Promise<BytePairTokenizer> = createClipTokenizer,
): Promise<BytePairTokenizer | CheckpointError> {
  const rows = sizes.text.vocabulary;
  if (vocabulary === 'clip') {
    if (rows !== CLIP_VOCABULARY) {
      return new CheckpointError(
        `${source}: its text tower knows ${rows} tokens, CLIP's vocabulary has ${CLIP_VOCABULARY}`,
        'a vocabulary of its own stands only in files that this program wrote',
      );
    }
    return clipTokenizer();
  }
  await loadCharacterReferences();
  try {
    const tokenizer = BytePairTokenizer.fromJSON(vocabulary);
    if (tokenizer.vocabularySize <= rows) return tokenizer;
    throw new CheckpointError(
      `${source}: its vocabulary has ${tokenizer.vocabularySize} tokens, its text tower ${rows}`,
      'the file is damaged',
    );
  } catch (cause) {
    if (!(cause instanceof TokenizerError)) throw cause;
    throw new CheckpointError(`${source}: its vocabulary cannot be read (${cause.message})`, 'the file is damaged', {
      cause,
    });
  }
}

const CLIP_VOCABULARY = 49408;
