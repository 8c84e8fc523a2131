/**
 * What model a checkpoint holds: sizes by the shapes of its parameters, the temporal prompts by their names, and what
 * neither tells by the description that this package's own files have. Runs in browsers.
 */
import { TensorError } from '@actionclip/tensor';
import { type ClipSizes, inferSizes } from '@actionclip/transformer';
import type { TemporalHeadName } from '../model/temporal.ts';
import { templateSet, templateSetNames } from '../prompts/template-sets.ts';
import type { ModelDescription } from '../train/model-description.ts';
import { adapterOf } from './adapters.ts';
import type { CheckpointContents } from './contents.ts';
import { CheckpointError } from './errors.ts';

/** Attention heads of both towers. */
export interface TowerHeads {
  readonly vision: number;
  readonly text: number;
}

export interface DescribedCheckpoint {
  readonly description: ModelDescription & { readonly temporal: TemporalHeadName };
  /** The frames that the positions of the file were learned for; undefined where a table of the usual length tells nothing. */
  readonly learnedFrames: number | undefined;
  /** Texts of the classes of this package's own training checkpoints. */
  readonly labels: readonly string[] | undefined;
}

type Shapes = ReadonlyMap<string, readonly number[]>;

/** Frames of a clip where nothing tells. */
const USUAL_FRAMES = 8;
/** No clip has more frames: a model's tables of positions are as long, whatever a file says. */
export const MAXIMUM_FRAMES = 4096;
const FRAME_POSITIONS = 'fusion.frame_position_embeddings.weight';
const CLASS_POSITIONS = 'fusion.transformer.pos_embed';
const TIME_EMBEDDING = 'visual.time_embedding';

/** A parameter that only this head has, and what stands before the number of each of its layers. */
const HEADS: readonly { readonly head: TemporalHeadName; readonly marker: string; readonly layers?: string }[] = [
  { head: 'Transf_cls', marker: CLASS_POSITIONS, layers: 'fusion.transformer.transformer_enc.layers.' },
  {
    head: 'Transf',
    marker: 'fusion.transformer.resblocks.0.attn.in_proj_weight',
    layers: 'fusion.transformer.resblocks.',
  },
  { head: 'LSTM', marker: 'fusion.lstm_visual.weight_ih_l0' },
  { head: 'Conv_1D', marker: 'fusion.shift.weight' },
];

/**
 * @param heads Attention heads where they are not one for each 64 columns; this package's own description comes first.
 * @throws CheckpointError where the shapes are not those of such a model.
 */
export function describeCheckpoint(contents: CheckpointContents, heads?: TowerHeads): DescribedCheckpoint {
  const { source, tensors, shifted } = contents;
  const shapes: Shapes = new Map([...tensors].map(([name, { shape }]) => [name, shape]));
  const own = ownDescription(contents);
  const sizes = sizesOf(shapes, own ? headsOf(own.sizes) : heads, source);
  const { head, layers } = headOf(shapes, source);
  requireEqual(source, 'temporal head', own?.temporal, head);
  const joint = shapes.has(TIME_EMBEDDING);
  if (joint && head !== 'meanP') {
    throw new CheckpointError(`${source}: the joint prompt with the head ${head}`, 'joint goes with meanP alone');
  }
  const adapter = adapterOf(contents);
  const learnedFrames = own?.frames ?? framesOf(shapes, sizes.text.context);
  return {
    description: {
      ...own,
      sizes,
      frames: learnedFrames ?? USUAL_FRAMES,
      temporal: head,
      joint,
      shift: own?.shift ?? shifted,
      scrambledConvolution: own?.scrambledConvolution ?? head === 'Conv_1D',
      ...(layers === undefined ? {} : { temporalLayers: layers }),
      ...(adapter === undefined ? {} : { adapter }),
      vocabulary: own?.vocabulary ?? 'clip',
    },
    learnedFrames,
    labels: own && labelsOf(contents),
  };
}

const headsOf = ({ vision, text }: ClipSizes): TowerHeads => ({ vision: vision.heads, text: text.heads });

/** The sizes by the shapes, which are checked as far as memory depends on them: a model is as large as its file. */
function sizesOf(shapes: Shapes, heads: TowerHeads | undefined, source: string): ClipSizes {
  let inferred: ClipSizes;
  try {
    inferred = inferSizes(shapes);
  } catch (cause) {
    if (!(cause instanceof TensorError)) throw cause;
    const { message, hint } = cause;
    const problem = hint === '' ? message : message.slice(0, -`; ${hint}`.length);
    throw new CheckpointError(`${source}: ${problem}`, hint || 'expected is a whole model', { cause });
  }
  const sizes = {
    ...inferred,
    vision: { ...inferred.vision, heads: heads?.vision ?? inferred.vision.heads },
    text: { ...inferred.text, heads: heads?.text ?? inferred.text.heads },
  };
  const towers = [
    ['visual.transformer.resblocks.', 'image tower', sizes.vision],
    ['transformer.resblocks.', 'text tower', sizes.text],
  ] as const;
  for (const [prefix, tower, part] of towers) {
    const wrong = Object.entries({ embedding: sizes.embedding, ...part }).find(
      ([, size]) => !Number.isSafeInteger(size) || size < 1,
    );
    if (wrong) throw notSizes(source, `the ${tower}'s ${wrong[0]} is ${wrong[1]} by the shapes of its parameters`);
    if (part.width % part.heads !== 0) {
      throw notSizes(source, `the ${tower}'s width of ${part.width} does not divide into ${part.heads} heads`);
    }
    requireBlocks(shapes, prefix, part, source);
  }
  return sizes;
}

/** Every block must have its largest weight, so that no number of blocks or width is announced that is not there. */
function requireBlocks(
  shapes: Shapes,
  prefix: string,
  { layers, width }: { layers: number; width: number },
  source: string,
): void {
  for (let layer = 0; layer < layers; layer++) {
    const name = `${prefix}${layer}.attn.in_proj_weight`;
    const shape = shapes.get(name);
    if (shape?.length !== 2 || shape[0] !== 3 * width || shape[1] !== width) {
      const found = shape ? `is [${shape}]` : 'is missing';
      throw notSizes(source, `${name} ${found}, expected [${3 * width},${width}]`);
    }
  }
}

const notSizes = (source: string, problem: string): CheckpointError =>
  new CheckpointError(`${source}: ${problem}`, 'expected is a CLIP model with a vision transformer');

function headOf(shapes: Shapes, source: string): { head: TemporalHeadName; layers?: number } {
  const found = HEADS.find(({ marker }) => shapes.has(marker));
  if (found === undefined) {
    const [name] = [...shapes.keys()].filter((key) => key.startsWith('fusion.'));
    if (name === undefined) return { head: 'meanP' };
    throw new CheckpointError(
      `${source}: a temporal head of no known kind, with ${name}`,
      `known are ${HEADS.map(({ head }) => head).join(', ')}`,
    );
  }
  const { head, layers: prefix } = found;
  if (prefix === undefined) return { head };
  const numbers = [...shapes.keys()].flatMap((name) =>
    name.startsWith(prefix) ? [name.slice(prefix.length).split('.')[0]] : [],
  );
  return { head, layers: new Set(numbers).size };
}

/** The frames that the file's own tables are for. */
function framesOf(shapes: Shapes, context: number): number | undefined {
  const classPositions = shapes.get(CLASS_POSITIONS)?.[1];
  if (classPositions !== undefined) return Math.max(1, classPositions - 1);
  const time = shapes.get(TIME_EMBEDDING)?.[0];
  if (time !== undefined) return Math.max(1, time);
  // The released code gives the table a row for each place of a text; mmaction2 cuts it to the frames of a clip.
  const rows = shapes.get(FRAME_POSITIONS)?.[0];
  return rows !== undefined && rows >= 1 && rows !== context ? rows : undefined;
}

function ownDescription({ source, scalars }: CheckpointContents): ModelDescription | undefined {
  const text = scalars.get('description');
  if (typeof text !== 'string') return undefined;
  const value = parsed(text);
  if (!isDescription(value)) {
    throw new CheckpointError(`${source}: the metadata has no readable description`, 'the file is damaged');
  }
  if (value.templates !== undefined && templateSet(value.templates) === undefined) {
    throw new CheckpointError(
      `${source}: it was trained with the templates "${value.templates}", which are not among ${templateSetNames.join(', ')}`,
      'the file is damaged, or of a later version of this package',
    );
  }
  return value;
}

function labelsOf({ source, scalars }: CheckpointContents): readonly string[] | undefined {
  const text = scalars.get('labels');
  if (typeof text !== 'string') return undefined;
  const value = parsed(text);
  if (!Array.isArray(value) || !value.every((label) => typeof label === 'string')) {
    throw new CheckpointError(`${source}: the metadata has no readable labels`, 'the file is damaged');
  }
  return value;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && Number(value) >= 1;
/** Whether a clip can have so many frames. */
export const isFrames = (value: unknown): boolean => isCount(value) && Number(value) <= MAXIMUM_FRAMES;
const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;

/** Whether the parts that are read here are there; the vocabulary is checked when a tokenizer is made of it. */
function isDescription(value: unknown): value is ModelDescription {
  if (!isRecord(value) || !isRecord(value.sizes)) return false;
  const { vision, text } = value.sizes;
  return isRecord(vision) && isRecord(text) && isCount(vision.heads) && isCount(text.heads) && isFrames(value.frames);
}

function requireEqual(source: string, what: string, described: string | undefined, found: string): void {
  if (described === undefined || described === found) return;
  throw new CheckpointError(
    `${source}: its description says ${what} ${described}, its parameters are those of ${found}`,
    'the file is damaged',
  );
}
