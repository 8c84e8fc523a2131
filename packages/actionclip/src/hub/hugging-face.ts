/** Weights of Hugging Face's repositories: asking the hub what there is, and fetching it into the shared cache. */
import { readFile } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { type ListFileEntry, listFiles, modelInfo } from '@huggingface/hub';
import { codeOf } from '../data/errors.ts';
import { InterruptedError } from '../interrupted.ts';
import { chooseWeights, isShardIndex, shardsOf } from './choose-files.ts';
import type { Digest } from './digest.ts';
import { type DownloadOptions, download } from './download.ts';
import { diskError, HubError, networkHint, reasonOf, statusError } from './errors.ts';
import { CachedRepository, isCommit, isFile } from './hub-cache.ts';
import { isSafeFileName, type RepositorySource } from './names.ts';
import { isTransient, withRetries } from './retry.ts';
import { type HubSettings, hubSettings } from './settings.ts';
import { send } from './transport.ts';

export interface FetchOptions extends Pick<DownloadOptions, 'signal' | 'onProgress' | 'firstPause' | 'patience'> {
  /** Takes sentences for the person who waits: what a branch was resolved to, what has no known digest. */
  readonly onNote?: ((note: string) => void) | undefined;
}

/** More files than this are no repository of weights, and would fill the memory. */
const MOST_FILES = 10_000;

/**
 * The path of a repository's weights in the cache of Hugging Face's libraries, fetched where they are not there; of
 * shards, that of their index. `config.json` is fetched with them.
 * @throws HubError; InterruptedError where the signal is set off
 */
export async function fetchRepository(source: RepositorySource, options: FetchOptions = {}): Promise<string> {
  const settings = hubSettings();
  const cached = new CachedRepository(settings.cache, source.repository);
  const pinned = isCommit(source.revision) ? source.revision : undefined;
  const kept = settings.offline && pinned === undefined ? await cached.commitOf(source.revision) : pinned;
  const there = kept && (await cached.weights(kept, source.file));
  if (there) return there;
  if (settings.offline) throw offlineError(source, settings, cached);
  const hub = new Hub(source, settings, options);
  try {
    const commit = pinned ?? (await hub.commit());
    if (pinned === undefined) {
      options.onNote?.(`${source.repository}@${source.revision} is commit ${commit}`);
      await cached.keepCommit(source.revision, commit);
    }
    return (await cached.weights(commit, source.file)) ?? (await fetchWeights(hub, cached, commit, source, options));
  } catch (error) {
    if (error instanceof HubError || error instanceof InterruptedError) throw error;
    const onDisk = diskError(settings.cache, error);
    if (onDisk !== undefined) throw onDisk;
    if (isTransient(error) || codeOf(error) !== '') throw unreachable(error, source, settings, cached);
    // The hub's library stumbles over answers of another form, such as the page of a login.
    throw new HubError(
      `${settings.endpoint} does not answer as a hub does (${reasonOf(error)})`,
      'check HF_ENDPOINT, and in a browser whether a login stands before it',
      { cause: error },
    );
  }
}

async function fetchWeights(
  hub: Hub,
  cached: CachedRepository,
  commit: string,
  source: RepositorySource,
  options: FetchOptions,
): Promise<string> {
  const files = await hub.files(commit);
  const chosen = chooseWeights(new Set(files.keys()), source.file);
  if (chosen === undefined) throw nothingThere(source, commit, [...files.keys()]);
  const fetchOne = async (name: string): Promise<string> => {
    const entry = files.get(name);
    if (entry === undefined) {
      throw new HubError(`${chosen} of ${source.repository} names ${name}, which is not there`, 'choose another file');
    }
    const path = cached.file(commit, name);
    if (await isFile(path)) return path;
    const digest = digestOf(entry, name === source.file ? source.sha256 : undefined);
    const blob = cached.blob(digest.value);
    await download(hub.address(commit, name), blob, {
      ...options,
      ...(options.onProgress && { onProgress: (progress) => options.onProgress?.({ ...progress, name }) }),
      headers: hub.authorization,
      digest,
      size: entry.lfs?.size ?? entry.size,
    });
    return cached.link(commit, name, digest.value);
  };
  if (files.has('config.json')) await fetchOne('config.json');
  const path = await fetchOne(chosen);
  if (isShardIndex(chosen)) {
    for (const shard of shardsOf(chosen, await readFile(path, 'utf8'))) await fetchOne(shard);
  }
  return path;
}

/** @throws HubError where the hub gives none, or not the one that is known */
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

/** What the hub says of one repository. */
class Hub {
  readonly #source: RepositorySource;
  readonly #settings: HubSettings;
  readonly #options: FetchOptions;

  constructor(source: RepositorySource, settings: HubSettings, options: FetchOptions) {
    this.#source = source;
    this.#settings = settings;
    this.#options = options;
  }

  get authorization(): Record<string, string> {
    const { token } = this.#settings;
    return token === undefined ? {} : { authorization: `Bearer ${token}` };
  }

  address(commit: string, name: string): string {
    const path = name.split('/').map(encodeURIComponent).join('/');
    return `${this.#settings.endpoint}/${this.#source.repository}/resolve/${commit}/${path}`;
  }

  /** The full commit of a branch or tag. */
  async commit(): Promise<string> {
    const { repository, revision } = this.#source;
    const { sha } = await modelInfo({ name: repository, revision, additionalFields: ['sha'], ...this.#access });
    if (!isCommit(sha))
      throw new HubError(`The hub gives no commit for ${repository}@${revision}`, 'check HF_ENDPOINT');
    return sha;
  }

  /** The files of a commit by name. @throws HubError where a name leads out of the repository */
  async files(commit: string): Promise<Map<string, ListFileEntry>> {
    const files = new Map<string, ListFileEntry>();
    for await (const entry of listFiles({
      repo: { type: 'model', name: this.#source.repository },
      revision: commit,
      recursive: true,
      ...this.#access,
    })) {
      if (entry.type !== 'file') continue;
      if (!isSafeFileName(entry.path)) {
        throw new HubError(
          `${this.#source.repository} has a file named ${JSON.stringify(entry.path)}`,
          'such a name could lead out of the cache, so nothing is taken from there',
        );
      }
      if (files.size === MOST_FILES) {
        throw new HubError(
          `${this.#source.repository} has over ${MOST_FILES} files`,
          'name the file: hub:owner/name/file',
        );
      }
      files.set(entry.path, entry);
    }
    return files;
  }

  get #access(): { hubUrl: string; fetch: typeof fetch } {
    return { hubUrl: this.#settings.endpoint, fetch: (input) => this.#ask(String(input)) };
  }

  /** The hub's library asks through this, so that proxies, retries and errors are the same for all. */
  #ask(url: string): Promise<Response> {
    const { signal, firstPause, patience } = this.#options;
    const own = new URL(url).origin === new URL(this.#settings.endpoint).origin;
    return withRetries(
      async () => {
        const { status, header, body, close } = await send(url, {
          headers: { accept: 'application/json', ...(own && this.authorization) },
          signal,
          ...(patience === undefined ? {} : { patience }),
        });
        if (status !== 200) {
          close();
          throw statusError(url, status, header('retry-after'));
        }
        const link = header('link');
        const text = Buffer.concat(await Readable.from(body).toArray());
        return new Response(text, { status, ...(link === undefined ? {} : { headers: { link } }) });
      },
      { signal, ...(firstPause === undefined ? {} : { firstPause }) },
    );
  }
}

const pageOf = ({ repository, revision }: RepositorySource, { endpoint }: HubSettings): string =>
  `${endpoint}/${repository}/tree/${revision}`;

/** What to fetch on another computer, and where to put it. */
function byHand(source: RepositorySource, settings: HubSettings, cached: CachedRepository): string {
  const { repository, revision, file } = source;
  if (file !== undefined && isCommit(revision)) {
    const address = `${settings.endpoint}/${repository}/resolve/${revision}/${file}`;
    return `fetch ${address} on another computer and put it at ${cached.file(revision, file)}`;
  }
  return `fetch the weights at ${pageOf(source, settings)} on another computer, and give their path in place of the name`;
}

function offlineError(source: RepositorySource, settings: HubSettings, cached: CachedRepository): HubError {
  const { repository, revision } = source;
  return new HubError(
    `The weights of ${repository}@${revision} are not in ${settings.cache}, and HF_HUB_OFFLINE forbids to fetch them`,
    `unset it, or ${byHand(source, settings, cached)}`,
  );
}

function unreachable(
  error: unknown,
  source: RepositorySource,
  settings: HubSettings,
  cached: CachedRepository,
): HubError {
  const kept = isCommit(source.revision) ? '' : 'set HF_HUB_OFFLINE=1 to take what is cached, or ';
  return new HubError(
    `${settings.endpoint} cannot be reached (${reasonOf(error) || codeOf(error)})`,
    `${networkHint(error)}; without a network, ${kept}${byHand(source, settings, cached)}`,
    { cause: error },
  );
}

function nothingThere({ repository, file }: RepositorySource, commit: string, names: readonly string[]): HubError {
  const shown = names.slice(0, 20).join(', ') || 'nothing';
  const rest = names.length > 20 ? ` and ${names.length - 20} more` : '';
  return new HubError(
    `${repository} at commit ${commit} has ${file === undefined ? 'no weights under the usual names' : `no file ${file}`}`,
    `it has ${shown}${rest}; name one of them as hub:${repository}/FILE`,
  );
}
