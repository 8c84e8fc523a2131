/** Models from checkpoint files of any known layout. */
import { modelOf, type OpenedCheckpoint, type OpenModelOptions } from './build-model.ts';
import { withCheckpointFile } from './files.ts';

export type { OpenedCheckpoint, OpenModelOptions } from './build-model.ts';

/**
 * Opens the model of a checkpoint: OpenAI's TorchScript archives, what torch.save wrote of CLIP, ActionCLIP or
 * mmaction2, Hugging Face's files, and this package's own. Sizes, temporal head and frames are read off the file.
 * @param path The file; of a sharded checkpoint its `.index.json`, or the folder of either.
 * @throws CheckpointError where the file cannot be read, or does not hold the model that was asked for.
 */
export async function openCheckpointModel(path: string, options: OpenModelOptions = {}): Promise<OpenedCheckpoint> {
  return withCheckpointFile(path, (contents) => modelOf(contents, options));
}
