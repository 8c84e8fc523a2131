/** Writes fetched weights into the browser's private file system, in the way of `kept-weights.ts`. */
import {
  emptyFolder,
  entryName,
  fileIn,
  type KeptFile,
  type KeptWeights,
  recordName,
  removeKept,
} from '../kept-weights.ts';

/** What only workers have; the standard library's types for them clash with those of pages. */
interface WorkerFileHandle {
  createSyncAccessHandle(): Promise<SyncAccessHandle>;
}
interface SyncAccessHandle {
  write(bytes: Uint8Array, options: { readonly at: number }): number;
  flush(): void;
  close(): void;
}

type Append = (bytes: Uint8Array) => void;

/** Fills the folder of a name. */
export class WeightsKeeper {
  readonly #name: string;
  readonly #folder: FileSystemDirectoryHandle;
  readonly #files: KeptFile[] = [];

  private constructor(name: string, folder: FileSystemDirectoryHandle) {
    this.#name = name;
    this.#folder = folder;
  }

  /** Begins with an empty folder. @throws DOMException where another tab is filling it. */
  static async begin(name: string): Promise<WeightsKeeper> {
    return new WeightsKeeper(name, await emptyFolder(name));
  }

  /** Writes a file from the pieces that `fill` appends, and gives it back for reading. */
  async write(name: string, fill: (append: Append) => Promise<void>): Promise<Blob> {
    const size = await this.#write(await entryName(name), fill);
    this.#files.push({ name, size });
    return fileIn(this.#folder, name);
  }

  /** From now on the files count. */
  async finish(commit: string, chosen: string): Promise<void> {
    const record: KeptWeights = { name: this.#name, commit, chosen, files: this.#files };
    await this.#write(recordName, async (append) => append(new TextEncoder().encode(JSON.stringify(record))));
  }

  /** Removes all of it. */
  abandon(): Promise<void> {
    return removeKept(this.#name);
  }

  async #write(entry: string, fill: (append: Append) => Promise<void>): Promise<number> {
    const handle = (await this.#folder.getFileHandle(entry, { create: true })) as unknown as WorkerFileHandle;
    const file = await handle.createSyncAccessHandle();
    let at = 0;
    try {
      await fill((bytes) => {
        if (file.write(bytes, { at }) < bytes.length) throw new DOMException('no room', 'QuotaExceededError');
        at += bytes.length;
      });
      file.flush();
    } finally {
      file.close();
    }
    return at;
  }
}
