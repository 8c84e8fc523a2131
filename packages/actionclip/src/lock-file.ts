/** One process at a time: a file that says which process is at work, taken over where that process is gone. */
import { rmSync } from 'node:fs';
import { open, readFile, rename, rm, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { temporaryPath } from './checkpoints/atomic-file.ts';
import { codeOf } from './data/errors.ts';
import { isAlive } from './process-alive.ts';

/** Who holds a lock. */
export interface LockOwner {
  readonly pid: number;
  readonly host: string;
  /** ISO 8601. */
  readonly start: string;
}

export interface Lock {
  /** Lets the next one in. */
  release(): Promise<void>;
}

export interface LockOptions {
  /** Milliseconds after which a lock of another machine, whose processes cannot be asked for, is left over; never if absent. */
  readonly staleAfter?: number;
  /** Told of each lock that is taken over; undefined for one whose process was killed before it wrote its name. */
  readonly onTakeover?: (owner: LockOwner | undefined) => void;
}

/** Time for a process to write its name into the lock that it has just made, in milliseconds. */
const writingTime = 1000;

/** Locks of this process. In containers a process that died had the same number more often than not. */
const held = new Set<string>();

/** Takes a lock until `release` or the end of the process; where another one has it, gives its owner. */
export async function takeLock(file: string, options: LockOptions = {}): Promise<Lock | LockOwner> {
  const path = resolve(file);
  while (!(await create(path))) {
    const text = await readLock(path);
    if (text === undefined) continue;
    const owner = ownerOf(text);
    if (owner !== undefined && (await isAtWork(owner, path, options))) return owner;
    if (await clear(path, text)) options.onTakeover?.(owner);
  }
  const removeAtExit = (): void => rmSync(path, { force: true });
  process.on('exit', removeAtExit);
  return {
    async release() {
      process.off('exit', removeAtExit);
      await rm(path, { force: true });
      held.delete(path);
    },
  };
}

export const isLock = (taken: Lock | LockOwner): taken is Lock => 'release' in taken;

/** Makes the lock; false where there is one. */
async function create(path: string): Promise<boolean> {
  const owner: LockOwner = { pid: process.pid, host: hostname(), start: new Date().toISOString() };
  try {
    const file = await open(path, 'wx');
    held.add(path);
    try {
      await file.writeFile(`${JSON.stringify(owner)}\n`);
    } catch (error) {
      await rm(path, { force: true });
      held.delete(path);
      throw error;
    } finally {
      await file.close();
    }
    return true;
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false;
    throw error;
  }
}

/** What a lock says; undefined where it is gone by now. One that says nothing yet is given the time to. */
async function readLock(path: string): Promise<string | undefined> {
  const read = (): Promise<string | undefined> =>
    readFile(path, 'utf8').catch((error: unknown) => {
      if (codeOf(error) === 'ENOENT') return undefined;
      throw error;
    });
  const text = await read();
  if (text === undefined || ownerOf(text) !== undefined) return text;
  await pause(writingTime);
  return read();
}

/** Undefined for what a process that was killed while it wrote its name has left. */
function ownerOf(text: string): LockOwner | undefined {
  try {
    const value = JSON.parse(text) as Partial<LockOwner> | null;
    const { pid, host, start } = value ?? {};
    return typeof pid === 'number' && typeof host === 'string' && typeof start === 'string'
      ? { pid, host, start }
      : undefined;
  } catch {
    return undefined;
  }
}

async function isAtWork({ pid, host }: LockOwner, path: string, { staleAfter }: LockOptions): Promise<boolean> {
  if (host === hostname()) return pid === process.pid ? held.has(path) : isAlive(pid);
  if (staleAfter === undefined) return true;
  const made = await stat(path).catch(() => undefined);
  return made !== undefined && Date.now() - made.mtimeMs <= staleAfter;
}

/**
 * Removes a lock that says `expected`. The renaming is what only one of several processes succeeds in; a lock that
 * another one has made in the meantime is put back.
 */
async function clear(path: string, expected: string): Promise<boolean> {
  const aside = temporaryPath(path);
  try {
    await rename(path, aside);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false;
    throw error;
  }
  const isExpected = (await readFile(aside, 'utf8')) === expected;
  await (isExpected ? rm(aside) : rename(aside, path));
  return isExpected;
}
