/** One run in a folder at a time: a file in it that says which process is at work there. */
import { rmSync } from 'node:fs';
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { temporaryPath } from '../checkpoints/atomic-file.ts';
import { codeOf } from '../data/errors.ts';
import { isAlive } from '../process-alive.ts';
import { TrainingError } from './errors.ts';

export const LOCK_FILE = 'run.lock';

export interface RunLock {
  /** Lets the next run in. */
  release(): Promise<void>;
}

/** Who is at work in a folder. */
interface Owner {
  readonly pid: number;
  readonly host: string;
  /** ISO 8601. */
  readonly start: string;
}

/** Time for a process to write its name into the lock that it has just made, in milliseconds. */
const writingTime = 1000;

/** Locks of this process. In containers a process that died had the same number more often than not. */
const held = new Set<string>();

/**
 * Takes the folder of a run for this process, until `release` or the end of the process. The lock of a process of this
 * machine that is gone is taken over. Folders on the way are made.
 * @param onTakeover Told, as one sentence, of a lock that was taken over.
 * @throws TrainingError where another run is at work in the folder, or may be: on another machine, that cannot be told.
 */
export async function takeRunLock(folder: string, onTakeover: (message: string) => void = () => {}): Promise<RunLock> {
  await mkdir(folder, { recursive: true });
  const path = resolve(folder, LOCK_FILE);
  while (!(await create(path))) {
    const text = await readLock(path);
    if (text === undefined) continue;
    const owner = ownerOf(text);
    if (owner !== undefined && isAtWork(owner, path)) throw refusal(folder, owner);
    if (await clear(path, text)) onTakeover(takeover(folder, owner));
  }
  held.add(path);
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

/** Makes the lock; false where there is one. */
async function create(path: string): Promise<boolean> {
  const owner: Owner = { pid: process.pid, host: hostname(), start: new Date().toISOString() };
  try {
    const file = await open(path, 'wx');
    try {
      await file.writeFile(`${JSON.stringify(owner)}\n`);
    } catch (error) {
      await rm(path, { force: true });
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
function ownerOf(text: string): Owner | undefined {
  try {
    const value = JSON.parse(text) as Partial<Owner> | null;
    const { pid, host, start } = value ?? {};
    return typeof pid === 'number' && typeof host === 'string' && typeof start === 'string'
      ? { pid, host, start }
      : undefined;
  } catch {
    return undefined;
  }
}

function isAtWork({ pid, host }: Owner, path: string): boolean {
  if (host !== hostname()) return true;
  return pid === process.pid ? held.has(path) : isAlive(pid);
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

function takeover(folder: string, owner: Owner | undefined): string {
  const who = owner === undefined ? 'a run' : `process ${owner.pid} (since ${owner.start})`;
  return `${folder}: taking over the lock of ${who}, which ended without removing it`;
}

function refusal(folder: string, { pid, host, start }: Owner): TrainingError {
  const here = host === hostname();
  const lock = join(folder, LOCK_FILE);
  return new TrainingError(
    `${folder}: another run is at work in this folder: process ${pid} ${here ? 'of this machine' : `of ${host}`}, since ${start}`,
    `give another folder with --out, wait for its end, or, if ${here ? `process ${pid} is no run` : 'it no longer runs there'}, remove ${lock}`,
  );
}
