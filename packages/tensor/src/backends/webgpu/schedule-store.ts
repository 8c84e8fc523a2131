/** Where measured schedules are kept: a file in the user's cache folder, or the browser's IndexedDB. */
import type { ScheduleStore } from './autotune.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The folder for files that can be made again: what `ACTIONCLIP_CACHE` says, else by the platform's custom; undefined
 * where the environment names no home.
 */
export function cacheFolder(platform: string, environment: Environment): string | undefined {
  const { ACTIONCLIP_CACHE: own, XDG_CACHE_HOME: xdg, HOME: home, LOCALAPPDATA: local } = environment;
  if (own) return own;
  if (platform === 'win32') return local ? `${local}\\actionclip` : undefined;
  if (xdg) return `${xdg}/actionclip`;
  if (!home) return undefined;
  return platform === 'darwin' ? `${home}/Library/Caches/actionclip` : `${home}/.cache/actionclip`;
}

/** A short name for a text of any length: its FNV-1a hash. */
function shortName(text: string): string {
  let hash = 0x811c9dc5;
  for (const character of text) hash = Math.imul(hash ^ (character.codePointAt(0) as number), 0x01000193);
  return (hash >>> 0).toString(16).padStart(8, '0');
}

/** A file that is written under another name first, so that it is never there in part. */
export function fileStore(folder: string, adapter: string): ScheduleStore {
  const files = process.getBuiltinModule('node:fs/promises');
  const place = process.getBuiltinModule('node:path').join(folder, `schedules-${shortName(adapter)}.json`);
  return {
    place,
    load: () =>
      files.readFile(place, 'utf8').catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return undefined;
        throw error;
      }),
    save: async (text) => {
      const unfinished = `${place}.${process.pid}`;
      await files.mkdir(folder, { recursive: true });
      await files.writeFile(unfinished, text);
      await files.rename(unfinished, place);
    },
  };
}

const database = 'actionclip';
const table = 'schedules';

const settled = <T>(request: IDBRequest<T>): Promise<T> =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error('IndexedDB failed'));
  });

/** One entry of an IndexedDB table. */
export function indexedStore(factory: IDBFactory, adapter: string): ScheduleStore {
  const inTable = async <T>(mode: IDBTransactionMode, work: (store: IDBObjectStore) => IDBRequest<T>): Promise<T> => {
    const opening = factory.open(database, 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore(table);
    const opened = await settled(opening);
    try {
      return await settled(work(opened.transaction(table, mode).objectStore(table)));
    } finally {
      opened.close();
    }
  };
  return {
    place: `IndexedDB '${database}'`,
    load: async () => {
      const value: unknown = await inTable('readonly', (store) => store.get(adapter));
      return typeof value === 'string' ? value : undefined;
    },
    save: async (text) => {
      await inTable('readwrite', (store) => store.put(text, adapter));
    },
  };
}

/** The store of this runtime for `adapter`; undefined where there is none. */
export function openStore(adapter: string): ScheduleStore | undefined {
  if (typeof process !== 'undefined' && process.versions?.node !== undefined) {
    const folder = cacheFolder(process.platform, process.env);
    return folder === undefined ? undefined : fileStore(folder, adapter);
  }
  return typeof indexedDB === 'undefined' ? undefined : indexedStore(indexedDB, adapter);
}
