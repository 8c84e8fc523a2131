/**
 * From the parameters of a checkpoint to the shapes that a model expects. Nothing is guessed: what does not fit is
 * listed in one error. Runs in browsers.
 */
import { type HostTensor, type StateDict, toFloat32 } from '@actionclip/tensor';
import { CheckpointError } from './errors.ts';
import { firstFew } from './first-few.ts';
import type { Checkpoint } from './load.ts';
import { interpolatedFrames, interpolatedPositions } from './positions.ts';

export interface MatchOptions {
  /** Parameters that the model may keep at their initial values, such as a temporal head that CLIP does not have. */
  readonly mayBeMissing?: (name: string) => boolean;
  /** Parameters of the file that may stay unused, such as the temporal head when plain CLIP is wanted. */
  readonly mayBeUnused?: (name: string) => boolean;
  /**
   * Frames per clip of the model. A table of frame positions in the file may then have fewer rows than the model's
   * as long as there is one for each frame; the rows beyond are zero and never read.
   */
  readonly frames?: number;
  /** Whether the image tower's positions may be those of another resolution, between which they are then interpolated. */
  readonly interpolatePositions?: boolean;
  /**
   * Whether the positions of frames may be those of another number of frames, between which they are then interpolated:
   * those of so many frames that the file is known to be trained with, or 'unknown' where a table of the usual length
   * tells nothing. Needs `frames`.
   */
  readonly interpolateFrames?: number | 'unknown';
}

export interface MatchedStateDict {
  /** In `f32` and in the model's shapes. */
  readonly tensors: StateDict;
  /** Parameters of the model that the file does not have and that `mayBeMissing` excused. */
  readonly missing: readonly string[];
  /** Parameters of the file that the model does not have and that `mayBeUnused` excused. */
  readonly unused: readonly string[];
}

type Floats = HostTensor & { readonly dtype: 'f32'; readonly data: Float32Array };
type Shape = readonly number[];

/** What makes a parameter of a file one of the model: nothing, or a change of its whole value. */
export type Fit = 'as it is' | ((given: Floats) => HostTensor);

export interface MatchedNames {
  /** The parameters of the model that the file has. */
  readonly fits: ReadonlyMap<string, Fit>;
  readonly missing: readonly string[];
  readonly unused: readonly string[];
}

/**
 * Fits the names and shapes of a checkpoint to those of a model.
 * @throws CheckpointError that lists what is missing, what is too much and what has another shape.
 */
export function matchNames(
  expected: ReadonlyMap<string, Shape>,
  { source, tensors }: { readonly source: string; readonly tensors: ReadonlyMap<string, { readonly shape: Shape }> },
  options: MatchOptions = {},
): MatchedNames {
  const fits = new Map<string, Fit>();
  const missing: string[] = [];
  const absent: string[] = [];
  const misshapen: string[] = [];
  for (const [name, shape] of expected) {
    const given = tensors.get(name);
    const fitting = given && fit(name, given.shape, shape, options);
    if (fitting !== undefined) fits.set(name, fitting);
    else if (given !== undefined) misshapen.push(`${name} is [${given.shape}], expected [${shape}]`);
    else if (options.mayBeMissing?.(name)) missing.push(name);
    else absent.push(`${name} [${shape}]`);
  }
  const unused: string[] = [];
  const unexpected: string[] = [];
  for (const [name, { shape }] of tensors) {
    if (expected.has(name)) continue;
    if (options.mayBeUnused?.(name)) unused.push(name);
    else unexpected.push(`${name} [${shape}]`);
  }
  const problems = [
    ...(absent.length > 0 ? [`${absent.length} missing: ${firstFew(absent)}`] : []),
    ...(unexpected.length > 0 ? [`${unexpected.length} unexpected: ${firstFew(unexpected)}`] : []),
    ...(misshapen.length > 0 ? [`${misshapen.length} of another shape: ${firstFew(misshapen)}`] : []),
  ];
  if (problems.length > 0) {
    throw new CheckpointError(
      `${source} does not fit the model: ${problems.join('; ')}`,
      'compare architecture, temporal head and number of frames with those of the checkpoint',
    );
  }
  return { fits, missing, unused };
}

/**
 * Fits a checkpoint in memory to a model.
 * @param expected The model's parameters with their shapes.
 * @throws CheckpointError that lists what is missing, what is too much and what has another shape.
 */
export function matchStateDict(
  expected: ReadonlyMap<string, Shape>,
  checkpoint: Pick<Checkpoint, 'source' | 'tensors'>,
  options: MatchOptions = {},
): MatchedStateDict {
  const { fits, missing, unused } = matchNames(expected, checkpoint, options);
  const tensors: StateDict = new Map();
  for (const [name, fitting] of fits) {
    const floats = toFloat32(checkpoint.tensors.get(name) as HostTensor);
    tensors.set(name, fitting === 'as it is' ? floats : fitting(floats));
  }
  return { tensors, missing, unused };
}

/** Tables whose number of rows depends on the input, each with how it becomes one of another number. */
const TABLES: Readonly<Record<string, (given: Shape, shape: Shape, options: MatchOptions) => Fit | undefined>> = {
  'visual.positional_embedding': (given, shape, { interpolatePositions }) => {
    if (!interpolatePositions || given.length !== 2 || given[1] !== shape[1]) return undefined;
    if (!isGrid(given[0]) || !isGrid(shape[0])) return undefined;
    return (table) => interpolatedPositions(table, shape) as HostTensor;
  },
  'visual.time_embedding': (given, shape, { interpolateFrames }) =>
    interpolateFrames !== undefined && given.length === 2 && given[1] === shape[1] && hasRows(given[0])
      ? (table) => resized(table, shape, 0)
      : undefined,
  'fusion.transformer.pos_embed': (given, shape, { interpolateFrames }) =>
    interpolateFrames !== undefined && given.length === 3 && given[2] === shape[2] && hasRows((given[1] ?? 0) - 1)
      ? (table) => resized(table, shape, 1)
      : undefined,
  'fusion.frame_position_embeddings.weight': framePositions,
};

const isGrid = (rows = 0): boolean => rows > 1 && Number.isInteger(Math.sqrt(rows - 1));
const hasRows = (rows = 0): boolean => rows > 0;

function fit(name: string, given: Shape, shape: Shape, options: MatchOptions): Fit | undefined {
  const equal = given.length === shape.length && given.every((size, axis) => size === shape[axis]);
  const table = TABLES[name]?.(given, shape, options);
  if (!equal) return table;
  return name === FRAME_POSITIONS ? (table ?? 'as it is') : 'as it is';
}

const FRAME_POSITIONS = 'fusion.frame_position_embeddings.weight';

/**
 * The table of frame positions. Its first rows are used, one for each frame, and there are more of them than frames
 * where the file is one of the released code: then it is taken as it is.
 */
function framePositions(given: Shape, shape: Shape, { frames, interpolateFrames }: MatchOptions): Fit | undefined {
  const [rows = 0, width = 0] = given;
  const [expectedRows = 0, expectedWidth] = shape;
  if (given.length !== 2 || width !== expectedWidth || frames === undefined || rows === 0) return undefined;
  if (interpolateFrames === undefined && (rows < frames || rows > expectedRows)) return undefined;
  // As many rows as frames are used: the learned ones are taken to that number, and the others stay.
  const learned = Math.min(rows, typeof interpolateFrames === 'number' ? interpolateFrames : frames);
  if (learned === frames && rows === expectedRows) return 'as it is';
  return ({ data: table }) => {
    const data = new Float32Array(expectedRows * width);
    data.set(table.subarray(0, data.length));
    if (learned !== frames) data.set(interpolatedFrames(table.subarray(0, learned * width), width, frames));
    return { dtype: 'f32', shape, data };
  };
}

/** A table whose rows but the first `kept` are the positions of frames. */
function resized({ data }: Floats, shape: Shape, kept: number): HostTensor {
  const [rows = 0, width = 0] = shape.slice(-2);
  const result = new Float32Array(rows * width);
  result.set(data.subarray(0, kept * width));
  result.set(interpolatedFrames(data.subarray(kept * width), width, rows - kept), kept * width);
  return { dtype: 'f32', shape, data: result };
}
