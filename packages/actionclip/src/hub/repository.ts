/** What the hub says of one repository: its commit, its files, their digests and addresses. Runs in browsers. */
import type { ListFileEntry } from '@huggingface/hub';
import { HubError } from './errors.ts';
import { isCommit, isSafeFileName, type RepositorySource } from './names.ts';

/** How the hub is asked. */
export interface HubAccess {
  /** Its address, without a slash at its end. */
  readonly endpoint: string;
  /** Gives answers of success alone, and throws for all others. */
  readonly ask: (url: string) => Promise<Response>;
}

export interface Digest {
  /** `git` is the SHA-1 of a header with the length, then the bytes: the hub's name for files outside of LFS. */
  readonly algorithm: 'sha256' | 'git';
  /** In small hexadecimal digits. */
  readonly value: string;
}

/** A file of a commit. */
export interface HubFile {
  /** With folders. */
  readonly name: string;
  readonly size: number;
  readonly digest: Digest;
  readonly address: string;
}

/** More files than this are no repository of weights, and would fill the memory. */
const MOST_FILES = 10_000;

export class HubRepository {
  readonly #source: RepositorySource;
  readonly #access: HubAccess;

  constructor(source: RepositorySource, access: HubAccess) {
    this.#source = source;
    this.#access = access;
  }

  /** The full commit of a branch or tag. @throws HubError where the hub gives none */
  async commit(): Promise<string> {
    const { repository, revision } = this.#source;
    if (isCommit(revision)) return revision;
    const { modelInfo } = await import('@huggingface/hub');
    const { sha } = await modelInfo({ name: repository, revision, additionalFields: ['sha'], ...this.#library });
    if (isCommit(sha)) return sha;
    throw new HubError(`The hub gives no commit for ${repository}@${revision}`, 'check HF_ENDPOINT');
  }

  /** The files of a commit by name. @throws HubError where a name leads out of the repository */
  async files(commit: string): Promise<Map<string, ListFileEntry>> {
    const { repository } = this.#source;
    const { listFiles } = await import('@huggingface/hub');
    const files = new Map<string, ListFileEntry>();
    for await (const entry of listFiles({
      repo: { type: 'model', name: repository },
      revision: commit,
      recursive: true,
      ...this.#library,
    })) {
      if (entry.type !== 'file') continue;
      if (!isSafeFileName(entry.path)) {
        throw new HubError(
          `${repository} has a file named ${JSON.stringify(entry.path)}`,
          'such a name could lead out of the cache, so nothing is taken from there',
        );
      }
      if (files.size === MOST_FILES) {
        throw new HubError(`${repository} has over ${MOST_FILES} files`, 'name the file: hub:owner/name/file');
      }
      files.set(entry.path, entry);
    }
    return files;
  }

  /** @throws HubError where the hub gives no digest, or not the one that is known of the wanted file */
  file(commit: string, entry: ListFileEntry): HubFile {
    const { repository, file, sha256 } = this.#source;
    const name = entry.path;
    const path = name.split('/').map(encodeURIComponent).join('/');
    return {
      name,
      size: entry.lfs?.size ?? entry.size,
      digest: digestOf(entry, name === file ? sha256 : undefined),
      address: `${this.#access.endpoint}/${repository}/resolve/${commit}/${path}`,
    };
  }

  /** For the hub's library. */
  get #library(): { hubUrl: string; fetch: typeof fetch } {
    return { hubUrl: this.#access.endpoint, fetch: (input) => this.#access.ask(String(input)) };
  }
}

function digestOf({ path, lfs, oid }: ListFileEntry, known: string | undefined): Digest {
  const digest: Digest = lfs ? { algorithm: 'sha256', value: lfs.oid } : { algorithm: 'git', value: oid ?? '' };
  if (!(digest.algorithm === 'git' ? /^[0-9a-f]{40}$/ : /^[0-9a-f]{64}$/).test(digest.value)) {
    throw new HubError(`The hub gives no digest of ${path}`, 'check HF_ENDPOINT');
  }
  if (known !== undefined && digest.value !== known) {
    throw new HubError(
      `The hub has other bytes for ${path} than are known (${digest.value}, expected ${known})`,
      'check HF_ENDPOINT',
    );
  }
  return digest;
}
