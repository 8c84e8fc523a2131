// The built page in a headless Chromium: from a video to bars, under its policy, from a plain host, and without one.
import { readdir, readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Generator, serializeSafetensors } from '@actionclip/tensor';
import { ActionCLIP } from 'actionclip';
import type { Page } from 'playwright';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ScoreReport, VideoReport } from '../../examples/web/src/protocol.ts';
import { openFrameSource } from '../../packages/actionclip/src/data/open-source.ts';
import { openRecognizer } from '../../packages/actionclip/src/recognize/open.ts';
import { openPageHost, type PageHost } from './built-page.ts';

const asset = (name: string): string => fileURLToPath(new URL(`../../examples/web/assets/${name}`, import.meta.url));

let host: PageHost;
let visit: PageHost['visit'];

beforeAll(async () => {
  host = await openPageHost();
  visit = host.visit;
}, 120_000);
afterAll(() => host.close());

const best = (page: Page): Promise<string | null> => page.locator('#bars .bar-label').first().textContent();

describe('the page', () => {
  it('goes from an upload to bars, without a complaint, and asks no other host', async () => {
    const { page, complaints, hosts } = await visit();
    expect(await page.evaluate('crossOriginIsolated')).toBe(true);
    await page.locator('#chips li').first().waitFor(); // the model's own labels
    await page.setInputFiles('#video-input', asset('jumping-jacks.mp4'));
    await page.locator('#bars li').first().waitFor();
    expect(await best(page)).toBe('jumping jacks');
    expect(await page.locator('#status').textContent()).toMatch(/^jumping jacks, \d/);
    expect(await page.locator('#frames canvas').count()).toBe(8);
    expect(await page.locator('#frames tbody tr').count()).toBe(5);
    expect(await page.locator('#facts').innerText()).toMatch(/WebAssembly.* threads?[\s\S]*ms per clip/);

    await page.locator('#sample-long').click();
    await page.locator('#timeline-section').waitFor();
    const over = await page.locator('.run').evaluateAll((runs) => runs.map((run) => run.textContent));
    expect([over[0], over.at(-1)]).toEqual(['waving both arms', 'kicking with one leg']);
    expect(complaints).toEqual([]);
    expect(hosts).toEqual(new Set([new URL(host.address).host]));
    await page.context().close();
  });

  it('takes labels by typing, pasting and presets, as text alone, and gives them up by the keyboard', async () => {
    const { page, complaints } = await visit();
    const chips = page.locator('#chips li');
    await chips.first().waitFor();
    await page.locator('#sample-short').click();
    await page.locator('#bars li').first().waitFor();
    await page.locator('#clear-labels').click();
    await page.getByText('Add labels, and the video is scored').waitFor();

    const hostile = '<img src=x>';
    await page.locator('#label-input').fill(hostile);
    await page.keyboard.press('Enter');
    await page.evaluate(() => {
      const clipboardData = new DataTransfer();
      clipboardData.setData('text', 'jumping jacks\nSitting Down; jumping jacks, bending forward');
      const event = new ClipboardEvent('paste', { clipboardData, bubbles: true, cancelable: true });
      document.querySelector('#label-input')?.dispatchEvent(event);
    });
    expect(await chips.allInnerTexts()).toHaveLength(4);
    expect(await chips.first().textContent()).toBe(hostile);
    await page.getByText('jumping jacks').first().waitFor();
    await page.locator('#bars li').nth(3).waitFor();
    expect(await best(page)).toBe('jumping jacks');
    expect(await page.locator('#chips img, #bars img, #frames img').count()).toBe(0);

    await page.locator('#label-input').press('Shift+Tab'); // to what stands before
    await chips.nth(1).locator('button').focus();
    await page.keyboard.press('ArrowLeft');
    await page.keyboard.press('Delete');
    expect(await page.evaluate('document.activeElement.getAttribute("aria-label")')).toBe('Remove jumping jacks');
    expect(await chips.count()).toBe(3);
    await page.locator('#preset').selectOption('ucf101');
    expect(await page.locator('#label-count').textContent()).toBe('101 labels');
    expect(await chips.first().textContent()).toBe('apply eye makeup');
    expect(complaints).toEqual([]);
    await page.context().close();
  });

  it('says what is wrong with a video or with weights, and goes on with others', async () => {
    const { page, complaints } = await visit();
    const failure = page.locator('#failure');
    await page.locator('#chips li').first().waitFor();
    const buffer = Buffer.from('this is <b>no</b> video');
    await page.setInputFiles('#video-input', { name: '<b>clip</b>.mp4', mimeType: 'video/x-none', buffer });
    await failure.getByText('<b>clip</b>.mp4: it cannot be opened as a video').waitFor();
    await page.locator('#sample-short').click();
    await page.locator('#bars li').first().waitFor();
    expect(await failure.isVisible()).toBe(false);

    await page.setInputFiles('#weights-input', { name: 'bad.safetensors', mimeType: '', buffer });
    await failure.getByText('bad.safetensors').waitFor();
    expect(await page.locator('#scores').isVisible()).toBe(false);
    await page.locator('#shipped-weights').click();
    await page.locator('#bars li').first().waitFor();
    expect(await best(page)).toBe('jumping jacks');
    expect(complaints).toEqual([]);
    await page.context().close();
  });

  it('opens weights with the vocabulary of CLIP, and pictures that move', async () => {
    const { page, complaints } = await visit();
    await page.locator('#chips li').first().waitFor();
    const sizes = {
      embedding: 8,
      vision: { resolution: 16, patch: 8, width: 64, layers: 1, heads: 1 },
      text: { context: 24, vocabulary: 49_408, width: 64, layers: 1, heads: 1 },
    };
    const clip = new ActionCLIP({ sizes, frames: 2, temporal: 'meanP', generator: new Generator(1) }).clip;
    const buffer = Buffer.from(serializeSafetensors(await clip.stateDict()));
    await page.setInputFiles('#weights-input', { name: 'clip.safetensors', mimeType: '', buffer });
    await page.locator('#facts').getByText('8 frames of 16').waitFor();
    await page.locator('#clear-labels').click();
    await page.locator('#label-input').fill('archery, yoga, surfing');
    await page.keyboard.press('Enter');
    const [width, height, pages] = [24, 16, 4];
    const pixels = Uint8Array.from(
      { length: 3 * width * height * pages },
      (_, at) => (at * 37 + (at >> 10) * 90) % 256,
    );
    const raw = { width, height: height * pages, channels: 3, pageHeight: height } as const;
    const gif = await sharp(pixels, { raw })
      .gif({ delay: [100, 100, 100, 100] })
      .toBuffer();
    await page.setInputFiles('#video-input', { name: 'moving.gif', mimeType: 'image/gif', buffer: gif });
    await page.locator('#bars').getByText('archery').waitFor();
    await page.getByText('4 frames, 0.4 s').waitFor();
    expect(await page.locator('#preview img').getAttribute('alt')).toBe('moving.gif');
    expect(complaints).toEqual([]);
    await page.context().close();
  });

  it('computes what Node computes', async () => {
    const { page } = await visit();
    const script = (await readdir(path.join(host.folder, 'assets'))).find((name) => /^main-.*\.js$/.test(name));
    const labels = ['jumping jacks', 'waving both arms', 'kicking with one leg', 'raising both arms', 'archery'];
    const files = { model: 'small-actions', clip: 'three-actions' };
    const [video, scores] = await page.evaluate(inWorker, {
      script: `assets/${script}`,
      labels,
      model: await addressOf(files.model),
      clip: await addressOf(files.clip),
    });

    const recognizer = await openRecognizer(asset('small-actions.safetensors'), { device: 'wasm' });
    const source = await openFrameSource(asset('three-actions.mp4'));
    const expected = await recognizer.classify(source, labels);
    await Promise.all([source.close(), recognizer.close()]);
    expect([video.frames, video.clips]).toEqual([expected.frames, 1]);
    const scale = Math.exp(((await recognizer.model.clip.logit_scale.data()) as Float32Array)[0] ?? Number.NaN);
    for (const [at, { similarities }] of expected.sampled.entries()) {
      for (const [label, similarity] of similarities.entries()) {
        expect(Math.abs(scale * ((scores.similarities[at]?.[label] ?? Number.NaN) - similarity))).toBeLessThan(1e-4);
      }
    }
    for (const [label, probability] of expected.probabilities.entries()) {
      const logit = Math.log(scores.probabilities[label] ?? Number.NaN) - Math.log(probability);
      expect(Math.abs(logit)).toBeLessThan(1e-4);
    }
    await page.context().close();
  });

  it('works from a folder of a plain host, and then without the host, isolated', async () => {
    const plain = await plainHost();
    const { page, complaints } = await visit(`http://localhost:${(plain.address() as AddressInfo).port}/some/where/`);
    expect(await page.evaluate('crossOriginIsolated')).toBe(false);
    await page.getByText('one thread computes').waitFor();
    await page.locator('#chips li').first().waitFor();
    await page.evaluate('navigator.serviceWorker.ready.then(() => true)');
    await new Promise((resolve) => {
      plain.close(resolve);
      plain.closeAllConnections();
    });
    await page.reload();
    expect(await page.evaluate('crossOriginIsolated')).toBe(true);
    await page.locator('#try-sample').click();
    await page.locator('#bars li').first().waitFor();
    expect(await best(page)).toBe('jumping jacks');
    expect(complaints).toEqual([]);
    await page.context().close();
  });
});

async function addressOf(name: string): Promise<string> {
  return `assets/${(await readdir(path.join(host.folder, 'assets'))).find((file) => file.startsWith(`${name}-`))}`;
}

interface WorkerRun {
  readonly script: string;
  readonly model: string;
  readonly clip: string;
  readonly labels: readonly string[];
}

/** Runs in the page: sends the built worker its calls, one after the other. */
async function inWorker({ script, model, clip, labels }: WorkerRun): Promise<[VideoReport, ScoreReport]> {
  const worker = new Worker(new URL(script, document.baseURI), { type: 'module' });
  let id = 0;
  const call = (name: string, ask: unknown): Promise<unknown> =>
    new Promise((resolve, reject) => {
      id += 1;
      worker.postMessage({ id, call: name, ask });
      worker.onerror = ({ message }) => reject(new Error(message));
      worker.onmessage = ({ data }) => {
        if ('answer' in data) resolve(data.answer);
        if ('failure' in data) reject(new Error(data.failure.problem));
      };
    });
  const address = (file: string): string => new URL(file, document.baseURI).href;
  await call('open', { device: 'wasm-single' });
  await call('load', { weights: { name: 'weights', address: address(model) }, clipMerges: address('clip-merges.txt') });
  const blob = await (await fetch(address(clip))).blob();
  const { pictures: _, ...video } = (await call('watch', { name: 'clip', blob, window: 0 })) as VideoReport;
  const scores = (await call('score', { labels })) as ScoreReport;
  worker.terminate();
  // Typed arrays do not travel to the test.
  const similarities = scores.similarities.map((row) => [...row]) as unknown as ScoreReport['similarities'];
  const probabilities = [...scores.probabilities] as unknown as Float64Array;
  return [
    { ...video, pictures: [] },
    { ...scores, similarities, probabilities, windows: [] },
  ];
}

/** A server that knows nothing but files and their types, below some path. */
async function plainHost(): Promise<Server> {
  const types: Readonly<Record<string, string>> = {
    '.html': 'text/html',
    '.js': 'text/javascript',
    '.css': 'text/css',
  };
  const server = createServer(async (request, response) => {
    const name = (request.url ?? '').replace('/some/where/', '') || 'index.html';
    const content = await readFile(path.join(host.folder, name)).catch(() => undefined);
    response.writeHead(content === undefined ? 404 : 200, { 'Content-Type': types[path.extname(name)] ?? '' });
    response.end(content);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}
