// Files made to harm, in the built page: each is answered with a sentence, and the next good one works.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Page } from 'playwright';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { refuseEndlessTables } from '../../packages/actionclip/src/data/mp4-tables.ts';
import { openPageHost, type PageHost, type Visit } from './built-page.ts';
import { fragments, hostileCheckpoints, hostileVideos, oddVideos } from './hostile-files.ts';

let host: PageHost;
let visit: Visit;
let page: Page;
let folder: string;
let mp4: Buffer;

beforeAll(async () => {
  host = await openPageHost();
  folder = await mkdtemp(path.join(tmpdir(), 'actionclip-hostile-'));
  mp4 = await readFile(fileURLToPath(new URL('../../examples/web/assets/jumping-jacks.mp4', import.meta.url)));
  visit = await host.visit();
  page = visit.page;
  await page.locator('#chips li').first().waitFor();
  await page.locator('#sample-short').click();
  await page.locator('#bars li').first().waitFor();
}, 120_000);
afterAll(async () => {
  await host.close();
  await rm(folder, { recursive: true });
});

async function open(input: string, name: string, bytes: Buffer): Promise<void> {
  const file = path.join(folder, name);
  await writeFile(file, bytes);
  await page.setInputFiles(input, file);
}

describe('a hostile checkpoint', () => {
  it.each(Object.entries(hostileCheckpoints))('%s is refused', async (name, { make, sentence }) => {
    await open('#weights-input', name, await make());
    await page.locator('#failure').getByText(sentence).waitFor();
    expect(await page.locator('#failure-reason').textContent()).toContain(name);
  });

  it('does not harm the next good one', async () => {
    await page.locator('#shipped-weights').click();
    await page.locator('#bars').getByText('jumping jacks').waitFor();
    expect(await page.locator('#failure').isVisible()).toBe(false);
  });
});

describe('a hostile video', () => {
  it.each(Object.entries(hostileVideos))(
    '%s is refused, and the next good one is shown',
    async (name, { make, sentence }) => {
      await open('#video-input', name, make(mp4));
      await page.locator('#failure').getByText(sentence).waitFor();
      expect(await page.locator('#failure-reason').textContent()).toContain(name);
      await page.locator('#sample-short').click();
      await page.locator('#bars').getByText('jumping jacks').waitFor();
    },
  );

  it.each(Object.entries(oddVideos))('%s is shown as what it is', async (name, { make, extent }) => {
    await open('#video-input', name, make(mp4));
    await page.locator('#extent').getByText(extent).waitFor();
    expect(await page.locator('#bars li').count()).toBe(8);
  });
});

describe('tables of an MP4 file', () => {
  it('may speak of as many samples as there can be', async () => {
    await refuseEndlessTables(new Blob([Uint8Array.from(mp4)]), 'clip');
    await refuseEndlessTables(new Blob([Uint8Array.from(fragments(4, 3))]), 'clip');
    await refuseEndlessTables(new Blob([]), 'nothing');
    await refuseEndlessTables(new Blob(['this is no video']), 'text');
  });

  it('may not speak of more, in one fragment or in many together', async () => {
    for (const [count, samples] of [
      [1, 2 ** 31],
      [10, 100],
    ] as const) {
      const refused = refuseEndlessTables(new Blob([Uint8Array.from(fragments(count, samples))]), 'clip.mp4');
      await expect(refused).rejects.toThrow(/^clip\.mp4: its tables speak of \d+ frames/);
    }
  });

  it('may nest as deep as they like', async () => {
    const levels = 50_000;
    const nested = Buffer.alloc(8 * levels);
    for (let level = 0; level < levels; level++) {
      nested.writeUInt32BE(8 * (levels - level), 8 * level);
      nested.write('moov', 8 * level + 4);
    }
    await refuseEndlessTables(new Blob([nested]), 'clip');
  });
});
