/** One process at a time: a file that says which process is at work on another file. */
import { open, readFile, rm, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';
import { InterruptedError, throwIfInterrupted } from '../interrupted.ts';
import { isAlive } from '../process-alive.ts';
import { codeOf } from './errors.ts';

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
  const lock = `${path}.lock`;
  while (!(await take(lock))) {
    throwIfInterrupted(signal);
    if (await isLeftOver(lock)) await rm(lock, { force: true });
    else await waitAWhile(signal);
  }
  try {
    return await work();
  } finally {
    held.delete(lock);
    await rm(lock, { force: true });
  }
}

async function take(lock: string): Promise<boolean> {
  if (held.has(lock)) return false;
  try {
    const file = await open(lock, 'wx');
    held.add(lock);
    try {
      await file.writeFile(`${process.pid} ${hostname()}`);
    } finally {
      await file.close();
    }
    return true;
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false;
    throw error;
  }
}

async function isLeftOver(lock: string): Promise<boolean> {
  const [text, age] = await Promise.all([
    readFile(lock, 'utf8').catch(() => ''),
    stat(lock).then(
      ({ mtimeMs }) => Date.now() - mtimeMs,
      () => 0,
    ),
  ]);
  const [, pid, host] = /^(\d+) (.+)$/.exec(text) ?? [];
  if (pid === undefined || host !== hostname()) return age > STALE_AFTER;
  return Number(pid) === process.pid ? !held.has(lock) : !isAlive(Number(pid));
}

/** Locks of this process. In containers a process that died had the same number more often than not. */
const held = new Set<string>();

async function waitAWhile(signal: AbortSignal | undefined): Promise<void> {
  await pause(INTERVAL, undefined, signal && { signal }).catch(() => {
    throw new InterruptedError();
  });
}
