/**
 * The server of the built page: on this machine alone, the files of one folder as it stands at the start, and to this
 * machine's own pages alone.
 */

import { readdir, readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import path from 'node:path';
import { isOwnHost, listen } from '../../packages/actionclip/src/live/server.ts';
import { serverPolicy } from './policy.ts';

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.txt': 'text/plain; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.mp4': 'video/mp4',
};

/** With these the page has shared memory, and no page of another origin gets anything. */
const headers = {
  'Content-Security-Policy': serverPolicy,
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
};

export interface PageServer {
  readonly address: string;
  close(): Promise<void>;
}

/**
 * Serves a folder.
 * @param ports The first one that is free is taken; 0 stands for any.
 * @throws Error where the folder cannot be read, LivePageError where every port is taken.
 */
export async function openPageServer(folder: string, ports: readonly number[]): Promise<PageServer> {
  const files = await filesOf(folder);
  const server = createServer((request, response) => {
    void answer(request, response, files);
  });
  const port = await listen(server, ports);
  return {
    address: `http://localhost:${port}/`,
    close: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}

/** The plain files of a folder by the paths of their addresses. Links lead nowhere: they are not listed. */
async function filesOf(folder: string): Promise<ReadonlyMap<string, string>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => path.join(parentPath, name));
  return new Map(files.map((file) => [`/${path.relative(folder, file).split(path.sep).join('/')}`, file]));
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  files: ReadonlyMap<string, string>,
): Promise<void> {
  const refuse = (status: number, text: string): void => {
    response.writeHead(status, { ...headers, 'Content-Type': 'text/plain; charset=utf-8' }).end(`${text}\n`);
  };
  if (!isOwnHost(request.headers.host))
    return refuse(403, 'This page is for this machine alone, by the name localhost.');
  if (!isOwnOrigin(request)) return refuse(403, 'Pages of other origins get nothing here.');
  if (request.method !== 'GET' && request.method !== 'HEAD') return refuse(405, 'This page can only be read.');
  const [asked = '/'] = (request.url ?? '/').split('?');
  const file = files.get(asked === '/' ? '/index.html' : asked);
  if (file === undefined) return refuse(404, 'There is nothing of this name; the page is at /.');
  try {
    const content = await readFile(file);
    response.writeHead(200, {
      ...headers,
      'Content-Type': types[path.extname(file)] ?? 'application/octet-stream',
      'Content-Length': content.length,
      'Cache-Control': asked.startsWith('/assets/') ? 'max-age=31536000, immutable' : 'no-cache',
    });
    response.end(request.method === 'HEAD' ? undefined : content);
  } catch {
    refuse(404, 'The file is gone; build the page again.');
  }
}

/** Whether a request comes from a page of this server, or from none: a person typed the address, or followed a link. */
function isOwnOrigin({
  headers: { origin, host, 'sec-fetch-site': site, 'sec-fetch-mode': mode },
}: IncomingMessage): boolean {
  if (origin !== undefined && origin !== `http://${host}`) return false;
  return site === undefined || site === 'same-origin' || site === 'none' || mode === 'navigate';
}
