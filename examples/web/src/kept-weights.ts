/**
 * Weights that were fetched and are kept in the browser's private file system, where the next visit finds them without a
 * network. A folder for each name; it counts once its record is written, which is last.
 */

/** What is kept under one name. */
export interface KeptWeights {
  /** As it was typed, without `hub:`. */
  readonly name: string;
  /** What a branch or tag was when it was fetched. */
  readonly commit: string;
  /** The file that is opened: the weights, or the index of their shards. */
  readonly chosen: string;
  /** All files: these, `config.json`, shards. */
  readonly files: readonly KeptFile[];
}

export interface KeptFile {
  readonly name: string;
  readonly size: number;
}

const rootName = 'actionclip-weights';
/** The record of a folder, a `KeptWeights` in JSON. */
export const recordName = 'record.json';

/** Whether this browser keeps files for this page: it must be a secure one. */
export const canKeep = (): boolean =>
  globalThis.isSecureContext && 'storage' in navigator && 'getDirectory' in navigator.storage;

const root = async (): Promise<FileSystemDirectoryHandle> =>
  (await navigator.storage.getDirectory()).getDirectoryHandle(rootName, { create: true });

/** The name of a folder or a file in the file system, for names with slashes and of any length. */
export async function entryName(name: string): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(name));
  return [...new Uint8Array(digest, 0, 16)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** All that is kept, by name. What an interrupted visit left half-fetched is removed. */
export async function listKept(): Promise<KeptWeights[]> {
  const folders = await root();
  const kept: KeptWeights[] = [];
  for await (const [id, folder] of folders.entries()) {
    const record = folder.kind === 'directory' ? await recordOf(folder) : undefined;
    if (record !== undefined) kept.push(record);
    // A folder that another tab is filling cannot be removed.
    else await folders.removeEntry(id, { recursive: true }).catch(() => undefined);
  }
  return kept.sort((a, b) => (a.name < b.name ? -1 : 1));
}

async function recordOf(folder: FileSystemDirectoryHandle): Promise<KeptWeights | undefined> {
  try {
    const file = await (await folder.getFileHandle(recordName)).getFile();
    return JSON.parse(await file.text()) as KeptWeights;
  } catch {
    return undefined;
  }
}

/** Removes what is kept under a name, complete or not. */
export async function removeKept(name: string): Promise<void> {
  await (await root()).removeEntry(await entryName(name), { recursive: true }).catch((error: unknown) => {
    if (!(error instanceof DOMException && error.name === 'NotFoundError')) throw error;
  });
}

/** The empty folder of a name. @throws DOMException where another tab is filling it. */
export async function emptyFolder(name: string): Promise<FileSystemDirectoryHandle> {
  await removeKept(name);
  return (await root()).getDirectoryHandle(await entryName(name), { create: true });
}

/** The files of a name, if all of them are there. */
export async function openKept(
  name: string,
): Promise<(KeptWeights & { blobs: ReadonlyMap<string, Blob> }) | undefined> {
  const folder = await (await root()).getDirectoryHandle(await entryName(name)).catch(() => undefined);
  const record = folder && (await recordOf(folder));
  if (folder === undefined || record === undefined) return undefined;
  const blobs = new Map<string, Blob>();
  for (const { name: file, size } of record.files) {
    const blob = await fileIn(folder, file).catch(() => undefined);
    if (blob?.size !== size) return undefined;
    blobs.set(file, blob);
  }
  return { ...record, blobs };
}

/** A file of a folder, for reading by ranges. */
export const fileIn = async (folder: FileSystemDirectoryHandle, name: string): Promise<Blob> =>
  (await folder.getFileHandle(await entryName(name))).getFile();
