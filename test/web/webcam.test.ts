// Live recognition in the built page, with a webcam that shows a drawn action.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { webcamFlags, writeWebcamVideo } from '../../tools/fake-webcam.ts';
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

/** The page, once the model's own labels are there. */
async function visit(from: PageHost): Promise<Visit> {
  const visited = await from.visit();
  await visited.page.locator('#chips li').first().waitFor();
  return visited;
}

describe('the webcam', () => {
  it('is recognised live until it is stopped, and then its light is off', async () => {
    const { page, context, complaints } = await visit(host);
    const button = page.locator('#webcam');
    await button.click();
    await page.getByText('The last 2 s in 8 frames').waitFor();
    expect(await page.locator('#bars .bar-label').first().textContent()).toBe('jumping jacks');
    expect(await page.locator('#status').textContent()).toMatch(/^jumping jacks, \d/);
    expect(await page.locator('#frames canvas').count()).toBe(8);
    expect(await page.locator('#frames tbody tr').count()).toBe(5);
    const track = await page.locator('#preview video').evaluateHandle((shown) => {
      const [found] = ((shown as HTMLVideoElement).srcObject as MediaStream).getTracks();
      return found;
    });
    expect(await track.evaluate((found) => found?.readyState)).toBe('live');

    await button.click();
    expect(await track.evaluate((found) => found?.readyState)).toBe('ended');
    expect(await button.textContent()).toBe('Use the webcam');
    expect(await page.locator('#preview video').count()).toBe(0);
    expect(await page.locator('#scores').isVisible()).toBe(false);
    await page.getByText('Choose a video, or use the webcam').waitFor();
    expect(complaints).toEqual([]);
    await context.close();
  });

  it('may be refused, and videos go on', async () => {
    const refusing = await openPageHost(webcamFlags(video, 'deny'));
    const { page, complaints } = await visit(refusing);
    await page.locator('#webcam').click();
    await page.locator('#failure').getByText('The webcam was refused').waitFor();
    expect(await page.locator('#webcam').textContent()).toBe('Use the webcam');
    await page.locator('#sample-short').click();
    await page.locator('#bars li').first().waitFor();
    expect(await page.locator('#failure').isVisible()).toBe(false);
    expect(complaints).toEqual([]);
    await refusing.close();
  });
});
