/** What a checkpoint file is, without reading its values. */
import { withTensorFile } from './files.ts';
import { type CheckpointInspection, inspectTensors } from './inspection.ts';

export type { CheckpointInspection, InspectedModel, InspectedTensor, TensorCount } from './inspection.ts';

/**
 * Looks through a checkpoint: its kind, its model, its counts, and what does not fit.
 * @param path The file; of a sharded checkpoint its `.index.json`, or the folder of either.
 * @throws CheckpointError where the file is damaged or is none of tensors.
 */
export async function inspectCheckpoint(path: string): Promise<CheckpointInspection> {
  return withTensorFile(path, async (file) => inspectTensors(file));
}
