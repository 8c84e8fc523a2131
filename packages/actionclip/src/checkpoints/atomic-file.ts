/** Writing that never leaves a half-written file behind. */
import { randomBytes } from 'node:crypto';
import { type FileHandle, mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, resolve } from 'node:path';
import { isAlive } from '../process-alive.ts';

/** Appends bytes to the file that is being written. */
export type Append = (bytes: Uint8Array) => Promise<void>;

/**
 * Writes a file so that the path holds either what it held before or all of the new content: a temporary name in
 * the same folder, flushed to the disk, then renamed. Folders on the way are made.
 */
export function writeFileAtomically(path: string, content: Uint8Array | string): Promise<void> {
  const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content;
  return writePartsAtomically(path, (append) => append(bytes));
}

/**
 * The same for content that comes piece by piece, of which no more than one need be in memory. Where `write` throws,
 * the path holds what it held before.
 */
export async function writePartsAtomically(path: string, write: (append: Append) => Promise<void>): Promise<void> {
  const folder = dirname(path);
  await mkdir(folder, { recursive: true });
  const temporary = temporaryPath(path);
  atWork.add(temporary);
  try {
    const file = await open(temporary, 'wx');
    try {
      await write((bytes) => appendAll(file, bytes));
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  } finally {
    atWork.delete(temporary);
  }
  await syncFolder(folder);
}

/** Temporary files of this process. In containers a process that died had the same number more often than not. */
const atWork = new Set<string>();

/** A name beside a file: a dot, the name of the file, this process, and eight random digits. */
export function temporaryPath(path: string): string {
  return resolve(dirname(path), `.${basename(path)}.${process.pid}.${randomBytes(4).toString('hex')}`);
}

const temporaryName = /^\..+\.(\d+)\.[\da-f]{8}$/;

/**
 * Removes what processes that were killed in the middle of an atomic write left in a folder of which no other machine
 * writes: temporary files of processes that are gone. A folder that does not exist has none.
 */
export async function removeAbandonedWrites(folder: string): Promise<void> {
  const names = await readdir(folder).catch(() => []);
  await Promise.all(
    names.map(async (name) => {
      const pid = temporaryName.exec(name)?.[1];
      if (pid === undefined) return;
      const file = resolve(folder, name);
      const isAbandoned = Number(pid) === process.pid ? !atWork.has(file) : !isAlive(Number(pid));
      if (isAbandoned) await rm(file, { force: true });
    }),
  );
}

/** The system takes no more than 2 GiB at once, and may take less than it was given. */
const LARGEST_WRITE = 2 ** 30;

async function appendAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  let done = 0;
  do {
    const { bytesWritten } = await file.write(bytes, done, Math.min(bytes.byteLength - done, LARGEST_WRITE));
    done += bytesWritten;
  } while (done < bytes.byteLength);
}

/** Makes a rename survive a power cut. Windows cannot open folders; there the rename alone has to do. */
async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
