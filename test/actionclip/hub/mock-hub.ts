/** A server on this machine that answers like a hub or a plain file server, with faults on demand. */
import { createHash } from 'node:crypto';
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';

/** What goes wrong with one request. */
export interface Fault {
  /** Only requests whose path contains this; any if absent. */
  readonly on?: string;
  /** The connection breaks after so many bytes of the body. */
  readonly cutAfter?: number;
  /** So many bytes of the body come, and then nothing. */
  readonly stallAfter?: number;
  readonly status?: number;
  readonly headers?: Record<string, string>;
  /** The whole file comes, whatever range was asked for. */
  readonly ignoreRange?: boolean;
  /** One byte of the body is another. */
  readonly corrupt?: boolean;
  /** The head of the answer comes, but nothing after it. */
  readonly stall?: boolean;
  /** No length is said. */
  readonly withoutLength?: boolean;
  /** A range begins one byte too late. */
  readonly shiftRange?: boolean;
}

export interface Asked {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
}

export interface MockRepository {
  readonly commit: string;
  /** By name; large ones (from 64 bytes) are in LFS. */
  readonly files: Map<string, Buffer>;
  /** What the list of files claims in place of the truth. */
  readonly lies?: Map<string, { path?: string; oid?: string; size?: number }>;
}

export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
export const gitDigest = (bytes: Uint8Array): string =>
  createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');
export const commitLike = (digit: string): string => digit.repeat(40);

/** Bytes without a pattern that could hide a mistake of place. */
export function someBytes(length: number, seed = 1): Buffer {
  let state = seed;
  return Buffer.from(
    Array.from({ length }, () => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      return state >>> 24;
    }),
  );
}

const LFS_FROM = 64;

export class MockHub {
  /** Plain files by path. */
  readonly plain = new Map<string, Buffer>();
  readonly repositories = new Map<string, MockRepository>();
  readonly faults: Fault[] = [];
  readonly asked: Asked[] = [];
  /** Redirects by path. */
  readonly redirects = new Map<string, string>();
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async open(): Promise<MockHub> {
    const server = createServer((request, response) => hub.#answer(request, response));
    const hub = new MockHub(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return hub;
  }

  get address(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? '/', this.address);
    const path = decodeURIComponent(url.pathname);
    this.asked.push({ path, headers: request.headers });
    const at = this.faults.findIndex(({ on }) => on === undefined || path.includes(on));
    const fault: Fault = at < 0 ? {} : (this.faults.splice(at, 1)[0] ?? {});
    const redirect = this.redirects.get(path);
    if (fault.status !== undefined) send(response, fault.status, fault.headers ?? {}, Buffer.from('no'));
    else if (redirect !== undefined) send(response, 302, { location: redirect }, Buffer.alloc(0));
    else if (path.startsWith('/api/models/') && !this.plain.has(path)) this.#answerApi(path, url, response);
    else {
      const bytes = this.plain.get(path) ?? this.#fileOf(path);
      if (bytes === undefined) send(response, 404, {}, Buffer.from('not found'));
      else sendFile(request, response, bytes, fault);
    }
  }

  #answerApi(path: string, url: URL, response: ServerResponse): void {
    const [, owner, name, what, revision] =
      /^\/api\/models\/([^/]+)\/([^/]+)\/(revision|tree)\/([^/]+)/.exec(path) ?? [];
    const repository = this.repositories.get(`${owner}/${name}`);
    if (repository === undefined) {
      sendJson(response, 401, { error: 'Repository not found' });
      return;
    }
    if (revision !== 'main' && revision !== repository.commit) {
      sendJson(response, 404, { error: 'no revision' });
      return;
    }
    if (what === 'revision') {
      sendJson(response, 200, { _id: '1', id: `${owner}/${name}`, sha: repository.commit, lastModified: 0 });
      return;
    }
    const entries = [...repository.files].map(([file, bytes]) => entryOf(file, bytes, repository));
    // Pages of two, as the hub has pages of a thousand.
    const start = Number(url.searchParams.get('cursor') ?? 0);
    const next = start + 2 < entries.length;
    url.searchParams.set('cursor', String(start + 2));
    sendJson(response, 200, entries.slice(start, start + 2), next ? { link: `<${url.href}>; rel="next"` } : {});
  }

  #fileOf(path: string): Buffer | undefined {
    const [, name = '', commit, file = ''] = /^\/([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(path) ?? [];
    const repository = this.repositories.get(name);
    return repository?.commit === commit ? repository?.files.get(file) : undefined;
  }
}

function entryOf(path: string, bytes: Buffer, { lies }: MockRepository): object {
  const lie = lies?.get(path) ?? {};
  const size = lie.size ?? bytes.length;
  const entry = { type: 'file', path: lie.path ?? path, size };
  if (bytes.length < LFS_FROM) return { ...entry, oid: lie.oid ?? gitDigest(bytes) };
  return { ...entry, oid: commitLike('0'), lfs: { oid: lie.oid ?? sha256(bytes), size, pointerSize: 130 } };
}

function sendJson(
  response: ServerResponse,
  status: number,
  value: unknown,
  headers: Record<string, string> = {},
): void {
  send(response, status, { 'content-type': 'application/json', ...headers }, Buffer.from(JSON.stringify(value)));
}

function send(response: ServerResponse, status: number, headers: Record<string, string>, body: Buffer): void {
  response.writeHead(status, { ...headers, 'content-length': body.length });
  response.end(body);
}

function sendFile(request: IncomingMessage, response: ServerResponse, whole: Buffer, fault: Fault): void {
  const etag = `"${sha256(whole).slice(0, 16)}"`;
  const [, from] = /^bytes=(\d+)-$/.exec(request.headers.range ?? '') ?? [];
  const fresh = request.headers['if-range'] === undefined || request.headers['if-range'] === etag;
  const partial = from !== undefined && fresh && !fault.ignoreRange;
  const start = partial ? Number(from) + (fault.shiftRange ? 1 : 0) : 0;
  if (partial && start >= whole.length) {
    send(response, 416, { 'content-range': `bytes */${whole.length}` }, Buffer.alloc(0));
    return;
  }
  const body = Buffer.from(whole.subarray(start));
  if (fault.corrupt) body[0] = (body[0] ?? 0) ^ 0xff;
  response.writeHead(partial ? 206 : 200, {
    etag,
    ...(fault.withoutLength ? {} : { 'content-length': body.length }),
    ...(partial ? { 'content-range': `bytes ${start}-${whole.length - 1}/${whole.length}` } : {}),
    ...fault.headers,
  });
  if (fault.stall) response.flushHeaders();
  else if (fault.stallAfter !== undefined) response.write(body.subarray(0, fault.stallAfter));
  else if (fault.cutAfter === undefined) response.end(body);
  else {
    response.flushHeaders();
    response.write(body.subarray(0, fault.cutAfter), () => response.socket?.destroySoon());
  }
}
