/** Models between two checkpoints: one before and one after fine-tuning. */
import { mergeLora } from './adapters.ts';
import { modelOf, type OpenedCheckpoint, type OpenModelOptions } from './build-model.ts';
import { withCheckpointFile } from './files.ts';
import { interpolateWeights } from './interpolate-weights.ts';
import { wholeTensor } from './stored-tensor.ts';

/**
 * Opens the model of `finetuned` with the towers of both files mixed: see `interpolateWeights`.
 * @param alpha The share of `pretrained`, from 0 to 1.
 * @throws CheckpointError where a file cannot be read, or the towers differ.
 */
export async function openMixture(
  finetuned: string,
  pretrained: string,
  alpha: number,
  options: OpenModelOptions = {},
): Promise<OpenedCheckpoint> {
  return withCheckpointFile(finetuned, (after) =>
    withCheckpointFile(pretrained, (before) => {
      const [own, other] = [mergeLora(after), mergeLora(before)];
      const mixed = [...interpolateWeights(other, own, alpha)].map(
        ([name, tensor]) => [name, wholeTensor(tensor, () => tensor.read())] as const,
      );
      return modelOf({ ...own, tensors: new Map(mixed) }, options);
    }),
  );
}
