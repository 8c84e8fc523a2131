/** The states that the page can be in, each with the way to it: for its screenshots, and for what must hold in all of them. */
import { fileURLToPath } from 'node:url';
import { Generator, openDevice, serializeSafetensors, setDefaultDevice } from '@actionclip/tensor';
import { ActionCLIP } from 'actionclip';
import type { Page } from 'playwright';

export interface PageState {
  readonly name: string;
  /** Takes a page that was not opened yet there. */
  readonly reach: (page: Page, address: string) => Promise<void>;
}

const asset = (name: string): string => fileURLToPath(new URL(`assets/${name}`, import.meta.url));
const shortClip = asset('jumping-jacks.mp4');
const longClip = asset('three-actions.mp4');

/** Labels that are hard to set: long, without a space, from right to left, without letters, and much like markup. */
const hardLabels = [
  'jumping jacks',
  'a person who is slowly walking backwards through a crowded market while juggling four oranges and singing an old song',
  'Donaudampfschifffahrtsgesellschaftskapitänsmützenabzeichenverleihungsurkunde',
  'ركوب الدراجة في الحديقة',
  '跳跃运动',
  '🤸 turning a cartwheel 🤸‍♀️',
  '<b>waving both arms</b>',
];

async function open(page: Page, address: string): Promise<void> {
  await page.goto(address);
  await page.locator('#chips li').first().waitFor(); // the model's own labels
}

async function result(page: Page, address: string, file = shortClip): Promise<void> {
  await open(page, address);
  await page.setInputFiles('#video-input', file);
  await page.locator('#bars li').first().waitFor();
  await settled(page);
}

const settled = (page: Page): Promise<void> => page.locator('#result[aria-busy="false"]').waitFor();

/** Runs in the page, before its scripts: of a call that is half done, nothing more is heard. */
function holdHalfDone(activity: string): void {
  const Unheld = globalThis.Worker;
  globalThis.Worker = class extends Unheld {
    constructor(script: string | URL, options?: WorkerOptions) {
      super(script, options);
      let isHeld = false;
      this.addEventListener('message', (event) => {
        const { activity: heard = '', done = 0, total = Number.POSITIVE_INFINITY } = event.data.progress ?? {};
        if (isHeld) event.stopImmediatePropagation();
        isHeld ||= heard.startsWith(activity) && 2 * done >= total;
      });
    }
  };
}

async function halfDone(page: Page, address: string): Promise<void> {
  await page.addInitScript(holdHalfDone, 'Looking at the frames');
  await open(page, address);
  await page.setInputFiles('#video-input', longClip);
  await page
    .locator('#working')
    .getByText(/Looking at the frames: \d+ of/)
    .waitFor();
}

/** Puts labels in the place of all. */
async function typeLabels(page: Page, labels: readonly string[]): Promise<void> {
  await page.locator('#clear-labels').click();
  await page.locator('#label-input').fill(labels.join(';'));
  await page.keyboard.press('Enter');
}

/** Weights that know nothing and read CLIP's vocabulary, in texts as long as CLIP's. */
async function wideContext(): Promise<{ name: string; mimeType: string; buffer: Buffer }> {
  const sizes = {
    embedding: 8,
    vision: { resolution: 16, patch: 8, width: 64, layers: 1, heads: 1 },
    text: { context: 77, vocabulary: 49_408, width: 64, layers: 1, heads: 1 },
  };
  const device = await openDevice('wasm', { threads: 1 });
  setDefaultDevice(device);
  const { clip } = new ActionCLIP({ sizes, frames: 8, temporal: 'meanP', generator: new Generator(1) });
  const buffer = Buffer.from(serializeSafetensors(await clip.stateDict()));
  await device.close();
  return { name: 'clip-of-a-long-name-from-some-hub-0123456789abcdef.safetensors', mimeType: '', buffer };
}

async function failed(page: Page, address: string): Promise<void> {
  await open(page, address);
  const file = { name: 'holiday in the mountains.mp4', mimeType: 'video/mp4', buffer: Buffer.alloc(5000, 'no video ') };
  await page.setInputFiles('#video-input', file);
  await page.locator('#failure').waitFor();
}

/** The training tab with clips of two actions; a third is too long for the model. */
async function clips(page: Page, address: string): Promise<void> {
  await page.goto(`${address}#train`);
  await page.getByText('stay as they are').waitFor();
  await page.locator('#train-label-input').fill([0, 6, 2].map((at) => hardLabels[at]).join(';'));
  await page.keyboard.press('Enter');
  await page.locator('#train-label-note').getByText('Donaudampf').waitFor();
  for (const [at, file] of [shortClip, longClip].entries()) {
    const label = page.locator('.train-label').nth(at);
    await label.locator('input').setInputFiles([file, file, file]);
    await label.locator('.thumbnail').nth(2).waitFor();
  }
}

/** Runs in the page, before its scripts: a webcam before which a ball goes up and down. */
function giveWebcam(): void {
  navigator.mediaDevices.getUserMedia = async () => {
    const canvas = Object.assign(document.createElement('canvas'), { width: 640, height: 480 });
    const context = canvas.getContext('2d');
    setInterval(() => {
      if (context === null) return;
      context.fillStyle = 'lightsteelblue';
      context.fillRect(0, 0, canvas.width, canvas.height);
      context.fillStyle = 'firebrick';
      context.beginPath();
      context.arc(320, 240 + 150 * Math.sin(performance.now() / 300), 60, 0, 2 * Math.PI);
      context.fill();
    }, 40);
    return canvas.captureStream(25);
  };
}

function refuseWebcam(): void {
  navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('', 'NotAllowedError'));
}

export const pageStates: readonly PageState[] = [
  { name: 'empty', reach: open },
  {
    name: 'fetching',
    async reach(page, address) {
      await page.addInitScript(holdHalfDone, 'Fetching');
      await page.goto(address);
      await page.locator('#working').waitFor();
    },
  },
  { name: 'loading', reach: halfDone },
  { name: 'short-clip', reach: (page, address) => result(page, address) },
  { name: 'long-video', reach: (page, address) => result(page, address, longClip) },
  {
    name: 'no-labels',
    async reach(page, address) {
      await result(page, address);
      await page.locator('#clear-labels').click();
      await page.locator('#scores').waitFor({ state: 'hidden' });
    },
  },
  {
    name: 'many-labels',
    async reach(page, address) {
      await result(page, address, longClip);
      await page.locator('#preset').selectOption('kinetics400');
      await page.locator('#more-bars').getByText('Show all 400').waitFor();
      await settled(page);
      await page.locator('#more-chips').click();
    },
  },
  {
    name: 'hard-labels',
    async reach(page, address) {
      await result(page, address, longClip);
      await page.setInputFiles('#weights-input', await wideContext());
      await page.locator('#facts').getByText('8 frames of 16').waitFor();
      await typeLabels(page, hardLabels);
      await page.locator('#bars li:nth-child(7) .bar-value').waitFor();
      await page.locator('#bars').getByText('跳跃运动').waitFor();
      await settled(page);
    },
  },
  {
    name: 'labels-too-long',
    async reach(page, address) {
      await result(page, address);
      await typeLabels(page, hardLabels);
      await page.locator('.left-out').first().waitFor();
      await settled(page);
    },
  },
  {
    name: 'webcam',
    async reach(page, address) {
      await page.addInitScript(giveWebcam);
      await open(page, address);
      await page.locator('#webcam').click();
      await page.getByText('The last 2 s in 8 frames').waitFor();
    },
  },
  {
    name: 'webcam-refused',
    async reach(page, address) {
      await page.addInitScript(refuseWebcam);
      await open(page, address);
      await page.locator('#webcam').click();
      await page.locator('#failure').waitFor();
    },
  },
  { name: 'failed', reach: failed },
  {
    name: 'cancelled',
    async reach(page, address) {
      await halfDone(page, address);
      await page.locator('#cancel').click();
      await page.locator('#failure').waitFor();
    },
  },
  {
    name: 'train-empty',
    async reach(page, address) {
      await page.goto(`${address}#train`);
      await page.getByText('stay as they are').waitFor();
    },
  },
  {
    name: 'train-clips',
    async reach(page, address) {
      await clips(page, address);
      const file = { name: 'holiday.mp4', mimeType: 'video/mp4', buffer: Buffer.alloc(5000, 'no video ') };
      await page.locator('.train-label input').first().setInputFiles([file]);
      await page.locator('#train-clips-failure').waitFor();
    },
  },
  {
    name: 'train-under-way',
    async reach(page, address) {
      await page.addInitScript(holdHalfDone, 'Training');
      await clips(page, address);
      await page.locator('#train-start').click();
      await page.getByText('Epoch 51 of 100').waitFor();
    },
  },
  {
    name: 'train-done',
    async reach(page, address) {
      await clips(page, address);
      await page.locator('#train-start').click();
      await page.locator('#trained-section').waitFor();
    },
  },
  {
    name: 'not-isolated',
    async reach(page, address) {
      await page.addInitScript(() => Object.defineProperty(globalThis, 'crossOriginIsolated', { value: false }));
      await open(page, address);
    },
  },
  {
    name: 'unsupported',
    async reach(page, address) {
      await page.addInitScript(() => Reflect.deleteProperty(globalThis, 'WebAssembly'));
      await page.goto(address);
      await page.locator('#unsupported').waitFor();
    },
  },
];
