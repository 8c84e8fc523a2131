/** One download of a file at a time: a second one waits. */
import { setTimeout as pause } from 'node:timers/promises';
import { InterruptedError, throwIfInterrupted } from '../interrupted.ts';
import { isLock, takeLock } from '../lock-file.ts';

/** Milliseconds between looks at a lock that another process holds. */
const INTERVAL = 200;
/** A lock of another computer tells nothing of its process: after an hour without a sign it counts as left over. */
const STALE_AFTER = 3_600_000;

/**
 * Runs `work` while `path.lock` names this process, so that several that want the same file do not write over each
 * other; waits for one that is at work. A lock whose process is gone is taken over.
 * @throws InterruptedError where the signal is set off while waiting
 */
export async function withLock<Result>(
  path: string,
  signal: AbortSignal | undefined,
  work: () => Promise<Result>,
): Promise<Result> {
  let taken = await takeLock(`${path}.lock`, { staleAfter: STALE_AFTER });
  while (!isLock(taken)) {
    throwIfInterrupted(signal);
    await waitAWhile(signal);
    taken = await takeLock(`${path}.lock`, { staleAfter: STALE_AFTER });
  }
  try {
    return await work();
  } finally {
    await taken.release();
  }
}

async function waitAWhile(signal: AbortSignal | undefined): Promise<void> {
  await pause(INTERVAL, undefined, signal && { signal }).catch(() => {
    throw new InterruptedError();
  });
}
