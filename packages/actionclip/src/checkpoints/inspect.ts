/** What a checkpoint file is, without reading its values. */
import { CheckpointError } from './errors.ts';
import { checkpointPath, withTensorFile } from './files.ts';
import { type CheckpointInspection, inspectTensors } from './inspection.ts';
import { headsBeside } from './open-model.ts';

export type { CheckpointInspection, InspectedModel, InspectedTensor, TensorCount } from './inspection.ts';

/**
 * Looks through a checkpoint: its kind, its model, its counts, and what does not fit.
 * @param path The file; of a sharded checkpoint its `.index.json`, or the folder of either.
 * @throws CheckpointError where the file is damaged or is none of tensors.
 */
export async function inspectCheckpoint(path: string): Promise<CheckpointInspection> {
  const found = await checkpointPath(path);
  return withTensorFile(found, async (file) => {
    const inspection = inspectTensors(file);
    const { layout, problems } = inspection;
    if (layout === null) return inspection;
    try {
      const heads = await headsBeside(found, { layout });
      return heads === undefined ? inspection : inspectTensors(file, heads);
    } catch (error) {
      if (!(error instanceof CheckpointError)) throw error;
      return { ...inspection, problems: [...problems, error.message] };
    }
  });
}
