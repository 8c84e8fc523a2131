/** Models from checkpoint files of any known layout. */
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { modelOf, type OpenedCheckpoint, type OpenModelOptions } from './build-model.ts';
import type { CheckpointContents } from './contents.ts';
import type { TowerHeads } from './describe.ts';
import { checkpointPath, withCheckpointFile } from './files.ts';
import { readHuggingFaceConfig } from './hugging-face-config.ts';

export type { OpenedCheckpoint, OpenModelOptions } from './build-model.ts';

/**
 * Opens the model of a checkpoint: OpenAI's TorchScript archives, what torch.save wrote of CLIP, ActionCLIP or
 * mmaction2, Hugging Face's files, and this package's own. Sizes, temporal head and frames are read off the file; a
 * `config.json` beside a file of Hugging Face must say that it computes as OpenAI's CLIP does, if it is there.
 * @param path The file; of a checkpoint in several files its `.index.json`, or the folder of either.
 * @throws CheckpointError where the file cannot be read, or does not hold the model that was asked for.
 */
export async function openCheckpointModel(path: string, options: OpenModelOptions = {}): Promise<OpenedCheckpoint> {
  const file = await checkpointPath(path);
  return withCheckpointFile(file, async (contents) => {
    const heads = await headsBeside(file, contents);
    return modelOf(contents, { ...(heads === undefined ? {} : { heads }), ...options });
  });
}

/**
 * The attention heads that a `config.json` beside a file of Hugging Face tells, if there is one.
 * @throws CheckpointError where it says that the towers compute otherwise than OpenAI's.
 */
export async function headsBeside(
  file: string,
  { layout }: Pick<CheckpointContents, 'layout'>,
): Promise<TowerHeads | undefined> {
  if (layout !== 'huggingface') return undefined;
  const path = join(dirname(file), 'config.json');
  try {
    return readHuggingFaceConfig(await readFile(path, 'utf8'), path);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}
