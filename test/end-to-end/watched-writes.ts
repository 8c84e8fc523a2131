// The instants at which a process may die while it changes the files of a folder: before and after every change, and
// half-way through every write. What stands in the folder at an instant is what a process killed then leaves.
import promises, { type FileHandle } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { basename, dirname } from 'node:path';

export interface Instant {
  readonly phase: 'before' | 'within' | 'after';
  readonly operation: 'open' | 'write' | 'sync' | 'rename';
  /** The name of the file; of a temporary one that of the file that it will be. */
  readonly file: string;
  readonly temporary: boolean;
  /** How often the file has been opened to be written, this time included. */
  readonly version: number;
  /** How often it has been written to since, this time included. */
  readonly writes: number;
}

/** `within write 2 of log.jsonl (1)`, the version in brackets. */
export function nameOf({ phase, operation, file, version, writes }: Instant): string {
  return `${phase} ${operation}${operation === 'write' ? ` ${writes}` : ''} of ${file} (${version})`;
}

const temporaryName = /^\.(.+)\.\d+\.[\da-f]{8}$/;

/**
 * Calls `at` at every instant of the changes to files of `folder` that this process makes by `node:fs/promises`, from
 * now on; the change goes on when it returns.
 * @returns Ends it.
 */
export function watchWrites(folder: string, at: (instant: Instant) => void): () => void {
  const { open, rename } = promises;
  const versions = new Map<string, number>();

  const around = async <R>(place: Omit<Instant, 'phase'>, change: () => Promise<R>): Promise<R> => {
    at({ ...place, phase: 'before' });
    const result = await change();
    at({ ...place, phase: 'after' });
    return result;
  };
  const fileOf = (path: string): Pick<Instant, 'file' | 'temporary'> => {
    const whole = temporaryName.exec(basename(path))?.[1];
    return { file: whole ?? basename(path), temporary: whole !== undefined };
  };

  const watchedOpen = async (path: string, flags: string): Promise<FileHandle> => {
    if (dirname(path) !== folder || flags === 'r') return open(path, flags);
    const file = fileOf(path);
    const version = (versions.get(file.file) ?? 0) + 1;
    versions.set(file.file, version);
    let writes = 0;
    const place = () => ({ ...file, version, writes });
    const handle = await around({ ...place(), operation: 'open' }, () => open(path, flags));
    const write: (bytes: Uint8Array, offset: number, length: number) => Promise<unknown> = handle.write.bind(handle);
    const { appendFile, sync } = handle;
    const inHalves = (length: number, part: (start: number, end: number) => Promise<unknown>): Promise<void> => {
      writes++;
      const here = { ...place(), operation: 'write' } as const;
      return around(here, async () => {
        const half = Math.floor(length / 2);
        await part(0, half);
        at({ ...here, phase: 'within' });
        await part(half, length);
      });
    };
    return Object.assign(handle, {
      async write(bytes: Uint8Array, offset: number, length: number) {
        await inHalves(length, (start, end) => write(bytes, offset + start, end - start));
        return { bytesWritten: length, buffer: bytes };
      },
      appendFile: (bytes: Uint8Array) =>
        inHalves(bytes.length, (start, end) => appendFile.call(handle, bytes.subarray(start, end))),
      sync: () => around({ ...place(), operation: 'sync' }, () => sync.call(handle)),
    });
  };
  const watchedRename = (from: string, to: string): Promise<void> => {
    if (dirname(to) !== folder) return rename(from, to);
    const file = fileOf(from);
    const version = versions.get(file.file) ?? 0;
    return around({ ...file, version, writes: 0, operation: 'rename' }, () => rename(from, to));
  };

  Object.assign(promises, { open: watchedOpen, rename: watchedRename });
  syncBuiltinESMExports();
  return () => {
    Object.assign(promises, { open, rename });
    syncBuiltinESMExports();
  };
}
