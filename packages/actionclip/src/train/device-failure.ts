/** Training that its device ended. */
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import type { DeviceError } from '@actionclip/tensor';
import { LAST_CHECKPOINT } from './checkpoint.ts';
import type { Config } from './config.ts';
import { TrainingError } from './errors.ts';

/** What to tell of a device that was lost, or ran out of memory: why training stopped, and how it goes on. */
export async function stoppedByDevice(error: DeviceError, { output, resume }: Config): Promise<TrainingError> {
  const last = join(output.folder, LAST_CHECKPOINT);
  const written = await access(last).then(
    () => true,
    () => false,
  );
  const checkpoint = written ? last : resume;
  const hint = checkpoint === undefined ? 'no checkpoint was written yet: start again' : `resume from ${checkpoint}`;
  return new TrainingError(`Training stopped: ${error.message}`, hint, { cause: error });
}
