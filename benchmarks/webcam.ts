/**
 * Whether the page keeps its memory while it recognises a webcam live: the built page in a headless Chromium whose webcam
 * shows a drawn action for minutes. After collecting garbage it is asked how much is left, again and again.
 *
 *     tsx --conditions=@actionclip/source benchmarks/webcam.ts [--minutes 10] [--every 30] [--device wasm-threads]
 *
 * Results go to benchmarks/results/webcam.json. The resident memory is read from Linux's /proc.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { writeFileAtomically } from 'actionclip';
import { type Browser, chromium, type Page } from 'playwright';
import { buildPage } from '../examples/web/build-page.ts';
import { openPageServer } from '../examples/web/server.ts';
import { type BrowserMemory, MemoryProbe } from '../tools/browser-memory.ts';
import { chromiumLaunchOptions } from '../tools/chromium.ts';
import { webcamFlags, writeWebcamVideo } from '../tools/fake-webcam.ts';
import { describeEnvironment } from './harness/environment.ts';
import { type ResidentBytes, residentBytes } from './harness/resident-bytes.ts';
import { slopeOf } from './harness/statistics.ts';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    every: { type: 'string', default: '30' },
    device: { type: 'string', default: 'auto' },
  },
});

/** Minutes before memory counts: until then buffers are made that are kept, and functions are compiled. */
const warmUp = 1;

interface Sample extends BrowserMemory, ResidentBytes {
  readonly minutes: number;
  /** Frames of the webcam that were looked at. */
  readonly looks: number;
  /** Bytes of the engine's device. */
  readonly device: number;
}

/** What is watched, and its name in the table. Bytes but for the last. */
const quantities = {
  pageHeap: 'page heap',
  workerHeap: 'worker heap',
  pageBuffers: 'page buffers',
  workerBuffers: 'worker buffers',
  wasm: 'WebAssembly',
  device: 'device',
  renderer: 'renderer RSS',
  browser: 'browser RSS',
  nodes: 'nodes',
} as const satisfies Partial<Record<keyof Sample, string>>;
type Quantity = keyof typeof quantities;
const watched = Object.keys(quantities) as readonly Quantity[];

/** What the worker said of its last frame, kept where this script finds it. */
interface Heard {
  looks: number;
  liveBytes: number;
}

/** Runs in the page, before its scripts. */
function keepReports(): void {
  const heard: Heard = { looks: 0, liveBytes: 0 };
  const Plain = globalThis.Worker;
  globalThis.Worker = class extends Plain {
    constructor(script: string | URL, options?: WorkerOptions) {
      super(script, options);
      this.addEventListener('message', ({ data }) => {
        if (data.answer === undefined || !('filled' in data.answer)) return;
        heard.looks += 1;
        heard.liveBytes = data.answer.liveBytes;
      });
    }
  };
  Object.assign(globalThis, { heard });
}

async function sampled(page: Page, browser: Browser, probe: MemoryProbe, started: number): Promise<Sample> {
  const memory = await probe.sample();
  const { looks, liveBytes } = await page.evaluate<Heard>('heard');
  const minutes = (performance.now() - started) / 60_000;
  return { minutes, looks, device: liveBytes, ...(await residentBytes(browser)), ...memory };
}

const shown = (quantity: Quantity, value: number): string =>
  quantity === 'nodes' ? value.toFixed(0) : `${(value / 1e6).toFixed(3)} MB`;

function line({ minutes, looks, ...sample }: Sample): string {
  const cells = watched.map((quantity) => shown(quantity, sample[quantity]).padStart(15));
  return `${minutes.toFixed(1).padStart(7)} ${String(looks).padStart(7)} ${cells.join('')}`;
}

async function watch(browser: Browser, address: string): Promise<{ device: string; samples: readonly Sample[] }> {
  const page = await browser.newPage();
  await page.addInitScript(keepReports);
  const probe = await MemoryProbe.of(page);
  await page.goto(address);
  await page.locator('#chips li').first().waitFor();
  if (values.device !== 'auto') await page.locator('#device').selectOption(values.device);
  await page.locator('#webcam').click();
  await page.locator('#bars li').first().waitFor();
  const device = await page
    .locator('#facts')
    .getByText('Device')
    .locator('xpath=following-sibling::dd')
    .first()
    .innerText();
  console.log(
    `${device}\n${'minutes'.padStart(7)} ${'frames'.padStart(7)} ${watched.map((quantity) => quantities[quantity].padStart(15)).join('')}`,
  );
  const started = performance.now();
  const samples: Sample[] = [];
  for (let at = 0; at <= Number(values.minutes) * 60; at += Number(values.every)) {
    await page.waitForTimeout(Math.max(0, started + at * 1000 - performance.now()));
    const sample = await sampled(page, browser, probe, started);
    samples.push(sample);
    console.log(line(sample));
  }
  return { device, samples };
}

const environment = await describeEnvironment([]); // of what is built now
const folder = await mkdtemp(path.join(tmpdir(), 'webcam-'));
try {
  const video = path.join(folder, 'webcam.y4m');
  await writeWebcamVideo(video, 'jumping jacks', 90_001);
  await buildPage(path.join(folder, 'page'));
  const server = await openPageServer(path.join(folder, 'page'), [0]);
  const options = chromiumLaunchOptions();
  const browser = await chromium.launch({ ...options, args: [...options.args, ...webcamFlags(video)] });
  const { device, samples } = await watch(browser, server.address);
  const version = browser.version();
  await browser.close();
  await server.close();
  const counted = samples.filter(({ minutes }) => minutes >= warmUp);
  const perMinute = Object.fromEntries(
    watched.map((quantity) => [quantity, slopeOf(counted.map((sample) => [sample.minutes, sample[quantity]]))]),
  ) as Record<Quantity, number>;
  console.log(`each minute, from minute ${warmUp} on`);
  for (const quantity of watched) {
    const value = perMinute[quantity];
    console.log(
      `  ${quantities[quantity].padEnd(15)} ${quantity === 'nodes' ? value.toFixed(2) : `${(value / 1e3).toFixed(2)} kB`}`,
    );
  }
  const result = { environment, browser: `Chromium ${version}, headless`, device, warmUp, perMinute, samples };
  const file = fileURLToPath(new URL('results/webcam.json', import.meta.url));
  await writeFileAtomically(file, `${JSON.stringify(result, undefined, 2)}\n`);
} finally {
  await rm(folder, { recursive: true });
}
