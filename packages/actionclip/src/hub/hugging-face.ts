/** Weights of Hugging Face's repositories: asking the hub what there is, and fetching it into the shared cache. */
import { readFile } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { codeOf } from '../data/errors.ts';
import { InterruptedError } from '../interrupted.ts';
import { type DownloadOptions, download } from './download.ts';
import { diskError, HubError, networkHint, reasonOf, statusError } from './errors.ts';
import { CachedRepository, isFile } from './hub-cache.ts';
import { isCommit, type RepositorySource } from './names.ts';
import { type HubFile, HubRepository } from './repository.ts';
import { isTransient, withRetries } from './retry.ts';
import { type HubSettings, hubSettings } from './settings.ts';
import { send } from './transport.ts';
import { fetchWeightFiles } from './weight-files.ts';

export interface FetchOptions extends Pick<DownloadOptions, 'signal' | 'onProgress' | 'firstPause' | 'patience'> {
  /** Takes sentences for the person who waits: what a branch was resolved to, what has no known digest. */
  readonly onNote?: ((note: string) => void) | undefined;
}

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
  const hub = new HubRepository(source, {
    endpoint: settings.endpoint,
    ask: (url) => askHub(url, settings, options),
  });
  try {
    const commit = pinned ?? (await hub.commit());
    if (pinned === undefined) {
      options.onNote?.(`${source.repository}@${source.revision} is commit ${commit}`);
      await cached.keepCommit(source.revision, commit);
    }
    return (
      (await cached.weights(commit, source.file)) ??
      (await fetchWeights(hub, cached, commit, source, settings, options))
    );
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

/** Gives the path of the weights, once they are in the cache. */
async function fetchWeights(
  hub: HubRepository,
  cached: CachedRepository,
  commit: string,
  source: RepositorySource,
  settings: HubSettings,
  options: FetchOptions,
): Promise<string> {
  const fetchOne = async ({ name, address, digest, size }: HubFile): Promise<string> => {
    const path = cached.file(commit, name);
    if (await isFile(path)) return path;
    await download(address, cached.blob(digest.value), {
      ...options,
      ...(options.onProgress && { onProgress: (progress) => options.onProgress?.({ ...progress, name }) }),
      headers: authorization(settings),
      digest,
      size,
    });
    return cached.link(commit, name, digest.value);
  };
  const keeper = { fetch: fetchOne, text: (path: string) => readFile(path, 'utf8') };
  const { chosen } = await fetchWeightFiles(hub, source, commit, keeper);
  return cached.file(commit, chosen);
}

const authorization = ({ token }: HubSettings): Record<string, string> =>
  token === undefined ? {} : { authorization: `Bearer ${token}` };

/** Asks the hub for something small, with the proxies, retries and errors of downloads. */
function askHub(url: string, settings: HubSettings, { signal, firstPause, patience }: FetchOptions): Promise<Response> {
  const own = new URL(url).origin === new URL(settings.endpoint).origin;
  return withRetries(
    async () => {
      const { status, header, body, close } = await send(url, {
        headers: { accept: 'application/json', ...(own && authorization(settings)) },
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
