/**
 * The server of a live page: on this machine alone, for any number of readers, each of whom gets the page as it stands
 * and then what changes. A reader who does not keep up misses what lies between, and is let go after a while.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { EVENTS_PATH } from './page.ts';

/** Only this machine can reach it. */
export const ADDRESS = '127.0.0.1';

/** What the page shows at the moment. */
export interface LiveContent {
  readonly title: () => string;
  /** The whole page. */
  readonly page: () => string;
  /** Markup by the ids of its places. */
  readonly sections: () => Readonly<Record<string, string>>;
}

export interface LiveServerOptions {
  /** The first one that is free is taken; 0 stands for any. */
  readonly ports: readonly number[];
  /** Milliseconds between two updates of a reader. */
  readonly interval?: number;
  /** Milliseconds that a reader may take for an update. */
  readonly patience?: number;
}

export interface LiveServer {
  readonly port: number;
  /** How many readers there are. */
  readonly readers: number;
  /** Lets the readers know soon; of many calls one update comes. */
  changed(): void;
  /** Tells the readers that this is the end, as far as they listen, and gives the port back. */
  close(): Promise<void>;
}

const UPDATE_INTERVAL = 1000;
const PATIENCE = 30_000;
/** Milliseconds for the last words to readers. */
const FAREWELL = 500;
/** Milliseconds until a page that lost its run asks again. */
const RETRY = 1000;
const MOST_CONNECTIONS = 64;

/** A live page that cannot be. */
export class LivePageError extends Error {
  override readonly name = 'LivePageError';
  readonly problem: string;
  readonly hint: string;

  constructor(problem: string, hint: string) {
    super(`${problem}; ${hint}`);
    this.problem = problem;
    this.hint = hint;
  }
}

/** @throws LivePageError where every port is taken. */
export async function openLiveServer(content: LiveContent, options: LiveServerOptions): Promise<LiveServer> {
  const { interval = UPDATE_INTERVAL, patience = PATIENCE } = options;
  const readers = new Set<Reader>();
  const server = createServer((request, response) => {
    const reader = answer(request, response, content);
    if (reader === undefined) return;
    readers.add(reader);
    response.on('close', () => readers.delete(reader));
  });
  server.maxConnections = MOST_CONNECTIONS;
  const port = await listen(server, options.ports);
  let timer: NodeJS.Timeout | undefined;
  const update = (): void => {
    clearTimeout(timer);
    timer = undefined;
    if (readers.size === 0) return;
    const event = { title: content.title(), sections: content.sections() };
    for (const reader of readers) reader.update(event, patience);
  };
  return {
    port,
    get readers() {
      return readers.size;
    },
    changed() {
      timer ??= setTimeout(update, interval);
    },
    async close() {
      update();
      const closed = new Promise((resolve) => server.close(resolve));
      for (const reader of readers) reader.end();
      const farewell = setTimeout(() => server.closeAllConnections(), FAREWELL);
      server.closeIdleConnections();
      await closed;
      clearTimeout(farewell);
    },
  };
}

/**
 * Has a server listen on this machine alone, at the first of the ports that is free.
 * @throws LivePageError where every port is taken.
 */
export async function listen(server: Server, ports: readonly number[]): Promise<number> {
  for (const port of ports) {
    const isFree = await new Promise<boolean>((resolve, reject) => {
      const failed = (error: NodeJS.ErrnoException): void => {
        if (error.code === 'EADDRINUSE' || error.code === 'EACCES') resolve(false);
        else reject(error);
      };
      server.once('error', failed);
      server.listen(port, ADDRESS, () => {
        server.off('error', failed);
        resolve(true);
      });
    });
    const address = server.address();
    if (isFree && typeof address === 'object' && address !== null) return address.port;
  }
  const taken = ports.length === 1 ? `Port ${ports[0]} is taken` : `Ports ${ports.join(', ')} are taken`;
  throw new LivePageError(`${taken}, or may not be used`, 'give another one, or 0 for any that is free');
}

/** Headers of every answer: nothing is kept, and no page of another origin gets anything of it. */
const HEADERS = {
  'Cache-Control': 'no-store',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
};

/** Answers a request; a reader where it is one for events. */
function answer(request: IncomingMessage, response: ServerResponse, content: LiveContent): Reader | undefined {
  const say = (status: number, text: string): undefined => {
    response.writeHead(status, { ...HEADERS, 'Content-Type': 'text/plain; charset=utf-8' }).end(`${text}\n`);
  };
  if (!isOwnHost(request.headers.host))
    return say(403, 'This page is for this machine alone, by the name of localhost.');
  if (request.method !== 'GET') return say(405, 'This page can only be read.');
  const [path] = (request.url ?? '/').split('?');
  if (path === '/') {
    response.writeHead(200, { ...HEADERS, 'Content-Type': 'text/html; charset=utf-8' }).end(content.page());
    return undefined;
  }
  if (path !== `/${EVENTS_PATH}`) return say(404, 'There is nothing of this name; the page is at /.');
  response.writeHead(200, { ...HEADERS, 'Content-Type': 'text/event-stream; charset=utf-8' });
  response.write(`retry: ${RETRY}\n`);
  const reader = new Reader(response);
  reader.update({ title: content.title(), sections: content.sections() });
  return reader;
}

/**
 * Whether a page was asked for by a name that always means this machine. A page of another origin whose name was made
 * to point here sends its own name. Any port will do: it may have been forwarded.
 */
export function isOwnHost(host: string | undefined): boolean {
  return /^(?:localhost|127\.0\.0\.1)(?::\d+)?$/i.test(host ?? '');
}

interface Update {
  readonly title: string;
  readonly sections: Readonly<Record<string, string>>;
}

/** Whoever listens for events, and which sections were sent so far. */
class Reader {
  readonly #response: ServerResponse;
  readonly #sent = new Map<string, string>();
  /** Since when what was sent has not been taken. */
  #stalled: number | undefined;

  constructor(response: ServerResponse) {
    this.#response = response;
    response.on('drain', () => {
      this.#stalled = undefined;
    });
  }

  /** Sends the sections that are not what was sent before, unless the last ones are still on their way. */
  update({ title, sections }: Update, patience: number = Number.POSITIVE_INFINITY): void {
    if (this.#response.destroyed) return;
    if (this.#response.writableNeedDrain) {
      this.#stalled ??= performance.now();
      if (performance.now() - this.#stalled >= patience) this.#response.destroy();
      return;
    }
    const changed = Object.entries(sections).filter(([id, markup]) => this.#sent.get(id) !== markup);
    if (changed.length === 0) return;
    for (const [id, markup] of changed) this.#sent.set(id, markup);
    this.#response.write(`data: ${JSON.stringify({ title, sections: Object.fromEntries(changed) })}\n\n`);
  }

  end(): void {
    this.#response.end('event: ended\ndata: end\n\n');
  }
}
