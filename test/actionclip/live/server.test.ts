import { once } from 'node:events';
import { get, type IncomingMessage, request } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import {
  isOwnHost,
  type LiveContent,
  type LiveServer,
  type LiveServerOptions,
  openLiveServer,
} from '../../../packages/actionclip/src/live/server.ts';

const shown = { a: '', b: 'always the same' };
const content: LiveContent = { title: () => 'title', page: () => `<p>${shown.a}</p>`, sections: () => ({ ...shown }) };

const opened: LiveServer[] = [];
async function open(options: Partial<LiveServerOptions> = {}): Promise<LiveServer> {
  const server = await openLiveServer(content, { ports: [0], interval: 1, ...options });
  opened.push(server);
  return server;
}
afterEach(async () => {
  await Promise.all(opened.splice(0).map((server) => server.close()));
  shown.a = '';
});

interface Answer {
  readonly status: number | undefined;
  readonly text: string;
}

function ask(port: number, { path = '/', host = 'localhost', method = 'GET' } = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asked = request({ port, path, method, headers: { host } }, async (response) => {
      let text = '';
      for await (const part of response) text += String(part);
      resolve({ status: response.statusCode, text });
    });
    asked.on('error', reject).end();
  });
}

/** Asks for events, of which each is what a page would be told. */
async function listen(port: number): Promise<{ next: () => Promise<unknown>; response: IncomingMessage }> {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    get({ port, path: '/events' }, resolve).on('error', reject);
  });
  const parts = response.setEncoding('utf8')[Symbol.asyncIterator]();
  let text = '';
  return {
    response,
    next: async () => {
      while (!text.includes('\n\n')) {
        const { done, value } = await parts.next();
        if (done) return undefined;
        text += String(value);
      }
      const end = text.indexOf('\n\n');
      const event = text.slice(0, end);
      text = text.slice(end + 2);
      const data = /^data: (.*)$/m.exec(event)?.[1] ?? '';
      return event.includes('ended') ? event : JSON.parse(data).sections;
    },
  };
}

describe('the server of a live page', () => {
  it('gives everything to whoever comes late, and then only what has changed', async () => {
    const server = await open();
    shown.a = 'one';
    const first = await listen(server.port);
    expect(await first.next()).toEqual({ a: 'one', b: 'always the same' });
    shown.a = 'two';
    server.changed();
    expect(await first.next()).toEqual({ a: 'two' });
    expect(await (await listen(server.port)).next()).toEqual({ a: 'two', b: 'always the same' });
    expect((await ask(server.port)).text).toBe('<p>two</p>');
    expect(server.readers).toBe(2);
  });

  it('makes one update of many changes', async () => {
    const server = await open();
    const reader = await listen(server.port);
    await reader.next();
    for (let i = 0; i <= 100; i++) {
      shown.a = `change ${i}`;
      server.changed();
    }
    expect(await reader.next()).toEqual({ a: 'change 100' });
  });

  it('tells readers of the end, closes though somebody listens, and gives the port back', async () => {
    const server = await open();
    const reader = await listen(server.port);
    await reader.next();
    shown.a = 'last words';
    await server.close();
    expect(await reader.next()).toEqual({ a: 'last words' });
    expect(await reader.next()).toMatch(/^event: ended/);
    expect(await reader.next()).toBeUndefined();
    const again = await open({ ports: [server.port] });
    expect(again.port).toBe(server.port);
  });

  it('lets a reader go who takes nothing, and keeps the others', async () => {
    const server = await open({ patience: 0 });
    const patient = await listen(server.port);
    const stuck = await listen(server.port);
    stuck.response.pause();
    await patient.next();
    for (let i = 0; server.readers === 2; i++) {
      shown.a = `${i}`.padEnd(4_000_000, '.');
      server.changed();
      await patient.next();
    }
    expect(server.readers).toBe(1);
    stuck.response.destroy();
  });

  it('takes the next port where one is taken, and says so where there is no other', async () => {
    const { port } = await open();
    const next = await open({ ports: [port, 0] });
    expect(next.port).not.toBe(port);
    await expect(open({ ports: [port] })).rejects.toThrow(
      `Port ${port} is taken, or may not be used; give another one, or 0 for any that is free`,
    );
  });

  it('answers under the names of this machine alone, at this address alone', async () => {
    const { port } = await open();
    for (const path of ['/', '/events']) {
      expect((await ask(port, { path, host: `clips.example:${port}` })).status).toBe(403);
    }
    expect((await ask(port, { host: `127.0.0.1:${port}` })).status).toBe(200);
    expect(['localhost', 'LOCALHOST:80', '127.0.0.1:8765'].every(isOwnHost)).toBe(true);
    expect(
      [undefined, '', 'localhost.example', '127.0.0.1.example:80', 'a@localhost', '10.0.0.1'].some(isOwnHost),
    ).toBe(false);
  });

  it('has nothing else, and can only be read', async () => {
    const { port } = await open();
    expect((await ask(port, { path: '/../secret' })).status).toBe(404);
    expect((await ask(port, { method: 'POST' })).status).toBe(405);
  });

  it('forbids other origins to read or frame it', async () => {
    const { port } = await open();
    const response = await fetch(`http://127.0.0.1:${port}/`);
    expect(response.headers.get('access-control-allow-origin')).toBeNull();
    expect(response.headers.get('cross-origin-resource-policy')).toBe('same-origin');
    expect(response.headers.get('x-frame-options')).toBe('DENY');
    await response.text();
  });

  it('forgets readers who leave', async () => {
    const server = await open();
    const reader = await listen(server.port);
    await reader.next();
    reader.response.destroy();
    await once(reader.response, 'close');
    while (server.readers > 0) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(server.readers).toBe(0);
  });
});
