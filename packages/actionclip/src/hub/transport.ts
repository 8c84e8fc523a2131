/**
 * One request over HTTP with redirects and proxies followed. Node's `fetch` would ask for compressed answers, which
 * ranges cannot be joined from, and before Node 22 it passes proxies by.
 */
import { type IncomingMessage, request as plainRequest, type RequestOptions } from 'node:http';
import { request as secureRequest } from 'node:https';
import type { Duplex } from 'node:stream';
import { connect as secure } from 'node:tls';
import { arrivals } from './arrivals.ts';
import { HubError, TransientError } from './errors.ts';
import { proxyFor } from './proxy.ts';

export interface Exchange {
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds without a byte after which the connection counts as dead; a minute if absent. */
  readonly patience?: number;
}

export interface Answer {
  /** After redirects. */
  readonly url: string;
  readonly status: number;
  readonly header: (name: string) => string | undefined;
  readonly body: AsyncIterable<Buffer>;
  /** Ends the connection, unless the body was read to its end. */
  readonly close: () => void;
}

const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
const MOST_REDIRECTS = 10;
const PATIENCE = 60_000;

/**
 * Sends a request. A token is not passed on to another host, and nothing leaves the encryption once it was there.
 * @throws HubError where a redirect leads nowhere; the system's own errors where there is no connection
 */
export async function send(address: string, exchange: Exchange = {}): Promise<Answer> {
  let url = new URL(address);
  let headers = { 'user-agent': 'actionclip', accept: '*/*', ...exchange.headers };
  for (let hop = 0; hop <= MOST_REDIRECTS; hop++) {
    const { message, body } = await sendOnce(url, { ...exchange, headers });
    const status = message.statusCode ?? 0;
    const { location } = message.headers;
    if (!REDIRECTS.has(status) || location === undefined) {
      const header = (name: string): string | undefined => headerOf(message, name);
      return { url: url.href, status, header, body, close: () => message.destroy() };
    }
    message.destroy();
    const next = nextAddress(location, url);
    if (next.origin !== url.origin) {
      const { authorization: _, ...kept } = headers as Record<string, string>;
      headers = kept as typeof headers;
    }
    url = next;
  }
  throw new HubError(`${address} is redirected without an end`, 'try again later, or set HF_ENDPOINT to another hub');
}

function nextAddress(location: string, from: URL): URL {
  const next = URL.canParse(location, from.href) ? new URL(location, from.href) : undefined;
  const allowed = from.protocol === 'https:' ? ['https:'] : ['http:', 'https:'];
  if (next === undefined || !allowed.includes(next.protocol)) {
    throw new HubError(`${from.href} is redirected to "${location}"`, 'that is no safe address: check HF_ENDPOINT');
  }
  return next;
}

function headerOf({ headers }: IncomingMessage, name: string): string | undefined {
  const value = headers[name.toLowerCase()];
  return Array.isArray(value) ? value.join(', ') : value;
}

/** An answer, whose body is collected from its first byte on. */
interface Received {
  readonly message: IncomingMessage;
  readonly body: AsyncIterable<Buffer>;
}

type Prepared = Exchange & { readonly headers: Readonly<Record<string, string>> };

async function sendOnce(url: URL, exchange: Prepared): Promise<Received> {
  const proxy = proxyFor(url);
  if (proxy === undefined) return exchangeOver(url, exchange, {});
  if (url.protocol === 'http:') {
    // A proxy takes the whole address as the path.
    const headers = { ...exchange.headers, ...proxyAuthorization(proxy), host: url.host };
    return exchangeOver(proxy, { ...exchange, headers }, { path: url.href });
  }
  const socket = await tunnel(proxy, url, exchange);
  return exchangeOver(url, exchange, { createConnection: () => secure({ socket, servername: url.hostname }) });
}

function exchangeOver(url: URL, exchange: Prepared, options: RequestOptions): Promise<Received> {
  const { headers, signal, patience = PATIENCE } = exchange;
  const request = url.protocol === 'https:' ? secureRequest : plainRequest;
  return new Promise((resolve, reject) => {
    const sent = request(url, { ...options, headers, ...(signal && { signal }) }, (message) => {
      resolve({ message, body: arrivals(message) });
    });
    sent.setTimeout(patience, () => {
      sent.destroy(new TransientError(`${url.host} sent nothing for ${Math.round(patience / 1000)} s`));
    });
    sent.on('error', reject);
    sent.end();
  });
}

/** A connection to the host of `url` through `proxy`, by the method CONNECT. */
function tunnel(proxy: URL, url: URL, { signal, patience = PATIENCE }: Exchange): Promise<Duplex> {
  const target = `${url.hostname}:${url.port || 443}`;
  const request = proxy.protocol === 'https:' ? secureRequest : plainRequest;
  return new Promise((resolve, reject) => {
    const sent = request(proxy, {
      method: 'CONNECT',
      path: target,
      headers: { host: target, ...proxyAuthorization(proxy) },
      ...(signal && { signal }),
    });
    sent.once('connect', (answer, socket) => {
      if (answer.statusCode === 200) return resolve(socket);
      socket.destroy();
      reject(
        new HubError(
          `The proxy ${proxy.host} did not let ${target} through (it answered ${answer.statusCode})`,
          'check HTTPS_PROXY and NO_PROXY',
        ),
      );
    });
    sent.setTimeout(patience, () => sent.destroy(new TransientError(`the proxy ${proxy.host} sent nothing`)));
    sent.on('error', reject);
    sent.end();
  });
}

function proxyAuthorization({ username, password }: URL): Record<string, string> {
  if (username === '') return {};
  const plain = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return { 'proxy-authorization': `Basic ${Buffer.from(plain).toString('base64')}` };
}
