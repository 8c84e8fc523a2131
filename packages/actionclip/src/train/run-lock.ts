/** One run in a folder at a time: a second one is refused. */
import { mkdir } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { isLock, type Lock, type LockOwner, takeLock } from '../lock-file.ts';
import { TrainingError } from './errors.ts';

export const LOCK_FILE = 'run.lock';

/**
 * Takes the folder of a run for this process, until `release` or the end of the process. The lock of a process of this
 * machine that is gone is taken over. Folders on the way are made.
 * @param onTakeover Told, as one sentence, of a lock that was taken over.
 * @throws TrainingError where another run is at work in the folder, or may be: on another machine, that cannot be told.
 */
export async function takeRunLock(folder: string, onTakeover: (message: string) => void = () => {}): Promise<Lock> {
  await mkdir(folder, { recursive: true });
  const taken = await takeLock(join(folder, LOCK_FILE), {
    onTakeover: (owner) => onTakeover(takeover(folder, owner)),
  });
  if (!isLock(taken)) throw refusal(folder, taken);
  return taken;
}

function takeover(folder: string, owner: LockOwner | undefined): string {
  const who = owner === undefined ? 'a run' : `process ${owner.pid} (since ${owner.start})`;
  return `${folder}: taking over the lock of ${who}, which ended without removing it`;
}

function refusal(folder: string, { pid, host, start }: LockOwner): TrainingError {
  const here = host === hostname();
  const lock = join(folder, LOCK_FILE);
  return new TrainingError(
    `${folder}: another run is at work in this folder: process ${pid} ${here ? 'of this machine' : `of ${host}`}, since ${start}`,
    `give another folder with --out, wait for its end, or, if ${here ? `process ${pid} is no run` : 'it no longer runs there'}, remove ${lock}`,
  );
}
