// The training tab of the built page: clips from a webcam and from files, a head trained on them, and what comes of it.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Generator } from '@actionclip/tensor';
import { ActionCLIP } from 'actionclip';
import type { Page } from 'playwright';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { modelFileParts } from '../../packages/actionclip/src/checkpoints/own-layout.ts';
import { openFrameSource } from '../../packages/actionclip/src/data/open-source.ts';
import { openRecognizer } from '../../packages/actionclip/src/recognize/open.ts';
import { webcamFlags, writeWebcamVideo } from '../../tools/fake-webcam.ts';
import { openPageHost, type PageHost, type Visit } from './built-page.ts';

const asset = (name: string): string => fileURLToPath(new URL(`../../examples/web/assets/${name}`, import.meta.url));
const [jumping, threeActions] = [asset('jumping-jacks.mp4'), asset('three-actions.mp4')];

let folder: string;
let webcam: string;
let host: PageHost;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'actionclip-training-'));
  webcam = path.join(folder, 'webcam.y4m');
  await writeWebcamVideo(webcam, 'jumping jacks', 90_001);
  host = await openPageHost(webcamFlags(webcam));
}, 120_000);
afterAll(async () => {
  await host.close();
  await rm(folder, { recursive: true });
});

/** The tab, with two actions named. */
async function visit(...labels: readonly string[]): Promise<Visit> {
  const visited = await host.visit(`${host.address}#train`);
  const { page } = visited;
  await page.getByText('stay as they are').waitFor();
  await page.locator('#train-label-input').fill(labels.join(', '));
  await page.keyboard.press('Enter');
  return visited;
}

const row = (page: Page, label: number) => page.locator('.train-label').nth(label);

/** The webcam's track that the tab shows. */
const trackOf = (page: Page) =>
  page.locator('#train-preview video').evaluateHandle((shown) => {
    return ((shown as HTMLVideoElement).srcObject as MediaStream).getTracks()[0];
  });

async function addFiles(page: Page, label: number, files: string[]): Promise<void> {
  const clips = row(page, label).locator('.thumbnail');
  const before = await clips.count();
  await row(page, label).locator('input').setInputFiles(files);
  await clips.nth(before + files.length - 1).waitFor();
}

async function train(page: Page, settings: { readonly epochs: number; readonly head?: string }): Promise<void> {
  await page.locator('#train-epochs').fill(String(settings.epochs));
  if (settings.head !== undefined) await page.locator('#train-head').selectOption(settings.head);
  await page.locator('#train-start').click();
}

/** A model whose image tower shifts features from frame to frame, as a file. */
async function shifted(): Promise<Buffer> {
  const sizes = {
    embedding: 8,
    vision: { resolution: 16, patch: 8, width: 64, layers: 1, heads: 1 },
    text: { context: 24, vocabulary: 49_408, width: 64, layers: 1, heads: 1 },
  };
  const description = { sizes, frames: 2, temporal: 'meanP', shift: true } as const;
  const model = new ActionCLIP({ ...description, generator: new Generator(1) });
  const parts: Uint8Array[] = [];
  for await (const part of modelFileParts(model, { ...description, vocabulary: 'clip' })) parts.push(part);
  return Buffer.concat(parts);
}

/** What the curve of the loss says in words. */
const lossWords = (page: Page): Promise<string | null> => page.locator('#train-done').textContent();

describe('the training tab', () => {
  it('learns what the webcam shows, hands it to recognition, and gives a file that computes the same in Node', async () => {
    const { page, context, complaints, hosts } = await visit('leaping', 'saying <b>hello</b>');
    await page.locator('#train-seconds').selectOption('1');
    await page.locator('#train-countdown').selectOption('0');
    expect(await page.locator('#train-start').isDisabled()).toBe(true);
    await page.getByRole('button', { name: 'Record 5 clips of leaping' }).click();
    await row(page, 0).locator('.thumbnail').nth(2).waitFor();
    await page.locator('#train-cancel').click(); // the fourth, which is under way
    await page.getByText('“saying <b>hello</b>” has no clip yet').waitFor();
    const first = await trackOf(page);
    await page.locator('#train-camera-off').click();
    expect(await first.evaluate((found) => found?.readyState)).toBe('ended');
    const leapings = await row(page, 0).locator('.thumbnail').count();
    expect([3, 4]).toContain(leapings);

    await writeWebcamVideo(webcam, 'waving both arms', 90_002);
    await page.getByRole('button', { name: 'Record saying <b>hello</b>', exact: true }).click();
    await row(page, 1).locator('.thumbnail').waitFor();
    await addFiles(page, 1, [threeActions, threeActions]);
    await page.getByRole('button', { name: 'Remove three-actions.mp4 of saying <b>hello</b>' }).first().click();
    expect(await row(page, 1).locator('.thumbnail').count()).toBe(2);
    expect(await page.evaluate(() => document.activeElement?.getAttribute('aria-label'))).toMatch(/^Remove/);

    await train(page, { epochs: 40 });
    await page.locator('#trained-section').waitFor();
    const [, before, after] = /from (\d+\.\d+) to (\d+\.\d+)/.exec((await lossWords(page)) ?? '') ?? [];
    expect(Number(after)).toBeLessThan(Number(before) / 2);
    expect(await page.locator('#trained-summary').textContent()).toMatch(/100 % of the clips that it learnt from\. 40/);
    const rows = page.locator('#trained-clips tbody tr');
    expect(await rows.count()).toBe(leapings + 2);
    expect(await rows.locator('[aria-label="right:"]').count()).toBe(leapings + 2);
    expect(await page.locator('#trained-clips b').count()).toBe(0);
    expect(await page.locator('#curves svg').first().getAttribute('aria-label')).toBe(`Loss: ${after}`);

    const downloading = page.waitForEvent('download');
    await page.locator('#download-trained').click();
    const file = path.join(folder, 'trained.safetensors');
    await (await downloading).saveAs(file);
    const second = await trackOf(page);
    expect(await second.evaluate((found) => found?.readyState)).toBe('live');
    await page.locator('#use-trained').click();
    expect(await page.evaluate(() => [location.hash, document.activeElement?.id])).toEqual([
      '#recognise',
      'tab-recognise',
    ]);
    expect(await second.evaluate((found) => found?.readyState)).toBe('ended'); // the webcam goes with the tab
    await page.setInputFiles('#video-input', jumping);
    await page.locator('#bars li').nth(1).waitFor();
    const bars = page.locator('#bars .bar-label');
    expect(await bars.allTextContents()).toEqual(['leaping', 'saying <b>hello</b>']);
    const shares = await page
      .locator('#bars .bar-fill')
      .evaluateAll((all) => all.map((one) => Number((one as HTMLElement).style.getPropertyValue('--share'))));

    const recognizer = await openRecognizer(file, { device: 'wasm' });
    const source = await openFrameSource(jumping);
    const { probabilities } = await recognizer.classify(source, ['leaping', 'saying <b>hello</b>']);
    await Promise.all([source.close(), recognizer.close()]);
    for (const [at, probability] of probabilities.entries())
      expect(Math.abs(Math.log(shares[at] ?? Number.NaN) - Math.log(probability))).toBeLessThan(1e-4);

    // The clips were seen by the same towers, so that the training may go on from here.
    await page.locator('#tab-train').click();
    await page.locator('#train-start:enabled').waitFor();
    expect(await page.locator('#train-other').isVisible()).toBe(false);
    expect(complaints).toEqual([]);
    expect([...hosts]).toEqual([new URL(host.address).host]);
    await context.close();
  });

  it('keeps clips aside, stops when a person wants it to, and learns the same from the same', async () => {
    const { page, context, complaints } = await visit('leaping', 'other');
    await addFiles(page, 0, [jumping, jumping, jumping]);
    await addFiles(page, 1, [threeActions, threeActions, threeActions]);
    const clips = async (): Promise<string[]> => {
      await page.locator('#trained-section').waitFor();
      return page.locator('#trained-clips tbody tr').allInnerTexts();
    };
    await train(page, { epochs: 0 });
    expect(await page.locator('#train-epochs:invalid').count()).toBe(1);
    expect(await page.locator('#train-stop').isVisible()).toBe(false);
    await train(page, { epochs: 10, head: 'LSTM' });
    const before = await clips();
    expect(before.filter((text) => text.includes('kept aside'))).toHaveLength(2);
    expect(await page.locator('#trained-summary').textContent()).toMatch(/of the clips kept aside/);
    const loss = await lossWords(page);
    await train(page, { epochs: 10 });
    expect(await clips()).toEqual(before);
    expect(await lossWords(page)).toBe(loss);

    await train(page, { epochs: 1000 });
    await page.getByText(/^Epoch \d{2,} of 1000/).waitFor();
    expect(await page.locator('#train-stop').evaluate((stop) => stop === document.activeElement)).toBe(true);
    await page.keyboard.press('Enter');
    await page.getByText(/Stopped after \d+ of 1000 epochs/).waitFor();
    expect(await page.locator('#train-start').evaluate((start) => start === document.activeElement)).toBe(true);
    expect(complaints).toEqual([]);
    await context.close();
  });

  it('says what it cannot do, and goes on', async () => {
    const { page, context, complaints } = await visit('leaping', 'other');
    const buffer = Buffer.from('this is no video');
    await row(page, 0)
      .locator('input')
      .setInputFiles([{ name: 'clip.mp4', mimeType: 'video/mp4', buffer }]);
    await page.locator('#train-clips-failure').getByText('clip.mp4: it cannot be opened as a video').waitFor();
    await addFiles(page, 0, [jumping]);
    expect(await page.locator('#train-clips-failure').isVisible()).toBe(false);

    // Clips of one model are of no use to another.
    await page.locator('#tab-train').press('ArrowLeft');
    expect(await page.evaluate('location.hash')).toBe('#recognise');
    await page.setInputFiles('#weights-input', asset('small-actions.safetensors'));
    await page.locator('#weights-name').getByText('small-actions.safetensors').waitFor();
    await page.goBack();
    await page.getByText('The clips were looked at by the small model').waitFor();
    expect(await row(page, 0).getByText('Add files').isVisible()).toBe(true);
    expect(await row(page, 0).locator('input').isDisabled()).toBe(true);
    await page.locator('#train-remove-clips').click();
    await addFiles(page, 0, [jumping]);
    await page.locator('#train-remove-clips').waitFor({ state: 'hidden' });

    // Where the tower looks across frames, there are no features of single ones.
    await page.setInputFiles('#weights-input', { name: 'shifted.safetensors', mimeType: '', buffer: await shifted() });
    await page.getByText('The image tower of shifted.safetensors looks at several frames together').waitFor();
    expect(await page.getByRole('button', { name: 'Record leaping', exact: true }).isDisabled()).toBe(true);

    // They are lost with the page, which asks before.
    const asked = page.waitForEvent('dialog');
    const reloaded = page.reload().catch(() => undefined);
    const dialog = await asked;
    expect(dialog.type()).toBe('beforeunload');
    await dialog.accept();
    await reloaded;
    expect(complaints).toEqual([]);
    await context.close();
  });
});
