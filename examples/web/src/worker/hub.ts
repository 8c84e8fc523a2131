/** Weights of the Hugging Face hub: fetched once, held to their lengths and digests, and kept in the browser. */
import { bytesToHex } from '@noble/hashes/utils.js';
import {
  fetchWeightFiles,
  HubError,
  type HubFile,
  HubRepository,
  InterruptedError,
  parseHubName,
  type RepositorySource,
} from 'actionclip/browser';
import { canKeep, openKept } from '../kept-weights.ts';
import { startDigest } from './digest.ts';
import type { Turn } from './turn.ts';
import { WeightsKeeper } from './weights-keeper.ts';

const endpoint = 'https://huggingface.co';
/** Milliseconds without a byte after which a connection counts as dead. */
const networkPatience = 30_000;
/** Milliseconds between two reports of how far a download is. */
const reportPause = 200;

export interface HubWeights {
  /** The file that is opened, and the blobs of all files by name. */
  readonly chosen: string;
  readonly blobs: ReadonlyMap<string, Blob>;
}

/**
 * The files of a name, from the browser's store or from the hub.
 * @param name `owner/name[@revision][/file]`, as in Node with or without `hub:`.
 * @throws HubError where the name is none, or the weights cannot be had; nothing is kept of them then.
 */
export async function hubWeights(name: string, turn: Turn): Promise<HubWeights> {
  const source = parseHubName(`hub:${name}`);
  if (source.kind === 'file') {
    throw new HubError(`${name} is not on the Hugging Face hub`, `download ${source.url} and open the file`);
  }
  if (!canKeep()) {
    throw new HubError('This browser keeps no files for this page', 'serve it from localhost or over https');
  }
  const kept = await openKept(name);
  if (kept !== undefined) return kept;
  const keeper = await WeightsKeeper.begin(name).catch((cause: unknown) => {
    throw new HubError(`${name} cannot be kept`, 'close other tabs that are fetching it', { cause });
  });
  try {
    return await fetchAll(source, keeper, turn);
  } catch (error) {
    await keeper.abandon();
    throw turn.signal.aborted ? new InterruptedError() : forPeople(error);
  }
}

async function fetchAll(source: RepositorySource, keeper: WeightsKeeper, turn: Turn): Promise<HubWeights> {
  turn.report(`Asking the hub for ${nameOf(source)}`);
  const repository = new HubRepository(source, { endpoint, ask: (url) => ask(url, nameOf(source), turn.signal) });
  const commit = await repository.commit();
  const { chosen, files } = await fetchWeightFiles(repository, source, commit, {
    fetch: (file) => keeper.write(file.name, (append) => download(file, append, turn)),
    text: (blob: Blob) => blob.text(),
  });
  await keeper.finish(commit, chosen);
  return { chosen, blobs: files };
}

/** A request without cookies, and without a word of where it comes from. */
async function ask(url: string, what: string, signal: AbortSignal): Promise<Response> {
  const response = await fetch(url, { signal, credentials: 'omit', referrerPolicy: 'no-referrer' });
  if (!response.ok) throw refusal(what, response.status);
  return response;
}

const nameOf = ({ repository, revision }: RepositorySource): string => `${repository}@${revision}`;

/** @throws HubError where the bytes are not those that the hub names. */
async function download(
  { name, size, digest, address }: HubFile,
  append: (bytes: Uint8Array<ArrayBuffer>) => void,
  turn: Turn,
): Promise<void> {
  const began = performance.now();
  const running = startDigest(digest.algorithm, size);
  let done = 0;
  let reported = Number.NEGATIVE_INFINITY;
  for await (const bytes of piecesOf(address, name, turn)) {
    done += bytes.length;
    if (done > size) throw wrongBytes(name);
    append(bytes);
    running.update(bytes);
    if (performance.now() - reported < reportPause) continue;
    reported = performance.now();
    turn.report(`Fetching ${name}: ${extentOf(done, size, reported - began)}`, done, size);
    await turn.breathe();
  }
  if (done < size) throw new HubError(`Of ${name} came ${done} of ${size} bytes`, 'try again');
  if (bytesToHex(running.digest()) !== digest.value) throw wrongBytes(name);
}

const wrongBytes = (name: string): HubError =>
  new HubError(`${name} came with other bytes than the hub names`, 'try again; nothing of it was kept');

/** The bytes of an address as they come. A broken connection is not continued: storage hosts refuse ranges to pages. */
async function* piecesOf(address: string, name: string, turn: Turn): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const silence = new AbortController();
  const signal = AbortSignal.any([turn.signal, silence.signal]);
  const nothingCame = (): void => silence.abort(new HubError('The hub sent nothing for 30 seconds', 'try again'));
  let timer = setTimeout(nothingCame, networkPatience);
  try {
    const reader = (await ask(address, name, signal)).body?.getReader();
    for (;;) {
      const part = await reader?.read();
      if (part === undefined || part.done) return;
      clearTimeout(timer);
      timer = setTimeout(nothingCame, networkPatience);
      yield part.value;
    }
  } catch (error) {
    throw silence.signal.aborted ? silence.signal.reason : error;
  } finally {
    clearTimeout(timer);
    silence.abort();
  }
}

/** `120.5 of 605.2 MB, 40 s left` */
function extentOf(done: number, size: number, milliseconds: number): string {
  const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(1);
  const seconds = Math.ceil(((size - done) * milliseconds) / (1000 * done));
  const left = seconds < 100 ? `${seconds} s` : `${Math.ceil(seconds / 60)} min`;
  return `${megabytes(done)} of ${megabytes(size)} MB${milliseconds < 1000 ? '' : `, ${left} left`}`;
}

/** What a status means for weights, and what to do. */
const statuses: Readonly<Record<number, readonly [meaning: string, hint: string]>> = {
  401: [
    'is not open to everybody, or does not exist',
    'check the name; of gated weights download the file and open it',
  ],
  403: ['is not open to everybody', 'download the file from its page on the hub and open it'],
  404: ['does not exist', 'check the name'],
  429: ['is asked for too often at the moment', 'wait a few minutes and try again'],
};

function refusal(what: string, status: number): HubError {
  const [meaning, hint] = statuses[status] ?? ['cannot be had at the moment', 'try again later'];
  return new HubError(`${what} ${meaning} (the hub answered ${status})`, hint);
}

function forPeople(error: unknown): unknown {
  if (error instanceof TypeError) {
    return new HubError('The hub cannot be reached', 'check the network and try again', { cause: error });
  }
  if (error instanceof DOMException && error.name === 'QuotaExceededError') {
    return new HubError('There is no room for these weights in the browser', 'remove others, or open them as a file');
  }
  return error;
}
