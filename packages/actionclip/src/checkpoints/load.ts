/** Checkpoints of any known program, read whole, by this package's parameter names. Runs in browsers. */
import type { StateDict } from '@actionclip/tensor';
import { arrange } from './arrange.ts';
import type { ByteSource } from './byte-source.ts';
import { type CheckpointContents, openCheckpoint, unknownLayout } from './contents.ts';
import { detectLayout, type LayoutName } from './names.ts';
import { concatenateRows, transpose } from './rearrange.ts';
import type { TorchScalars } from './torch.ts';

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
  return readContents(await openCheckpoint(bytes));
}

/** Reads all tensors of a checkpoint that was opened. */
export async function readContents({
  source,
  layout,
  dropped,
  scalars,
  ...contents
}: CheckpointContents): Promise<Checkpoint> {
  const tensors: StateDict = new Map();
  for (const [name, tensor] of contents.tensors) tensors.set(name, await tensor.read());
  return { source, layout, tensors, dropped, scalars };
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
  const layout = detectLayout(new Set(tensors.keys()));
  if (layout === undefined) throw unknownLayout(source, tensors.keys());
  return arrange(tensors, layout, source, { transpose, concatenate: concatenateRows });
}
