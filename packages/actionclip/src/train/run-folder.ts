/** The folder of a run: one run at a time is at work in it, and whatever stops that run, it is told how to go on. */
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { DeviceError } from '@actionclip/tensor';
import { removeAbandonedWrites } from '../checkpoints/atomic-file.ts';
import { codeOf } from '../data/errors.ts';
import { LAST_CHECKPOINT } from './checkpoint.ts';
import type { Config } from './config.ts';
import { TrainingError } from './errors.ts';
import { takeRunLock } from './run-lock.ts';

/**
 * Does the work of a run with its folder locked, after clearing away what killed runs left there. A run that only
 * evaluates writes nothing and locks nothing.
 * @param onMessage Told what a person should know of the folder.
 * @throws TrainingError where another run is at work in the folder, the device fails, or the disk is full.
 */
export async function inRunFolder<Result>(
  config: Config,
  onMessage: (message: string) => void,
  work: () => Promise<Result>,
): Promise<Result> {
  const { folder } = config.output;
  const lock = config.evaluateOnly ? undefined : await takeRunLock(folder, onMessage);
  try {
    if (lock !== undefined) await removeAbandonedWrites(folder);
    return await work();
  } catch (error) {
    const reason = reasonOf(error, folder);
    throw reason === undefined ? error : await stopped(reason, error, config);
  } finally {
    await lock?.release();
  }
}

/** What the system says where nothing more can be written. */
const fullDisk: ReadonlySet<string> = new Set(['ENOSPC', 'EDQUOT', 'EFBIG']);

/** Why a run cannot go on, where that is no fault of its data or its configuration. */
function reasonOf(error: unknown, folder: string): string | undefined {
  if (error instanceof DeviceError) return error.message;
  if (!(error instanceof Error) || !fullDisk.has(codeOf(error))) return undefined;
  return `nothing more can be written to ${folder} (${error.message}); make room there`;
}

/** What to tell of it: why training stopped, and how it goes on. */
async function stopped(reason: string, cause: unknown, { output, resume }: Config): Promise<TrainingError> {
  const last = join(output.folder, LAST_CHECKPOINT);
  const written = await access(last).then(
    () => true,
    () => false,
  );
  const checkpoint = written ? last : resume;
  const hint = checkpoint === undefined ? 'no checkpoint was written yet: start again' : `resume from ${checkpoint}`;
  return new TrainingError(`Training stopped: ${reason}`, hint, { cause });
}
