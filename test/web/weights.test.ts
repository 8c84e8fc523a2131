// Weights by their names on the hub, in the built page: fetched once, held to what the hub says of them, kept, removed.
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { type HostTensor, serializeSafetensors } from '@actionclip/tensor';
import type { Page } from 'playwright';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startDigest } from '../../examples/web/src/worker/digest.ts';
import { readSafetensorsFile } from '../../packages/actionclip/src/checkpoints/files.ts';
import { gitDigest, sha256 } from '../actionclip/hub/mock-hub.ts';
import { openPageHost, type PageHost } from './built-page.ts';
import { commit, type FakeHub, openFakeHub, respond } from './fake-hub.ts';

let hub: FakeHub;
let host: PageHost;
let model: Buffer;
const modelPath = fileURLToPath(new URL('../../examples/web/assets/small-actions.safetensors', import.meta.url));

beforeAll(async () => {
  hub = await openFakeHub();
  host = await openPageHost(hub.flags);
  model = await readFile(modelPath);
}, 120_000);
afterAll(async () => {
  await host.close();
  await hub.close();
});
beforeEach(() => {
  hub.asked.length = 0;
  hub.faults.clear();
  hub.repositories.clear();
  hub.repositories.set(
    'someone/actions',
    new Map([
      ['config.json', Buffer.from('{}')],
      ['model.safetensors', model],
    ]),
  );
});

async function fetchByName(page: Page, name: string): Promise<void> {
  await page.locator('#hub-name').fill(name);
  await page.locator('#hub-form button').click();
}

/** Folders of the private file system, complete or not. */
const kept = (page: Page): Promise<number> =>
  page.evaluate(async () => {
    const root = await (await navigator.storage.getDirectory()).getDirectoryHandle('actionclip-weights');
    let count = 0;
    for await (const _ of root.keys()) count += 1;
    return count;
  });

describe('weights of the hub', () => {
  it('are fetched when a person asks, and from then on are there without a network until they are removed', async () => {
    const { page, context, complaints, hosts } = await host.visit();
    await page.locator('#chips li').first().waitFor();
    await page.locator('#sample-short').click();
    await page.locator('#bars li').first().waitFor();
    expect(hub.asked).toEqual([]);

    await fetchByName(page, 'https://huggingface.co/someone/actions');
    const row = page.locator('#kept-weights li');
    await row.waitFor();
    expect(await row.innerText()).toMatch(/someone\/actions\s+0\.7 MB\s+Remove/);
    await page.locator('#bars').getByText('jumping jacks').waitFor();
    expect(await page.locator('#weights-name').textContent()).toBe('someone/actions');
    expect(hub.asked).toEqual([
      'huggingface.co/api/models/someone/actions/revision/main',
      `huggingface.co/api/models/someone/actions/tree/${commit}`,
      `huggingface.co/someone/actions/resolve/${commit}/config.json`,
      `huggingface.co/someone/actions/resolve/${commit}/model.safetensors`,
      `us.aws.cdn.hf.co/someone/actions/${commit}/model.safetensors`,
    ]);
    expect([...hosts]).toEqual([new URL(host.address).host, 'huggingface.co', 'us.aws.cdn.hf.co']);

    hub.asked.length = 0;
    await page.reload();
    await row.getByRole('button', { name: 'someone/actions', exact: true }).click();
    await page.locator('#shipped-weights').waitFor();
    await page.locator('#sample-short').click();
    await page.locator('#bars').getByText('jumping jacks').waitFor();
    expect(hub.asked).toEqual([]);
    await row.getByRole('button', { name: 'Remove' }).click();
    await row.waitFor({ state: 'detached' });
    expect(await kept(page)).toBe(0);
    expect(complaints).toEqual([]);
    await context.close();
  });

  it('that cannot be had are a sentence, nothing of them is kept, and the next name works', async () => {
    const { page, context } = await host.visit();
    await page.locator('#chips li').first().waitFor();
    const failure = page.locator('#failure-reason');
    const refused = async (name: string, sentence: RegExp): Promise<void> => {
      await fetchByName(page, name);
      await page.locator('#failure').getByText(sentence).waitFor();
      expect(await kept(page)).toBe(0);
    };
    const half = model.subarray(0, model.length / 2);
    const file = 'model.safetensors';

    await refused('nobody/nothing', /^nobody\/nothing@main is not open to everybody, or does not exist/);
    await refused(
      'someone/actions@other',
      /someone\/actions@other does not exist \(the hub answered 404\); check the name/,
    );
    await refused('someone/actions/absent.bin', /has no file absent\.bin; it has config\.json, model\.safetensors/);
    await refused('ViT-B/32', /not on the Hugging Face hub; download https:\/\/\S*\/ViT-B-32\.pt and open the file/);
    await refused('../../secret', /There are no weights of the name/);
    hub.faults.set(file, (response) => respond(response, 403, 'gated'));
    await refused('someone/actions', /model\.safetensors is not open to everybody \(the hub answered 403\)/);
    hub.faults.set(file, (response) => respond(response, 200, Buffer.from(model).fill(7, 1000, 1001)));
    await refused('someone/actions', /model\.safetensors came with other bytes than the hub names/);
    hub.faults.set(file, (response) => respond(response, 200, Buffer.concat([model, model])));
    await refused('someone/actions', /model\.safetensors came with other bytes than the hub names/);
    hub.faults.set(file, (response) => respond(response, 200, half));
    await refused('someone/actions', /Of model\.safetensors came 374\d\d\d of 749\d\d\d bytes; try again/);
    hub.faults.set(file, (response, bytes) => {
      response.writeHead(200, { 'access-control-allow-origin': '*', 'content-length': bytes.length });
      response.write(half, () => response.socket?.destroySoon());
    });
    await refused('someone/actions', /The hub cannot be reached; check the network and try again/);
    // Another host than the hub's is not even asked.
    hub.faults.set(file, (response) => respond(response, 302, '', { location: 'https://clips.example/model' }));
    await refused('someone/actions', /The hub cannot be reached/);
    await context.setOffline(true);
    await refused('someone/actions', /The hub cannot be reached/);
    await context.setOffline(false);

    hub.faults.clear();
    await page.locator('#retry').click();
    await page.locator('#kept-weights li').waitFor();
    expect(await failure.isVisible()).toBe(false);
    await context.close();
  });

  it('may be in shards, of which all are fetched', async () => {
    const { tensors, metadata } = await readSafetensorsFile(modelPath);
    const names = [...tensors.keys()];
    const shards = [names.slice(0, 10), names.slice(10)].map(
      (some) => new Map(some.map((name) => [name, tensors.get(name) as HostTensor])),
    );
    const files = shards.map(
      (shard, at) => [`part-${at}.safetensors`, Buffer.from(serializeSafetensors(shard, metadata))] as const,
    );
    const entries = files.flatMap(([file], at) => [...(shards[at]?.keys() ?? [])].map((name) => [name, file]));
    const index = JSON.stringify({ weight_map: Object.fromEntries(entries) });
    hub.repositories.set('someone/shards', new Map([...files, ['model.safetensors.index.json', Buffer.from(index)]]));
    const { page, context, complaints } = await host.visit();
    await page.locator('#chips li').first().waitFor();
    await page.locator('#sample-short').click();
    await page.locator('#bars li').first().waitFor();
    await fetchByName(page, 'someone/shards');
    await page.locator('#kept-weights li').waitFor();
    await page.locator('#bars').getByText('jumping jacks').waitFor();
    expect(hub.asked.filter((asked) => /part-\d/.test(asked))).toHaveLength(4); // each with its redirect
    expect(complaints).toEqual([]);
    await context.close();
  });

  it('are not kept half where a person cancels', async () => {
    const { page, context, complaints } = await host.visit();
    await page.locator('#chips li').first().waitFor();
    let isOpen = true;
    hub.faults.set('model.safetensors', (response, bytes) => {
      response.writeHead(200, { 'access-control-allow-origin': '*', 'content-length': bytes.length });
      response.write(bytes.subarray(0, bytes.length / 2));
      response.on('close', () => {
        isOpen = false;
      });
    });
    await fetchByName(page, 'someone/actions');
    await page
      .locator('#activity')
      .getByText(/^Fetching model\.safetensors: 0\.\d of 0\.7 MB/)
      .waitFor();
    await page.locator('#cancel').click();
    await page.locator('#failure').getByText('The work was stopped').waitFor();
    expect(await kept(page)).toBe(0);
    expect(isOpen).toBe(false);
    expect(complaints).toEqual([]);
    await context.close();
  });
});

describe('digests in pieces', () => {
  it.each(['sha256', 'git'] as const)('by %s are those of the whole, wherever it is cut', (algorithm) => {
    const bytes = Uint8Array.from({ length: 1000 }, (_, at) => (at * 41 + 7) % 256);
    const whole = algorithm === 'git' ? gitDigest(bytes) : sha256(bytes);
    for (const cut of [0, 1, 64, 500, 1000]) {
      const running = startDigest(algorithm, bytes.length);
      running.update(bytes.subarray(0, cut));
      running.update(bytes.subarray(cut));
      expect(Buffer.from(running.digest()).toString('hex')).toBe(whole);
    }
  });
});
