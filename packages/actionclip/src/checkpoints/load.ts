/**
 * From a checkpoint of any known program to this package's parameter names, and from there to the shapes that a
 * model expects. Nothing is guessed: what does not fit is listed in one error. Runs in browsers.
 */
import { type HostTensor, type StateDict, toFloat32 } from '@actionclip/tensor';
import type { ByteSource } from './byte-source.ts';
import { CheckpointError } from './errors.ts';
import { detectLayout, LAYOUTS, type Layout, type LayoutName, renameParameter, stateDictPaths } from './names.ts';
import { concatenateRows, interpolatedPositions, transpose } from './rearrange.ts';
import { openSafetensors } from './safetensors-source.ts';
import { looksLikePickle, looksLikeZip, openTorchArchive, type TorchScalars } from './torch.ts';

export interface Checkpoint {
  /** Shown in errors, usually the path. */
  readonly source: string;
  readonly layout: LayoutName;
  /** Parameters by this package's names, in the dtype in which the file holds them. */
  readonly tensors: StateDict;
  /** Parameters of the file that carry nothing of the model, by their names in the file. */
  readonly dropped: readonly string[];
  /** Plain values beside the tensors, such as `epoch`; a safetensors file's metadata. */
  readonly scalars: TorchScalars;
}

/**
 * Reads safetensors, torch.save and TorchScript files of OpenAI's CLIP, ActionCLIP, Hugging Face and mmaction2. An
 * optimizer's state is neither read nor returned.
 * @throws CheckpointError where the file is damaged, of another kind, or of no known layout.
 */
export async function readCheckpoint(bytes: ByteSource): Promise<Checkpoint> {
  const start = await bytes.read(0, Math.min(16, bytes.size));
  if (looksLikeZip(start)) return readTorch(bytes);
  if (looksLikePickle(start)) {
    throw new CheckpointError(
      `${bytes.name}: PyTorch's file format from before version 1.6`,
      'load it in PyTorch and save it again with torch.save',
    );
  }
  return readSafetensors(bytes);
}

async function readTorch(bytes: ByteSource): Promise<Checkpoint> {
  const archive = await openTorchArchive(bytes);
  const paths = stateDictPaths(archive.tensors.keys());
  if (paths.size === 0) {
    const unknown = archive.unknownNames.length === 0 ? '' : ` (it holds ${archive.unknownNames.join(', ')})`;
    throw new CheckpointError(`${bytes.name}: no tensors inside${unknown}`, 'expected is a state dict of a model');
  }
  const layout = requireLayout(new Set(paths.keys()), bytes.name);
  const read = await archive.read(paths.values());
  const tensors: StateDict = new Map();
  for (const [name, path] of paths) {
    const tensor = read.get(path);
    if (tensor !== undefined) tensors.set(name, tensor);
  }
  return { source: bytes.name, scalars: archive.scalars, ...convert(tensors, layout, bytes.name) };
}

async function readSafetensors(bytes: ByteSource): Promise<Checkpoint> {
  const file = await openSafetensors(bytes);
  const paths = stateDictPaths(file.entries.keys());
  const layout = requireLayout(new Set(paths.keys()), bytes.name);
  const tensors: StateDict = new Map();
  for (const [name, path] of paths) tensors.set(name, await file.read(path));
  return { source: bytes.name, scalars: file.metadata, ...convert(tensors, layout, bytes.name) };
}

/**
 * Renames a state dict into this package's names, joining query, key and value and transposing where the layout
 * has it otherwise.
 * @param source Named in errors.
 * @throws CheckpointError where the layout is unknown or a parameter has no place in it.
 */
export function convertStateDict(
  tensors: StateDict,
  source: string,
): Pick<Checkpoint, 'layout' | 'tensors' | 'dropped'> {
  return convert(tensors, requireLayout(new Set(tensors.keys()), source), source);
}

function requireLayout(names: ReadonlySet<string>, source: string): Layout {
  const layout = detectLayout(names);
  if (layout !== undefined) return layout;
  const markers = LAYOUTS.map(({ name, marker }) => `${marker} (${name})`).join(', ');
  throw new CheckpointError(
    `${source}: parameter names of no known layout: ${firstFew([...names])}`,
    `expected is one of ${markers}`,
  );
}

function convert(
  tensors: StateDict,
  layout: Layout,
  source: string,
): Pick<Checkpoint, 'layout' | 'tensors' | 'dropped'> {
  const converted: StateDict = new Map();
  const thirds = new Map<string, (HostTensor | undefined)[]>();
  const dropped: string[] = [];
  const unknown: string[] = [];
  for (const [name, tensor] of tensors) {
    const renaming = renameParameter(layout, name);
    if (renaming === 'dropped') dropped.push(name);
    else if (renaming === 'unknown') unknown.push(name);
    else if (renaming.third !== undefined) {
      const parts = thirds.get(renaming.name) ?? [undefined, undefined, undefined];
      parts[renaming.third] = tensor;
      thirds.set(renaming.name, parts);
    } else if (converted.has(renaming.name)) {
      throw new CheckpointError(`${source}: ${name} and another parameter are both ${renaming.name}`, 'remove one');
    } else converted.set(renaming.name, renaming.transpose ? transpose(tensor, `${source}: ${name}`) : tensor);
  }
  if (unknown.length > 0) {
    throw new CheckpointError(
      `${source}: ${unknown.length} parameters have no place in the ${layout.name} layout: ${firstFew(unknown)}`,
      'remove them from the file',
    );
  }
  for (const [name, parts] of thirds) converted.set(name, concatenateRows(parts, `${source}: ${name}`));
  return { layout: layout.name, tensors: converted, dropped };
}

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
}

export interface MatchedStateDict {
  /** In `f32` and in the model's shapes. */
  readonly tensors: StateDict;
  /** Parameters of the model that the file does not have and that `mayBeMissing` excused. */
  readonly missing: readonly string[];
  /** Parameters of the file that the model does not have and that `mayBeUnused` excused. */
  readonly unused: readonly string[];
}

const FRAME_POSITIONS = 'fusion.frame_position_embeddings.weight';
const PATCH_POSITIONS = 'visual.positional_embedding';

/**
 * Fits a checkpoint to a model.
 * @param expected The model's parameters with their shapes.
 * @throws CheckpointError that lists what is missing, what is too much and what has another shape.
 */
export function matchStateDict(
  expected: ReadonlyMap<string, readonly number[]>,
  checkpoint: Pick<Checkpoint, 'source' | 'tensors'>,
  options: MatchOptions = {},
): MatchedStateDict {
  const tensors: StateDict = new Map();
  const missing: string[] = [];
  const absent: string[] = [];
  const misshapen: string[] = [];
  for (const [name, shape] of expected) {
    const given = checkpoint.tensors.get(name);
    const fitted = given && fit(name, given, shape, options);
    if (fitted !== undefined) tensors.set(name, fitted);
    else if (given !== undefined) misshapen.push(`${name} is [${given.shape}], expected [${shape}]`);
    else if (options.mayBeMissing?.(name)) missing.push(name);
    else absent.push(`${name} [${shape}]`);
  }
  const unused: string[] = [];
  const unexpected: string[] = [];
  for (const [name, { shape }] of checkpoint.tensors) {
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
      `${checkpoint.source} does not fit the model: ${problems.join('; ')}`,
      'compare architecture, temporal head and number of frames with those of the checkpoint',
    );
  }
  return { tensors, missing, unused };
}

function fit(
  name: string,
  given: HostTensor,
  shape: readonly number[],
  { frames, interpolatePositions }: MatchOptions,
): HostTensor | undefined {
  if (given.shape.length === shape.length && given.shape.every((size, axis) => size === shape[axis])) {
    return toFloat32(given);
  }
  if (name === PATCH_POSITIONS && interpolatePositions && given.shape[1] === shape[1]) {
    return interpolatedPositions(toFloat32(given), shape);
  }
  const [rows = 0, width] = given.shape;
  const [expectedRows = 0, expectedWidth] = shape;
  const isShorterTable = name === FRAME_POSITIONS && given.shape.length === 2 && width === expectedWidth;
  if (!isShorterTable || frames === undefined || rows < frames || rows > expectedRows) return undefined;
  const data = new Float32Array(expectedRows * (expectedWidth ?? 0));
  data.set(toFloat32(given).data);
  return { dtype: 'f32', shape, data };
}

const SHOWN = 5;

function firstFew(items: readonly string[]): string {
  const rest = items.length - SHOWN;
  return items.slice(0, SHOWN).join(', ') + (rest > 0 ? ` and ${rest} more` : '');
}
