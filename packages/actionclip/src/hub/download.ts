/**
 * Downloads of large files: what is there is kept in `PATH.incomplete` and continued, and the file gets its name only
 * when every byte is there and the digest is right.
 */
import { type FileHandle, mkdir, open, readFile, rename, rm, stat, truncate } from 'node:fs/promises';
import { dirname } from 'node:path';
import { writeFileAtomically } from '../checkpoints/atomic-file.ts';
import { codeOf } from '../data/errors.ts';
import { InterruptedError, throwIfInterrupted } from '../interrupted.ts';
import { digestFile, type RunningDigest, startDigest } from './digest.ts';
import { diskError, HubError, networkHint, reasonOf, statusError, TransientError } from './errors.ts';
import { withLock } from './lock.ts';
import type { Digest } from './repository.ts';
import { isTransient, withRetries } from './retry.ts';
import { type Answer, send } from './transport.ts';

/** How far a download is. */
export interface DownloadProgress {
  /** What is fetched, for people. */
  readonly name: string;
  /** Bytes that are there, those of earlier attempts included. */
  readonly done: number;
  /** Bytes of the whole file; absent until the server has said it. */
  readonly total: number | undefined;
  /** Bytes per second since this download began; 0 at its start. */
  readonly rate: number;
}

export interface DownloadOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: DownloadProgress) => void) | undefined;
  readonly headers?: Readonly<Record<string, string>>;
  /** What the bytes must give. Without it the server's own mark of the file guards against changes in between. */
  readonly digest?: Digest | undefined;
  /** Bytes that the file must have. */
  readonly size?: number | undefined;
  /** Milliseconds before the second attempt; see `withRetries`. */
  readonly firstPause?: number;
  /** Milliseconds without a byte after which a connection counts as dead. */
  readonly patience?: number;
}

/** A file that has come. */
export interface Downloaded {
  readonly size: number;
  /** By the algorithm of the digest that was asked for, else SHA-256. */
  readonly digest: string;
}

/**
 * Fetches `url` to `path`, atomically; folders on the way are made. Broken connections are taken up where they broke.
 * @returns undefined where another process has fetched the file in the meantime
 * @throws HubError where it cannot be had, does not fit its digest (then nothing is kept) or cannot be written;
 *   InterruptedError where the signal is set off (what came is kept and continued by the next call)
 */
export async function download(
  url: string,
  path: string,
  options: DownloadOptions = {},
): Promise<Downloaded | undefined> {
  try {
    await mkdir(dirname(path), { recursive: true });
    return await withLock(path, options.signal, async () => {
      const there = await sizeOf(path);
      return there === undefined ? await new Download(url, path, options).run() : undefined;
    });
  } catch (error) {
    if (error instanceof InterruptedError) {
      throw new InterruptedError('The download was stopped; the same command goes on where it ended');
    }
    throw forPeople(error, url, path);
  }
}

/** The error in a sentence; without a network it says how to bring the file in by hand. */
function forPeople(error: unknown, url: string, path: string): unknown {
  if (error instanceof HubError) return error;
  const onDisk = diskError(path, error);
  if (onDisk !== undefined) return onDisk;
  // What carries no code is a fault of this program.
  if (!isTransient(error) && codeOf(error) === '') return error;
  return new HubError(
    `${url} could not be fetched (${reasonOf(error)})`,
    `${networkHint(error)}; without a network, fetch that address on another computer and put the file at ${path}`,
    { cause: error },
  );
}

const sizeOf = (path: string): Promise<number | undefined> =>
  stat(path).then(
    ({ size }) => size,
    (error: unknown) => {
      if (codeOf(error) === 'ENOENT') return undefined;
      throw error;
    },
  );

/** One file under way. `#done` bytes are on the disk and in the digest. */
class Download {
  readonly #url: string;
  readonly #path: string;
  readonly #incomplete: string;
  readonly #options: DownloadOptions;
  readonly #began = performance.now();
  #done = 0;
  #received = 0;
  #digest: RunningDigest;
  /** What the server calls this state of the file, for `If-Range`. */
  #mark: string | undefined;
  #total: number | undefined;

  constructor(url: string, path: string, options: DownloadOptions) {
    this.#url = url;
    this.#path = path;
    this.#incomplete = `${path}.incomplete`;
    this.#options = options;
    this.#total = options.size;
    this.#digest = this.#freshDigest();
  }

  async run(): Promise<Downloaded> {
    await this.#resume();
    if (this.#total === undefined || this.#done < this.#total || this.#done === 0) {
      const { signal, firstPause } = this.#options;
      await withRetries((progressed) => this.#fetchRest(progressed), {
        signal,
        ...(firstPause === undefined ? {} : { firstPause }),
      });
    }
    const digest = this.#digest.value();
    await this.#check(digest);
    await rename(this.#incomplete, this.#path);
    await rm(this.#markFile, { force: true });
    return { size: this.#done, digest };
  }

  #freshDigest(): RunningDigest {
    return startDigest(this.#options.digest?.algorithm ?? 'sha256', this.#options.size);
  }

  get #markFile(): string {
    return `${this.#incomplete}.mark`;
  }

  /** Takes up what an earlier process left, if it can be told to belong to this file. */
  async #resume(): Promise<void> {
    const there = await sizeOf(this.#incomplete);
    if (there === undefined || there === 0) return;
    this.#mark = await readFile(this.#markFile, 'utf8').catch(() => undefined);
    const known = this.#options.digest !== undefined || this.#mark !== undefined;
    if (!known || (this.#options.size !== undefined && there > this.#options.size)) return this.#startOver();
    await digestFile(this.#incomplete, there, this.#digest);
    this.#done = there;
  }

  async #startOver(): Promise<void> {
    this.#done = 0;
    this.#digest = this.#freshDigest();
    await truncate(this.#incomplete, 0).catch((error: unknown) => {
      if (codeOf(error) !== 'ENOENT') throw error;
    });
  }

  /** One request for the bytes that are missing. */
  async #fetchRest(progressed: () => void): Promise<void> {
    const { headers, signal, digest, patience } = this.#options;
    const guard = digest === undefined && this.#mark !== undefined ? { 'if-range': this.#mark } : undefined;
    const answer = await send(this.#url, {
      headers: { ...headers, ...(this.#done > 0 && { range: `bytes=${this.#done}-`, ...guard }) },
      signal,
      ...(patience === undefined ? {} : { patience }),
    });
    try {
      if (!(await this.#accept(answer))) return;
      const file = await open(this.#incomplete, this.#done > 0 ? 'r+' : 'w');
      try {
        await this.#write(answer, file, progressed);
        await file.sync();
      } finally {
        await file.close();
      }
    } finally {
      answer.close();
    }
    if (this.#total !== undefined && this.#done < this.#total) {
      throw new TransientError(`the connection ended after ${this.#done} of ${this.#total} bytes`);
    }
  }

  /**
   * Looks at what the server is about to send, before a byte of it is taken.
   * @returns false where every byte is there already
   */
  async #accept(answer: Answer): Promise<boolean> {
    const { status, header } = answer;
    const encoding = header('content-encoding');
    if (status === 416) {
      if (this.#done > 0 && header('content-range') === `bytes */${this.#done}`) return false;
      await this.#startOver();
      throw new TransientError('the server could not continue the file');
    }
    if (status !== 200 && status !== 206) throw statusError(this.#url, status, header('retry-after'));
    if (encoding !== undefined && encoding !== 'identity') {
      throw new HubError(`${this.#url} came compressed (${encoding})`, 'try again later, or without a proxy');
    }
    if (status === 200) {
      if (this.#done > 0) await this.#startOver();
      this.#expect(lengthOf(header('content-length')));
    } else {
      const [, start, total] = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(header('content-range') ?? '') ?? [];
      if (Number(start) !== this.#done) {
        await this.#startOver();
        throw new TransientError('the server continued the file at another place');
      }
      this.#expect(lengthOf(total));
    }
    if (this.#total === undefined && this.#options.digest === undefined) {
      throw new HubError(
        `${this.#url} comes without its length, so that nobody could tell whether all of it came`,
        'try again later, or without a proxy',
      );
    }
    await this.#keepMark(header('etag'), header('last-modified'));
    return true;
  }

  /** @throws HubError where the server offers another length than the file must have */
  #expect(total: number | undefined): void {
    const { size } = this.#options;
    if (size !== undefined && total !== undefined && total !== size) {
      throw new HubError(
        `${this.#url} has ${total} bytes where ${size} were expected`,
        'it is another file, or a page of a proxy: look at the address in a browser',
      );
    }
    this.#total = size ?? total;
  }

  /** Weak marks do not promise equal bytes, so they are none. */
  async #keepMark(etag: string | undefined, modified: string | undefined): Promise<void> {
    const mark = etag !== undefined && !etag.startsWith('W/') ? etag : modified;
    if (mark === this.#mark) return;
    this.#mark = mark;
    if (mark === undefined || this.#options.digest !== undefined) await rm(this.#markFile, { force: true });
    else await writeFileAtomically(this.#markFile, mark);
  }

  async #write({ body }: Answer, file: FileHandle, progressed: () => void): Promise<void> {
    this.#report();
    for await (const chunk of body) {
      throwIfInterrupted(this.#options.signal);
      if (this.#total !== undefined && this.#done + chunk.length > this.#total) {
        throw new HubError(`${this.#url} is longer than the ${this.#total} bytes it should have`, 'try again later');
      }
      await writeAll(file, chunk, this.#done);
      this.#digest.update(chunk);
      this.#done += chunk.length;
      this.#received += chunk.length;
      progressed();
      this.#report();
    }
  }

  #report(): void {
    const seconds = (performance.now() - this.#began) / 1000;
    this.#options.onProgress?.({
      name: this.#url.split('/').at(-1) ?? this.#url,
      done: this.#done,
      total: this.#total,
      rate: this.#received === 0 ? 0 : this.#received / seconds,
    });
  }

  /** @throws HubError where the bytes are not the ones that were asked for; they are removed */
  async #check(actual: string): Promise<void> {
    const { digest } = this.#options;
    if (digest === undefined || digest.value === actual) return;
    await Promise.all([rm(this.#incomplete, { force: true }), rm(this.#markFile, { force: true })]);
    throw new HubError(
      `${this.#url} gave other bytes than it should (${digest.algorithm} ${actual}, expected ${digest.value}), and was removed`,
      'run the same again; should it stay so, the server or something on the way to it changes the file',
    );
  }
}

const lengthOf = (text: string | undefined): number | undefined =>
  text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined;

/** The system may write less than it was given. */
async function writeAll(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    done += (await file.write(bytes, done, bytes.length - done, position + done)).bytesWritten;
  }
}
