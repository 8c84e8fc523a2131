import { existsSync } from 'node:fs';
import { mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type DownloadProgress, download } from '../../../packages/actionclip/src/hub/download.ts';
import { HubError } from '../../../packages/actionclip/src/hub/errors.ts';
import { InterruptedError } from '../../../packages/actionclip/src/interrupted.ts';
import { filesBelow, withHubAndHome } from './folders.ts';
import { type Fault, sha256, someBytes } from './mock-hub.ts';

const place = withHubAndHome();
const bytes = someBytes(100_000);
const digest = { algorithm: 'sha256', value: sha256(bytes) } as const;
const quick = { firstPause: 1, patience: 2000 };

function setUp(name = 'weights.pt'): { url: string; path: string } {
  const { hub, folder } = place();
  hub.plain.set(`/${name}`, bytes);
  return { url: `${hub.address}/${name}`, path: join(folder, 'target', name) };
}

describe('a download', () => {
  test('gives the bytes, and leaves nothing else in the folder', async () => {
    const { url, path } = setUp();
    expect(await download(url, path, { ...quick, digest })).toEqual({ size: bytes.length, digest: digest.value });
    expect(sha256(await readFile(path))).toBe(sha256(bytes));
    expect(await filesBelow(join(path, '..'))).toEqual(['weights.pt']);
  });

  test('reports how far it is, up to the end', async () => {
    const { url, path } = setUp();
    const seen: DownloadProgress[] = [];
    await download(url, path, { ...quick, digest, onProgress: (progress) => seen.push(progress) });
    expect(seen[0]).toMatchObject({ name: 'weights.pt', done: 0, total: bytes.length });
    expect(seen.at(-1)).toMatchObject({ done: bytes.length, total: bytes.length });
  });

  test('cut at any bytes, any number of times, by processes that end in between or not, gives the right bytes', async () => {
    const { hub } = place();
    const { url, path } = setUp();
    const fault = fc.oneof(
      { weight: 4, arbitrary: fc.record({ cutAfter: fc.integer({ min: 0, max: bytes.length - 1 }) }) },
      {
        weight: 1,
        arbitrary: fc.constantFrom<Fault>({ status: 503 }, { status: 429, headers: { 'retry-after': '0' } }),
      },
      { weight: 1, arbitrary: fc.constantFrom<Fault>({ ignoreRange: true, cutAfter: 5000 }, { shiftRange: true }) },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(fault, { maxLength: 8 }), fc.boolean(), async (faults, known) => {
        await rm(path, { force: true });
        hub.faults.length = 0;
        hub.faults.push(...faults);
        const options = { ...quick, ...(known ? { digest } : {}) };
        // Too many failures in a row end one call; the next one continues, as the next process would.
        for (let call = 0; !existsSync(path) && call < 20; call++) {
          await download(url, path, options).catch((error: unknown) => expect(error).toBeInstanceOf(HubError));
        }
        expect(sha256(await readFile(path))).toBe(digest.value);
        expect(await filesBelow(join(path, '..'))).toEqual(['weights.pt']);
      }),
      { numRuns: 40 },
    );
  });

  test('never takes a wrong byte, wherever it was cut before', async () => {
    const { hub } = place();
    const { url, path } = setUp();
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(bytes.length - 1), { maxLength: 3 }), async (cuts) => {
        hub.faults.length = 0;
        hub.faults.push(...cuts.map((cutAfter) => ({ cutAfter, corrupt: cutAfter > 0 })), { corrupt: true });
        const fetched = download(url, path, { ...quick, digest });
        await expect(fetched).rejects.toThrow(/gave other bytes than it should/);
        expect(await filesBelow(join(path, '..'))).toEqual([]);
      }),
      { numRuns: 20 },
    );
  });

  test('continues what an earlier process left, asking only for the rest', async () => {
    const { hub } = place();
    const { url, path } = setUp();
    await mkdir(join(path, '..'));
    await writeFile(`${path}.incomplete`, bytes.subarray(0, 40_000));
    await download(url, path, { ...quick, digest });
    expect(hub.asked.map(({ headers }) => headers.range)).toEqual(['bytes=40000-']);
    expect(sha256(await readFile(path))).toBe(sha256(bytes));
  });

  test('takes what is complete but for its name without asking', async () => {
    const { hub } = place();
    const { url, path } = setUp();
    await mkdir(join(path, '..'));
    await writeFile(`${path}.incomplete`, bytes);
    await download(url, path, { ...quick, digest, size: bytes.length });
    expect(hub.asked).toEqual([]);
    expect(sha256(await readFile(path))).toBe(sha256(bytes));
  });

  test('without a digest begins anew when the file at the address has become another', async () => {
    const { hub } = place();
    const { url, path } = setUp();
    hub.faults.push({ cutAfter: 30_000 }, { status: 503 }, { status: 503 }, { status: 503 }, { status: 503 });
    await expect(download(url, path, quick)).rejects.toThrow(HubError);
    expect(sha256(await readFile(`${path}.incomplete`))).toBe(sha256(bytes.subarray(0, 30_000)));
    const other = someBytes(50_000, 7);
    hub.plain.set('/weights.pt', other);
    hub.faults.length = 0;
    await download(url, path, quick);
    expect(sha256(await readFile(path))).toBe(sha256(other));
  });

  test('that is stopped keeps what came, and says that it goes on', async () => {
    const { url, path } = setUp();
    const stop = new AbortController();
    const options = { ...quick, digest, signal: stop.signal };
    const fetched = download(url, path, {
      ...options,
      onProgress: ({ done }) => {
        if (done > 0) stop.abort();
      },
    });
    await expect(fetched).rejects.toThrow(InterruptedError);
    await expect(fetched).rejects.toThrow('goes on where it ended');
    expect(await filesBelow(join(path, '..'))).toEqual(['weights.pt.incomplete']);
    await download(url, path, { ...quick, digest });
    expect(sha256(await readFile(path))).toBe(sha256(bytes));
  });

  test('by two at a time asks once', async () => {
    const { hub } = place();
    const { url, path } = setUp();
    await Promise.all([download(url, path, { ...quick, digest }), download(url, path, { ...quick, digest })]);
    expect(hub.asked).toHaveLength(1);
    expect(sha256(await readFile(path))).toBe(sha256(bytes));
  });

  test('takes over the lock of a process that is gone', async () => {
    const { url, path } = setUp();
    await mkdir(join(path, '..'));
    // The number of this process, which holds no such lock: in containers the next process often has the same one.
    await writeFile(`${path}.lock`, JSON.stringify({ pid: process.pid, host: hostname(), start: '2026-01-01' }));
    await download(url, path, { ...quick, digest });
    expect(await filesBelow(join(path, '..'))).toEqual(['weights.pt']);
  });

  test('follows redirects, and gives a token to no other host', async () => {
    const { hub } = place();
    const { url, path } = setUp();
    hub.redirects.set('/first', '/second');
    hub.redirects.set('/second', url.replace('127.0.0.1', 'localhost'));
    await download(`${hub.address}/first`, path, { ...quick, digest, headers: { authorization: 'Bearer secret' } });
    expect(hub.asked.map(({ headers }) => headers.authorization)).toEqual([
      'Bearer secret',
      'Bearer secret',
      undefined,
    ]);
    expect(hub.asked.every(({ headers }) => headers['accept-encoding'] === undefined)).toBe(true);
  });
});

describe('a download that fails says in one sentence why, and what to do', () => {
  const failing: readonly (readonly [string, Fault[], RegExp])[] = [
    ['a file that does not exist', [{ status: 404 }], /does not exist \(the server answered 404\); check the name/],
    ['a closed file', [{ status: 401 }], /HF_TOKEN/],
    ['a file behind a licence', [{ status: 403 }], /accept its licence/],
    [
      'a server that stays overloaded',
      Array(4).fill({ status: 429 }),
      /answered 429\); try again later; .* put the file at/,
    ],
    ['a server that wants a long pause', [{ status: 429, headers: { 'retry-after': '3600' } }], /answered 429/],
    ['a compressed answer', [{ headers: { 'content-encoding': 'gzip' } }], /came compressed/],
    ['a redirect away from HTTP', [{ status: 302, headers: { location: 'file:///etc/passwd' } }], /no safe address/],
    ['a server that breaks off every time', Array(4).fill({ cutAfter: 0 }), /could not be fetched/],
    ['an unknown status', [{ status: 418 }], /answered 418/],
  ];
  test.each(failing)('%s', async (_, faults, message) => {
    const { url, path } = setUp();
    place().hub.faults.push(...faults);
    const fetched = download(url, path, { ...quick, digest });
    await expect(fetched).rejects.toThrow(HubError);
    await expect(fetched).rejects.toThrow(message);
    expect(existsSync(path)).toBe(false);
  });

  test('redirects in a circle', async () => {
    const { url, path } = setUp();
    place().hub.redirects.set('/weights.pt', '/weights.pt');
    await expect(download(url, path, quick)).rejects.toThrow('redirected without an end');
  });

  test('a file of another length than it should have', async () => {
    const { url, path } = setUp();
    await expect(download(url, path, { ...quick, digest, size: 12 })).rejects.toThrow('has 100000 bytes where 12');
  });

  test('a file without a length, of which there is no digest', async () => {
    const { url, path } = setUp();
    place().hub.faults.push({ withoutLength: true });
    await expect(download(url, path, quick)).rejects.toThrow('without its length');
  });

  test('a server that falls silent', async () => {
    const { url, path } = setUp();
    place().hub.faults.push({ stall: true }, { stall: true }, { stall: true }, { stall: true });
    await expect(download(url, path, { digest, firstPause: 1, patience: 50 })).rejects.toThrow('could not be fetched');
  });

  test('no network: the address and the place are named', async () => {
    const { path } = setUp();
    const { hub } = place();
    const url = `${hub.address}/weights.pt`;
    await hub.close();
    const message = `fetch that address on another computer and put the file at ${path}`;
    await expect(download(url, path, { ...quick, digest })).rejects.toThrow(message);
    await expect(download(url, path, { ...quick, digest })).rejects.toThrow(url);
  });

  test('a target that cannot be written', async () => {
    const { folder } = place();
    const { url } = setUp();
    await writeFile(join(folder, 'file'), '');
    await expect(download(url, join(folder, 'file', 'weights.pt'), quick)).rejects.toThrow(
      /a part of the path is a file/,
    );
  });

  // Every write to this device fails as a full disk does; only Linux has it.
  test.runIf(process.platform === 'linux')('a full disk', async () => {
    const { url, path } = setUp();
    await mkdir(join(path, '..'));
    await symlink('/dev/full', `${path}.incomplete`);
    await expect(download(url, path, { ...quick, digest })).rejects.toThrow(/the disk is full; make room/);
  });
});
