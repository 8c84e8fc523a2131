import { existsSync } from 'node:fs';
import { lstat, mkdir, readFile, readlink, rm, utimes, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { HubError } from '../../../packages/actionclip/src/hub/errors.ts';
import { namedWeights } from '../../../packages/actionclip/src/hub/names.ts';
import { resolveWeights } from '../../../packages/actionclip/src/hub/resolve.ts';
import { filesBelow, withHubAndHome } from './folders.ts';
import { commitLike, gitDigest, type MockRepository, sha256, someBytes } from './mock-hub.ts';

const place = withHubAndHome();
const quick = { firstPause: 1, patience: 2000 };
const commit = commitLike('a');
const weights = someBytes(3000);

function publish(files: Record<string, Buffer>, lies?: MockRepository['lies'], name = 'someone/model'): void {
  place().hub.repositories.set(name, { commit, files: new Map(Object.entries(files)), ...(lies && { lies }) });
}

const cache = (): string => join(place().folder, 'huggingface', 'hub', 'models--someone--model');

describe('a path', () => {
  test('is returned as it is, a folder too', async () => {
    const { folder } = place();
    const file = join(folder, 'weights.pt');
    await writeFile(file, 'x');
    expect(await resolveWeights(file)).toBe(file);
    expect(await resolveWeights(folder)).toBe(folder);
  });

  test.each([
    ['nowhere.pt', 'nowhere.pt: there is no such file; check the path'],
    ['ViT-B/16', 'did you mean hub:ViT-B/16?'],
    ['openai/clip-vit-base-patch16', 'did you mean hub:openai/clip-vit-base-patch16?'],
    ['actionclip/vit-b16-8f', 'hub:actionclip/vit-b-16-8f'],
  ])('that leads nowhere (%s) says so, and which names it may have meant', async (path, message) => {
    await expect(resolveWeights(path)).rejects.toThrow(HubError);
    await expect(resolveWeights(path)).rejects.toThrow(message);
  });
});

describe('a repository', () => {
  test('is fetched into the cache that is shared with Python, with its configuration', async () => {
    const config = Buffer.from('{"model_type": "clip"}');
    publish({ 'README.md': Buffer.from('hello'), 'config.json': config, 'model.safetensors': weights });
    const path = await resolveWeights(`hub:someone/model@${commit}`, quick);
    expect(path).toBe(join(cache(), 'snapshots', commit, 'model.safetensors'));
    expect(sha256(await readFile(path))).toBe(sha256(weights));
    expect(await filesBelow(cache())).toEqual([
      ...[`blobs/${gitDigest(config)}`, `blobs/${sha256(weights)}`].sort(),
      `snapshots/${commit}/config.json`,
      `snapshots/${commit}/model.safetensors`,
    ]);
    expect((await lstat(path)).isSymbolicLink()).toBe(true);
    expect(await readlink(path)).toBe(`../../blobs/${sha256(weights)}`);
  });

  test('at a commit that is there is not asked for again, offline or not', async () => {
    publish({ 'model.safetensors': weights });
    const name = `hub:someone/model@${commit}`;
    const path = await resolveWeights(name, quick);
    place().hub.asked.length = 0;
    expect(await resolveWeights(name, quick)).toBe(path);
    vi.stubEnv('HF_HUB_OFFLINE', '1');
    expect(await resolveWeights(name, quick)).toBe(path);
    expect(place().hub.asked).toEqual([]);
  });

  test('at a branch says which commit that is, and keeps it for work without a network', async () => {
    publish({ 'model.safetensors': weights });
    const notes: string[] = [];
    const path = await resolveWeights('hub:someone/model', { ...quick, onNote: (note) => notes.push(note) });
    expect(notes).toEqual([`someone/model@main is commit ${commit}`]);
    expect(await readFile(join(cache(), 'refs', 'main'), 'utf8')).toBe(commit);
    vi.stubEnv('HF_HUB_OFFLINE', '1');
    expect(await resolveWeights('hub:someone/model', quick)).toBe(path);
  });

  test.each<[string, string[], string]>([
    ['safetensors before pickles', ['pytorch_model.bin', 'model.safetensors'], 'model.safetensors'],
    ['pickles where there is nothing else', ['tf_model.h5', 'pytorch_model.bin'], 'pytorch_model.bin'],
    ["OpenCLIP's names where there are no others", ['open_clip_pytorch_model.bin'], 'open_clip_pytorch_model.bin'],
  ])('gives %s', async (_, names, expected) => {
    publish(Object.fromEntries(names.map((name, index) => [name, someBytes(200, index + 1)])));
    expect(await resolveWeights('hub:someone/model', quick)).toBe(join(cache(), 'snapshots', commit, expected));
    expect((await filesBelow(join(cache(), 'snapshots'))).length).toBe(1);
  });

  test('in shards is fetched whole, and is its index', async () => {
    const map = { a: 'model-1.safetensors', b: 'model-2.safetensors', c: 'model-1.safetensors' };
    publish({
      'model.safetensors.index.json': Buffer.from(JSON.stringify({ weight_map: map })),
      'model-1.safetensors': someBytes(500, 2),
      'model-2.safetensors': someBytes(600, 3),
      'pytorch_model.bin': someBytes(10),
    });
    const path = await resolveWeights('hub:someone/model', quick);
    expect(path).toBe(join(cache(), 'snapshots', commit, 'model.safetensors.index.json'));
    for (const shard of Object.values(map)) expect(existsSync(join(dirname(path), shard))).toBe(true);
    // With a shard gone, the cache no longer holds the weights: what is missing is fetched again.
    await rm(join(dirname(path), map.b));
    expect(await resolveWeights(`hub:someone/model@${commit}`, quick)).toBe(path);
    expect(existsSync(join(dirname(path), map.b))).toBe(true);
  });

  test('gives the file that is named, in a folder too', async () => {
    publish({ 'model.safetensors': weights, 'deep/er/weights.pt': someBytes(90) });
    const path = await resolveWeights(`hub:someone/model@${commit}/deep/er/weights.pt`, quick);
    expect(path).toBe(join(cache(), 'snapshots', commit, 'deep', 'er', 'weights.pt'));
    expect(sha256(await readFile(path))).toBe(sha256(someBytes(90)));
  });

  test('sends the token to the hub, from the environment or from the file of Python', async () => {
    publish({ 'model.safetensors': weights });
    vi.stubEnv('HF_TOKEN', 'secret');
    await resolveWeights('hub:someone/model', quick);
    await mkdir(join(place().folder, 'huggingface'), { recursive: true });
    await writeFile(join(place().folder, 'huggingface', 'token'), 'kept\n');
    vi.stubEnv('HF_TOKEN', '');
    await resolveWeights('hub:someone/model', quick);
    const sent = new Set(place().hub.asked.map(({ headers }) => headers.authorization));
    expect([...sent]).toEqual(['Bearer secret', 'Bearer kept']);
  });

  test('goes on where it was cut, and past a hub that is busy', async () => {
    publish({ 'model.safetensors': weights });
    place().hub.faults.push(
      { on: '/revision/', status: 503 },
      { on: '/tree/', status: 429, headers: { 'retry-after': '0' } },
      { on: '/resolve/', cutAfter: 1000 },
    );
    const path = await resolveWeights('hub:someone/model', quick);
    expect(sha256(await readFile(path))).toBe(sha256(weights));
    expect(place().hub.asked.at(-1)?.headers.range).toBe('bytes=1000-');
  });

  test('with other bytes than the hub promised is refused and leaves none of them', async () => {
    publish({ 'config.json': Buffer.from('{}'), 'model.safetensors': weights });
    for (const on of ['config.json', 'model.safetensors']) {
      place().hub.faults.push({ on, corrupt: true });
      await expect(resolveWeights('hub:someone/model', quick)).rejects.toThrow('gave other bytes than it should');
      expect(existsSync(join(cache(), 'snapshots', commit, on))).toBe(false);
    }
    expect(sha256(await readFile(await resolveWeights('hub:someone/model', quick)))).toBe(sha256(weights));
  });

  test('of the table with other bytes than are known is refused before a byte is fetched', async () => {
    const row = namedWeights.find(({ name }) => name === 'hub:openai/clip-vit-base-patch32');
    const revision = row?.source.kind === 'repository' ? row.source.revision : '';
    const files = new Map([['pytorch_model.bin', weights]]);
    place().hub.repositories.set('openai/clip-vit-base-patch32', { commit: revision, files });
    await expect(resolveWeights('hub:openai/clip-vit-base-patch32', quick)).rejects.toThrow(
      'other bytes for pytorch_model.bin',
    );
    expect(place().hub.asked.some(({ path }) => path.includes('/resolve/'))).toBe(false);
  });

  const refused: readonly (readonly [string, string, RegExp])[] = [
    ['a repository that does not exist', 'hub:no/body', /not open to everybody, or does not exist/],
    ['a revision that does not exist', 'hub:someone/model@branch', /does not exist/],
    ['a file that does not exist', 'hub:someone/model/other.pt', /has no file other\.pt; it has README\.md; name one/],
    ['a repository without weights', 'hub:someone/model', /has no weights under the usual names; it has README\.md/],
  ];
  test.each(refused)('%s is an error in words', async (_, name, message) => {
    publish({ 'README.md': Buffer.from('hello') });
    await expect(resolveWeights(name, quick)).rejects.toThrow(HubError);
    await expect(resolveWeights(name, quick)).rejects.toThrow(message);
  });

  test('without a network says what to fetch and where to put it, and that is then found', async () => {
    await place().hub.close();
    const row = 'hub:openai/clip-vit-base-patch16';
    const failed = await resolveWeights(row, quick).catch((error: unknown) => error as HubError);
    expect(failed).toBeInstanceOf(HubError);
    const [, address = '', path = ''] = /fetch (\S+) on another computer and put it at (\S+)$/.exec(`${failed}`) ?? [];
    expect(address).toMatch(
      /\/openai\/clip-vit-base-patch16\/resolve\/57c216476eefef5ab752ec549e440a49ae4ae5f3\/pytorch_model\.bin$/,
    );
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, weights);
    expect(await resolveWeights(row, quick)).toBe(path);
    await expect(resolveWeights('hub:someone/model', quick)).rejects.toThrow(/set HF_HUB_OFFLINE=1 .* give their path/);
  });

  test('offline and not in the cache says the same without asking', async () => {
    vi.stubEnv('HF_HUB_OFFLINE', '1');
    await expect(resolveWeights('hub:openai/clip-vit-base-patch16', quick)).rejects.toThrow(
      /put it at .*pytorch_model\.bin$/,
    );
    await expect(resolveWeights('hub:ViT-B/16', quick)).rejects.toThrow(/fetch https:\/\/openaipublic.* put it there$/);
    await expect(resolveWeights('hub:actionclip/vit-b-16-8f', quick)).rejects.toThrow('vit-b-16-8f.pth');
    expect(place().hub.asked).toEqual([]);
  });

  test('an endpoint that is no address is an error', async () => {
    vi.stubEnv('HF_ENDPOINT', 'nonsense');
    await expect(resolveWeights('hub:someone/model', quick)).rejects.toThrow('HF_ENDPOINT is "nonsense"');
  });

  test('a hub that answers anything at all is at worst an error in words', async () => {
    const answer = fc.oneof(
      fc.json().map((text) => Buffer.from(text)),
      fc.uint8Array({ maxLength: 100 }).map((bytes) => Buffer.from(bytes)),
      fc.constant(Buffer.from(JSON.stringify({ sha: commit }))),
      fc.constant(Buffer.from(JSON.stringify([{ type: 'file', path: 'model.safetensors', size: 3 }]))),
      fc.constant(Buffer.from(JSON.stringify([{ type: 'file', path: 7 }, null]))),
    );
    await fc.assert(
      fc.asyncProperty(answer, answer, async (revision, tree) => {
        place().hub.plain.set('/api/models/someone/model/revision/main', revision);
        place().hub.plain.set(`/api/models/someone/model/tree/${commit}`, tree);
        await expect(resolveWeights('hub:someone/model', quick)).rejects.toThrow(HubError);
      }),
      { numRuns: 60 },
    );
  });

  test('a cache that cannot be written is an error in words', async () => {
    publish({ 'model.safetensors': weights });
    await writeFile(join(place().folder, 'huggingface'), 'a file where the folder should be');
    await expect(resolveWeights('hub:someone/model', quick)).rejects.toThrow(/a part of the path is a file/);
  });

  test('nothing is ever written outside of its folder in the cache, whatever the hub says', async () => {
    const piece = fc.constantFrom('..', '.', 'a', '', 'C:', '\\', '..\\', 'model.safetensors', '\u0000', '%2e%2e', '~');
    const path = fc.array(piece, { minLength: 1, maxLength: 5 }).map((parts) => parts.join('/'));
    const digest = fc.oneof(path, fc.constant('../../../../outside'));
    const lie = fc.record({ path, oid: digest }, { requiredKeys: [] });
    await fc.assert(
      fc.asyncProperty(lie, path, fc.boolean(), async (said, shard, indexed) => {
        const index = Buffer.from(JSON.stringify({ weight_map: { a: shard } }));
        const name = indexed ? 'model.safetensors.index.json' : 'model.safetensors';
        publish({ [name]: indexed ? index : weights, [shard]: weights }, new Map([[indexed ? shard : name, said]]));
        await resolveWeights('hub:someone/model', quick).catch((error: unknown) =>
          expect(error).toBeInstanceOf(HubError),
        );
        const outside = (await filesBelow(place().folder)).filter(
          (file) =>
            !/^huggingface\/hub\/models--someone--model\/(?:refs\/main|(?:blobs|snapshots)\/[0-9a-f]{40,64}(?:\/|$))/.test(
              file,
            ),
        );
        expect(outside).toEqual([]);
        await rm(cache(), { recursive: true, force: true });
      }),
      { numRuns: 40 },
    );
  });
});

describe("a name of OpenAI's files", () => {
  test('is the file in the cache of its Python package, if that has the right bytes', async () => {
    const path = join(place().folder, 'home', '.cache', 'clip', 'ViT-B-16.pt');
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, weights);
    await expect(resolveWeights('hub:ViT-B/16')).rejects.toThrow(`${path} is not ViT-B-16.pt as it should be`);
  });
});

describe('a name of the released weights', () => {
  test('is the file in our own cache', async () => {
    const path = join(place().folder, 'cache', 'actionclip', 'weights', 'vit-b-16-8f.pth');
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, weights);
    expect(await resolveWeights('hub:actionclip/vit-b-16-8f')).toBe(path);
  });
});

test.each([
  'hub:',
  'hub:x',
  'hub:a/b/../c',
  'hub:a/b/\\c',
  'hub:../b',
  'hub:/a/b',
  'hub:a/b@',
  'hub:a/b@../c',
  'hub:ViT-X/3',
])('%s is no name', async (name) => {
  await expect(resolveWeights(name, quick)).rejects.toThrow(`There are no weights of the name "${name}"`);
  expect(place().hub.asked).toEqual([]);
});

test('a proxy is gone through, by name and password, but not for the hosts that are excepted', async () => {
  publish({ 'model.safetensors': weights });
  const { hub } = place();
  const passed: (string | undefined)[] = [];
  const proxy = createServer((request, response) => {
    passed.push(`${request.headers['proxy-authorization']}`);
    void fetch(request.url ?? '').then(async (answer) => {
      response.writeHead(answer.status, { 'content-length': answer.headers.get('content-length') ?? '' });
      response.end(Buffer.from(await answer.arrayBuffer()));
    });
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  vi.stubEnv('HTTP_PROXY', `http://me:pass%21@127.0.0.1:${(proxy.address() as AddressInfo).port}`);
  await resolveWeights('hub:someone/model', quick);
  expect(passed.length).toBe(hub.asked.length);
  expect(new Set(passed)).toEqual(new Set([`Basic ${Buffer.from('me:pass!').toString('base64')}`]));
  vi.stubEnv('NO_PROXY', 'example.com, 127.0.0.1');
  await resolveWeights('hub:someone/model', quick);
  expect(passed.length).toBeLessThan(hub.asked.length);
  proxy.closeAllConnections();
  proxy.close();
});

test('a proxy that lets nothing through to a hub behind encryption is named', async () => {
  const wanted: (string | undefined)[] = [];
  const proxy = createServer();
  proxy.on('connect', (request, socket) => {
    wanted.push(request.url);
    socket.end('HTTP/1.1 403 Forbidden\r\n\r\n');
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  vi.stubEnv('HTTPS_PROXY', `127.0.0.1:${(proxy.address() as AddressInfo).port}`);
  vi.stubEnv('HF_ENDPOINT', 'https://hub.example/');
  await expect(resolveWeights('hub:someone/model', quick)).rejects.toThrow(/did not let hub\.example:443 through/);
  expect(wanted).toEqual(['hub.example:443']);
  vi.stubEnv('HTTPS_PROXY', 'socks5://127.0.0.1:1');
  await expect(resolveWeights('hub:someone/model', quick)).rejects.toThrow(
    'The proxy "socks5://127.0.0.1:1" cannot be used',
  );
  proxy.close();
});

test('a file that was found right is read again only when it has changed', async () => {
  const { hasDigest } = await import('../../../packages/actionclip/src/hub/verified.ts');
  const path = join(place().folder, 'weights.pt');
  await writeFile(path, weights);
  const then = new Date(1_700_000_000_000);
  await utimes(path, then, then);
  expect(await hasDigest(path, sha256(weights))).toBe(true);
  // The same length and time: it is taken for the same.
  await writeFile(path, someBytes(weights.length, 9));
  await utimes(path, then, then);
  expect(await hasDigest(path, sha256(weights))).toBe(true);
  await utimes(path, then, new Date(1_700_000_001_000));
  expect(await hasDigest(path, sha256(weights))).toBe(false);
});
