// The page's server: one folder, this machine, its own pages.
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openPageServer, type PageServer } from '../../examples/web/server.ts';

let root: string;
let server: PageServer;

beforeAll(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'actionclip-page-'));
  await mkdir(path.join(root, 'page/assets'), { recursive: true });
  await writeFile(path.join(root, 'secret.txt'), 'secret');
  await writeFile(path.join(root, 'page/index.html'), '<p>page</p>');
  await writeFile(path.join(root, 'page/assets/code-1.js'), 'code');
  await symlink(path.join(root, 'secret.txt'), path.join(root, 'page/link.txt'));
  server = await openPageServer(path.join(root, 'page'), [0]);
});
afterAll(async () => {
  await server.close();
  await rm(root, { recursive: true });
});

interface Answer {
  readonly status: number | undefined;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}

/** Sends a path as it stands, which a browser or fetch would tidy up. */
function ask(asked: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Answer> {
  const { port } = new URL(server.address);
  return new Promise((resolve, reject) => {
    const sent = request(
      { port, path: asked, method, headers: { host: `localhost:${port}`, ...headers } },
      async (got) => {
        let text = '';
        for await (const part of got) text += String(part);
        resolve({ status: got.statusCode, headers: got.headers, text });
      },
    );
    sent.on('error', reject).end();
  });
}

describe('the server of the page', () => {
  it('serves the files of its folder, with what isolates the page and keeps it to itself', async () => {
    const { status, headers, text } = await ask('/');
    expect([status, text, headers['content-type']]).toEqual([200, '<p>page</p>', 'text/html; charset=utf-8']);
    expect(headers['cross-origin-opener-policy']).toBe('same-origin');
    expect(headers['cross-origin-embedder-policy']).toBe('require-corp');
    expect(headers['content-security-policy']).toMatch(/default-src 'none'.*frame-ancestors 'none'/);
    const hub = "connect-src 'self' https://huggingface.co https://*.hf.co;";
    expect(headers['content-security-policy']).toContain(hub);
    expect(String(headers['content-security-policy']).replace(hub, '')).not.toMatch(
      /unsafe-inline|'unsafe-eval'|https?:|\*/,
    );
    expect(headers['access-control-allow-origin']).toBeUndefined();
    expect((await ask('/assets/code-1.js')).headers['content-type']).toBe('text/javascript; charset=utf-8');
    expect((await ask('/assets/code-1.js', {}, 'HEAD')).text).toBe('');
  });

  it.each([
    '/../secret.txt',
    '/assets/../../secret.txt',
    '/%2e%2e/secret.txt',
    '/..%2fsecret.txt',
    '/..\\secret.txt',
    '//secret.txt',
    '/link.txt',
    '/index.html%00',
    '/assets',
    '/assets/',
  ])('has nothing at %s', async (asked) => {
    const { status, text } = await ask(asked);
    expect(status).toBe(404);
    expect(text).not.toContain('secret');
  });

  it('answers under the names of this machine alone', async () => {
    expect((await ask('/', { host: 'clips.example' })).status).toBe(403);
    expect((await ask('/', { host: 'localhost.example:80' })).status).toBe(403);
    expect((await ask('/', { host: '127.0.0.1:80' })).status).toBe(200);
  });

  it('gives pages of other origins nothing, and lets itself be linked to', async () => {
    expect((await ask('/', { origin: 'http://clips.example' })).status).toBe(403);
    expect((await ask('/', { origin: 'null' })).status).toBe(403);
    expect((await ask('/', { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors' })).status).toBe(403);
    expect((await ask('/', { 'sec-fetch-site': 'same-site', 'sec-fetch-mode': 'cors' })).status).toBe(403);
    expect((await ask('/', { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' })).status).toBe(200);
    expect((await ask('/', { origin: server.address.slice(0, -1) })).status).toBe(200);
  });

  it('can only be read', async () => {
    expect((await ask('/', {}, 'POST')).status).toBe(405);
    expect((await ask('/', {}, 'PUT')).status).toBe(405);
  });
});
