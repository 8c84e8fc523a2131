/**
 * Whether the page answers while it computes: the built page in a headless Chromium, where keys are pressed all the time.
 * For each piece of work: how long it took, the longest time that a key waited for the page and for its picture, the
 * longest pause between two timers of the page, and its long tasks, which are those of over 50 ms.
 *
 *     tsx --conditions=@actionclip/source benchmarks/web/responsiveness.ts
 *         [--device wasm-threads] [--weights FILE] [--video FILE] [--rounds 1]
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { loadavg, tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { type Browser, chromium, type Page } from 'playwright';
import { buildPage } from '../../examples/web/build-page.ts';
import { openPageServer } from '../../examples/web/server.ts';
import { chromiumLaunchOptions } from '../../tools/chromium.ts';
import { residentBytes } from '../harness/resident-bytes.ts';

const { values } = parseArgs({
  options: {
    device: { type: 'string', default: 'auto' },
    weights: { type: 'string' },
    video: { type: 'string' },
    rounds: { type: 'string', default: '1' },
  },
});

/** Milliseconds between two keys, and after which an unfinished piece of work is given up. */
const keyPause = 60;
const patience = 30 * 60_000;

/** What the page saw of itself, in milliseconds. */
interface Seen {
  readonly longTasks: number[];
  /** Of every key: until the page had dealt with it, and until its picture was there. */
  readonly answers: number[];
  readonly pictures: number[];
  /** The longest pause of a timer that runs out every 4 ms. */
  pause: number;
}

/** Runs in the page, before its scripts. */
function watchTheMainThread(): void {
  const fresh = (): Seen => ({ longTasks: [], answers: [], pictures: [], pause: 0 });
  const seen = { current: fresh() };
  new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) seen.current.longTasks.push(duration);
  }).observe({ type: 'longtask' });
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries() as PerformanceEventTiming[]) {
      if (entry.name !== 'keydown') continue;
      seen.current.answers.push(entry.processingEnd - entry.startTime);
      seen.current.pictures.push(entry.duration);
    }
  }).observe({ type: 'event', durationThreshold: 16 } as PerformanceObserverInit);
  let last = performance.now();
  const tick = (): void => {
    const now = performance.now();
    seen.current.pause = Math.max(seen.current.pause, now - last);
    last = now;
    setTimeout(tick, 4);
  };
  tick();
  const take = (): Seen => {
    const taken = seen.current;
    seen.current = fresh();
    return taken;
  };
  Object.assign(globalThis, { takeSeen: take });
}

type Work = readonly [name: string, start: (page: Page) => Promise<unknown>, end: (page: Page) => Promise<unknown>];

const bars = (page: Page): Promise<unknown> =>
  page.locator('#result[aria-busy="false"] #bars li').first().waitFor({ timeout: patience });
const click = (id: string) => (page: Page) => page.locator(id).click();
const soon = (page: Page): Promise<unknown> => page.waitForTimeout(500);

const { weights, video } = values;
const works: readonly Work[] = [
  ['a short video', click('#sample-short'), bars],
  ['a video through windows', click('#sample-long'), bars],
  ['400 labels', (page) => page.locator('#preset').selectOption('kinetics400'), bars],
  ['all of 400 bars shown', click('#more-bars'), soon],
  ['all of 400 labels shown', click('#more-chips'), soon],
  ['the labels removed', click('#clear-labels'), soon],
  ['400 labels again', (page) => page.locator('#preset').selectOption('kinetics400'), bars],
  ...(video === undefined
    ? []
    : [['the given video', (page: Page) => page.setInputFiles('#video-input', video), bars] as const]),
  ...(weights === undefined
    ? []
    : [
        [
          'the given weights, then the video',
          (page: Page) => page.setInputFiles('#weights-input', weights),
          bars,
        ] as const,
      ]),
];

/** Presses keys until the work is done. */
async function measure(page: Page, browser: Browser, [name, start, end]: Work): Promise<void> {
  await page.locator('#label-input').fill('');
  await page.waitForTimeout(300);
  await page.evaluate('takeSeen()');
  const began = performance.now();
  await start(page);
  const busy = page.locator('#result[aria-busy="true"]');
  await busy.waitFor({ state: 'attached', timeout: 400 }).catch(() => undefined); // quick work is over by then
  let isDone = false;
  const done = end(page).finally(() => {
    isDone = true;
  });
  let resident = 0;
  await page.locator('#label-input').focus();
  for (let keys = 0; !isDone; keys++) {
    await page.keyboard.press(keys % 2 === 0 ? 'a' : 'Backspace');
    if (keys % 8 === 0) resident = Math.max(resident, (await residentBytes(browser)).renderer);
    await page.waitForTimeout(keyPause);
  }
  await done;
  const seconds = (performance.now() - began) / 1000;
  await page.waitForTimeout(200);
  const { longTasks, answers, pictures, pause } = await page.evaluate<Seen>('takeSeen()');
  const most = (all: readonly number[]): string => Math.max(0, ...all).toFixed(0);
  const cells = [
    seconds.toFixed(2),
    most(answers),
    most(pictures),
    pause.toFixed(0),
    `${longTasks.length}`,
    most(longTasks),
    (resident / 1e6).toFixed(0),
    (loadavg()[0] ?? 0).toFixed(1),
  ];
  console.log(name.padEnd(36) + cells.map((cell) => cell.padStart(10)).join(''));
}

const folder = await mkdtemp(path.join(tmpdir(), 'responsiveness-'));
try {
  await buildPage(folder);
  const server = await openPageServer(folder, [0]);
  const browser = await chromium.launch(chromiumLaunchOptions());
  const page = await browser.newPage({ viewport: { width: 1200, height: 900 } });
  await page.addInitScript('globalThis.__name = (value) => value'); // by which tsx keeps the names of functions
  await page.addInitScript(watchTheMainThread);
  await page.goto(server.address);
  await page.locator('#chips li').first().waitFor();
  if (values.device !== 'auto') await page.locator('#device').selectOption(values.device);
  const heads = ['s', 'key ms', 'picture', 'pause', 'tasks', 'longest', 'MB', 'load'];
  console.log(`Chromium ${browser.version()}, headless; device: ${values.device}`);
  for (let round = 1; round <= Number(values.rounds); round++) {
    console.log(''.padEnd(36) + heads.map((head) => head.padStart(10)).join(''));
    for (const work of works) await measure(page, browser, work);
  }
  await browser.close();
  await server.close();
} finally {
  await rm(folder, { recursive: true });
}
