// Live recognition in the built page, with a webcam that shows a drawn action.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { openDevice, serializeSafetensors, setDefaultDevice } from '@actionclip/tensor';
import type { JSHandle, Page } from 'playwright';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LookReport } from '../../examples/web/src/protocol.ts';
import { MemoryProbe } from '../../tools/browser-memory.ts';
import { webcamFlags, writeWebcamVideo } from '../../tools/fake-webcam.ts';
import { smallModel, tokenizer } from '../actionclip/recognize/sources.ts';
import { openPageHost, type PageHost, type Visit } from './built-page.ts';

let folder: string;
let video: string;
let host: PageHost;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'actionclip-webcam-'));
  video = path.join(folder, 'webcam.y4m');
  await writeWebcamVideo(video, 'jumping jacks', 90_001);
  host = await openPageHost(webcamFlags(video));
}, 120_000);
afterAll(async () => {
  await host.close();
  await rm(folder, { recursive: true });
});

/** Runs in the page, before its scripts: keeps the numbers of what the worker says of frames. */
function keepLooks(): void {
  const looks: unknown[] = [];
  const Plain = globalThis.Worker;
  globalThis.Worker = class extends Plain {
    constructor(script: string | URL, options?: WorkerOptions) {
      super(script, options);
      this.addEventListener('message', ({ data }) => {
        const { filled, liveBytes } = data.answer ?? {};
        if (filled !== undefined) looks.push({ filled, liveBytes });
      });
    }
  };
  Object.assign(globalThis, { looks });
}

const looksOf = (page: Page): Promise<readonly Pick<LookReport, 'filled' | 'liveBytes'>[]> => page.evaluate('looks');

async function looked(page: Page, count: number): Promise<void> {
  const target = (await looksOf(page)).length + count;
  await page.waitForFunction(
    (wanted) => (globalThis as unknown as { looks: unknown[] }).looks.length >= wanted,
    target,
  );
}

/** How many frames were looked at when five more could have been, and none was. */
async function atRest(page: Page): Promise<number> {
  const { length } = await looksOf(page);
  await page.waitForTimeout(600);
  return (await looksOf(page)).length === length ? length : atRest(page);
}

/** The page, once the model's own labels are there. */
async function visit(from: PageHost): Promise<Visit> {
  const visited = await from.visit('about:blank');
  await visited.page.addInitScript(keepLooks);
  await visited.page.goto(from.address);
  await visited.page.locator('#chips li').first().waitFor();
  return visited;
}

/** Weights without sense of a model with shifts. */
async function shiftingWeights(): Promise<{ name: string; mimeType: string; buffer: Buffer }> {
  const device = await openDevice('wasm', { threads: 1, engineFlags: false });
  setDefaultDevice(device);
  const model = await smallModel({ shift: true, temporal: 'meanP' });
  const { generator: _, ...options } = model.options;
  const description = JSON.stringify({ ...options, vocabulary: tokenizer });
  const buffer = Buffer.from(serializeSafetensors(await model.stateDict(), new Map([['description', description]])));
  await device.close();
  return { name: 'shift.safetensors', mimeType: '', buffer };
}

const best = (page: Page): Promise<string | null> => page.locator('#bars .bar-label').first().textContent();

const trackOf = (page: Page): Promise<JSHandle<MediaStreamTrack | undefined>> =>
  page.locator('#preview video').evaluateHandle((shown) => {
    const [track] = ((shown as HTMLVideoElement).srcObject as MediaStream).getTracks();
    return track;
  });

describe('the webcam', () => {
  it('is recognised live until it is stopped, and then its light is off', async () => {
    const { page, context, complaints, hosts } = await visit(host);
    const button = page.locator('#webcam');
    await button.click();
    await page.getByText('The last 2 s in 8 frames').waitFor();
    expect(await page.locator('#extent').textContent()).toMatch(/\d+ ms a frame, \d+\.\d frames a second$/);
    expect(await best(page)).toBe('jumping jacks');
    expect(await page.locator('#status').textContent()).toMatch(/^jumping jacks, \d/);
    expect(await page.locator('#frames canvas').count()).toBe(8);
    expect(await page.locator('#frames tbody tr').count()).toBe(5);
    const track = await trackOf(page);
    expect(await track.evaluate((found) => found?.readyState)).toBe('live');

    await button.click();
    expect(await track.evaluate((found) => found?.readyState)).toBe('ended');
    expect(await button.textContent()).toBe('Use the webcam');
    expect(await page.locator('#preview video').count()).toBe(0);
    expect(await page.locator('#scores').isVisible()).toBe(false);
    await page.getByText('Choose a video, or use the webcam').waitFor();
    expect(complaints).toEqual([]);
    expect(hosts).toEqual(new Set([new URL(host.address).host]));
    await context.close();
  });

  it('goes on with other labels, another window, other weights and another device, and gives way to a video', async () => {
    const { page, context, complaints } = await visit(host);
    await page.locator('#webcam').click();
    await page.locator('#live-window').selectOption('1');
    await page.getByText('The last 1 s in 8 frames').waitFor();

    await page.locator('#clear-labels').click();
    await page.getByText('Add labels, and the webcam is scored').waitFor();
    await page.locator('#label-input').fill('<b>sitting down</b>; jumping jacks; yoga');
    await page.keyboard.press('Enter');
    await page.locator('#bars').getByText('yoga').waitFor();
    expect(await page.locator('#bars li').count()).toBe(3);
    expect(await best(page)).toBe('jumping jacks');
    expect(await page.locator('#bars b, #frames b').count()).toBe(0);

    await page.locator('#device').selectOption('wasm-single');
    await page.locator('#facts').getByText('1 thread').waitFor();
    await page.getByText('The last 1 s in 8 frames').waitFor();
    expect(await best(page)).toBe('jumping jacks');

    // A model that looks across the frames of a clip, of which it takes fewer.
    await page.setInputFiles('#weights-input', await shiftingWeights());
    await page.locator('#facts').getByText('4 frames of 16').waitFor();
    await page.getByText('The last 1 s in 4 frames').waitFor();
    expect(await page.locator('#frames canvas').count()).toBe(4);
    await page.locator('#shipped-weights').click();
    await page.getByText('The last 1 s in 8 frames').waitFor();
    expect(await best(page)).toBe('jumping jacks');

    const track = await trackOf(page);
    await page.locator('#sample-long').click();
    await page.locator('#timeline-section').waitFor();
    expect(await track.evaluate((found) => found?.readyState)).toBe('ended');
    expect(await page.locator('#webcam').textContent()).toBe('Use the webcam');
    expect(complaints).toEqual([]);
    await context.close();
  });

  it('rests while the page is hidden, begins a fresh window then, and says when it is gone', async () => {
    const { page, context, complaints } = await visit(host);
    await page.locator('#webcam').click();
    await page.locator('#live-window').selectOption('1');
    await page.getByText('The last 1 s in 8 frames').waitFor();
    const show = (isHidden: boolean): Promise<void> =>
      page.evaluate((value) => {
        Object.defineProperty(document, 'hidden', { value, configurable: true });
        document.dispatchEvent(new Event('visibilitychange'));
      }, isHidden);
    await show(true);
    const before = await atRest(page);
    await show(false);
    await looked(page, 2);
    expect((await looksOf(page))[before]?.filled).toBeCloseTo(1 / 8);

    const track = await trackOf(page);
    await track.evaluate((found) => found?.dispatchEvent(new Event('ended')));
    await page.locator('#failure').getByText('The webcam was unplugged').waitFor();
    expect(await page.locator('#webcam').textContent()).toBe('Use the webcam');
    await page.locator('#retry').click();
    await page.locator('#bars li').first().waitFor();
    expect(complaints).toEqual([]);
    await context.close();
  });

  it('leaves nothing behind of the frames that were looked at', async () => {
    const { page, context } = await visit(host);
    const probe = await MemoryProbe.of(page);
    await page.locator('#webcam').click();
    await page.locator('#live-window').selectOption('1');
    await page.getByText('The last 1 s in 8 frames').waitFor();
    await looked(page, 8);
    /** With no frame under way. */
    const rested = async (): Promise<Awaited<ReturnType<MemoryProbe['sample']>>> => {
      await page.locator('#webcam').click();
      const sample = await probe.sample();
      await page.locator('#webcam').click();
      await looked(page, 2);
      return sample;
    };
    await rested();
    const before = await rested();
    const first = (await looksOf(page)).length;
    await looked(page, 40);
    const after = await rested();
    const live = (await looksOf(page)).slice(first).map(({ liveBytes }) => liveBytes);
    expect(new Set(live).size).toBe(1);
    // Of forty frames: their pixels as stored are 98 kB each, and as the model sees them, for the page, 4 kB.
    expect(after.pageBuffers - before.pageBuffers).toBeLessThan(40 * 1000);
    expect(after.workerBuffers - before.workerBuffers).toBeLessThan(40 * 1000);
    expect(after.pageHeap - before.pageHeap).toBeLessThan(40 * 5000);
    expect(after.workerHeap - before.workerHeap).toBeLessThan(40 * 5000);
    expect(after.wasm).toBe(before.wasm);
    expect(after.nodes - before.nodes).toBeLessThan(20);
    await context.close();
  });

  it('may be refused, missing or taken, and videos go on', async () => {
    const refusing = await openPageHost(webcamFlags(video, 'deny'));
    const { page, complaints } = await visit(refusing);
    const [button, failure] = [page.locator('#webcam'), page.locator('#failure')];
    await button.click();
    await failure.getByText('The webcam was refused').waitFor();
    for (const [name, reason] of [
      ['NotFoundError', 'There is no webcam here.'],
      ['NotReadableError', 'another program may be using it'],
      ['SomeError', 'The webcam cannot be opened: <b>why</b>'],
    ] as const) {
      await page.evaluate((thrown) => {
        navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('<b>why</b>', thrown));
      }, name);
      await button.click();
      await failure.getByText(reason).waitFor();
    }
    await page.evaluate(() => Object.defineProperty(navigator, 'mediaDevices', { value: undefined }));
    await page.locator('#retry').click();
    await failure.getByText('only to pages that were loaded over https').waitFor();
    expect(await button.textContent()).toBe('Use the webcam');
    await page.locator('#sample-short').click();
    await page.locator('#bars li').first().waitFor();
    expect(await failure.isVisible()).toBe(false);
    expect(complaints).toEqual([]);
    await refusing.close();
  });
});
