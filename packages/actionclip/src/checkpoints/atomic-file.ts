/** Writing that never leaves a half-written file behind. */
import { randomBytes } from 'node:crypto';
import { type FileHandle, mkdir, open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

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
  const temporary = join(folder, `.${basename(path)}.${process.pid}.${randomBytes(4).toString('hex')}`);
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
  }
  await syncFolder(folder);
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
