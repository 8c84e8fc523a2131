/** The errors of fetching weights, and the words for what servers, networks and disks answer. */
import { codeOf } from '../data/errors.ts';

/** Weights that cannot be had: what, where, and what to do about it, in one sentence. */
export class HubError extends Error {
  override readonly name = 'HubError';
  readonly hint: string;

  constructor(problem: string, hint: string, options?: ErrorOptions) {
    super(`${problem}; ${hint}`, options);
    this.hint = hint;
  }
}

/** A failure that may be gone at the next attempt. */
export class TransientError extends Error {
  override readonly name = 'TransientError';
  /** Milliseconds that the server asks to wait. */
  readonly wait: number | undefined;

  constructor(message: string, options: ErrorOptions & { wait?: number | undefined } = {}) {
    super(message, options);
    this.wait = options.wait;
  }
}

/** `connect ECONNREFUSED 127.0.0.1:1`; where several addresses were tried, the first of them. */
export function reasonOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return reasonOf(error.errors[0]);
  const text = error instanceof Error ? error.message || codeOf(error) : String(error);
  return text.split('\n', 1)[0] ?? text;
}

/** What to do about a connection that did not come about. */
export const networkHint = (error: unknown): string =>
  /CERT|VERIFY/.test(codeOf(error))
    ? 'should a proxy decrypt what passes, give its certificate by NODE_EXTRA_CA_CERTS'
    : 'try again later';

/** Statuses of HTTP that say nothing about the request itself. */
const TRANSIENT_STATUSES: ReadonlySet<number> = new Set([408, 425, 429, 500, 502, 503, 504]);

/** What a status means for weights, and what to do. */
const STATUSES: Readonly<Record<number, readonly [meaning: string, hint: string]>> = {
  401: ['is not open to everybody, or does not exist', 'check the name, or set HF_TOKEN to a token that may read it'],
  403: [
    'may not be read with these rights',
    'accept its licence on its page, and set HF_TOKEN to a token that may read it',
  ],
  404: ['does not exist', 'check the name; actionclip fetch --list shows names that exist'],
  410: ['does not exist any more', 'check the name; actionclip fetch --list shows names that exist'],
  407: ['is behind a proxy that wants a password', 'put it into HTTPS_PROXY as http://user:password@host:port'],
};

/** The error for an answer that is none of success. */
export function statusError(url: string, status: number, retryAfter: string | undefined): HubError | TransientError {
  if (TRANSIENT_STATUSES.has(status)) {
    const seconds = Number(retryAfter);
    const wait = retryAfter !== undefined && seconds >= 0 ? seconds * 1000 : undefined;
    return new TransientError(`the server answered ${status}`, { wait });
  }
  const [meaning, hint] = STATUSES[status] ?? ['cannot be had', 'try again later'];
  return new HubError(`${url} ${meaning} (the server answered ${status})`, hint);
}

const DISK_REASONS: Readonly<Record<string, readonly [problem: string, hint: string]>> = {
  ENOSPC: ['the disk is full', 'make room and run the same again: what is there is kept'],
  EDQUOT: ['your share of the disk is used up', 'make room and run the same again: what is there is kept'],
  EACCES: ['this may not be written', 'change its rights, or choose another cache folder (see actionclip doctor)'],
  EPERM: ['this may not be written', 'change its rights, or choose another cache folder (see actionclip doctor)'],
  EROFS: ['the disk is read-only', 'choose another cache folder (see actionclip doctor)'],
  ENOTDIR: ['a part of the path is a file', 'remove it, or choose another cache folder (see actionclip doctor)'],
  EEXIST: ['a part of the path is a file', 'remove it, or choose another cache folder (see actionclip doctor)'],
  EISDIR: ['this is a folder', 'remove it, or choose another cache folder (see actionclip doctor)'],
};

/** The error for a file that could not be written; undefined where the system's error is none of the known ones. */
export function diskError(path: string, error: unknown): HubError | undefined {
  const known = DISK_REASONS[codeOf(error)];
  return known && new HubError(`${path}: ${known[0]}`, known[1], { cause: error });
}
