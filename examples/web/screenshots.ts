/**
 * Takes pictures of the page in each of its states, on wide and on narrow screens, light and dark.
 *
 *     npx tsx --conditions=@actionclip/source examples/web/screenshots.ts FOLDER [PART OF A NAME]
 */
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { type Browser, chromium, type Page } from 'playwright';
import { chromiumLaunchOptions } from '../../tools/chromium.ts';
import { buildPage } from './build-page.ts';
import { type PageState, pageStates } from './page-states.ts';
import { openPageServer } from './server.ts';

const [out, part = ''] = process.argv.slice(2);
if (out === undefined) throw new Error('say into which folder');

const screens = [
  { width: 1200, height: 800 },
  { width: 400, height: 800 },
] as const;
const themes = ['light', 'dark'] as const;
const folder = 'node_modules/.cache/actionclip-screenshots';

await mkdir(out, { recursive: true });
await buildPage(path.resolve(folder));
const server = await openPageServer(folder, [0]);
const browser = await chromium.launch(chromiumLaunchOptions());
for (const state of pageStates.filter(({ name }) => name.includes(part))) await takePictures(browser, state);
await browser.close();
await server.close();

async function takePictures(browser: Browser, { name, reach }: PageState): Promise<void> {
  const context = await browser.newContext({ serviceWorkers: 'block', reducedMotion: 'reduce' });
  const page = await context.newPage();
  await reach(page, server.address);
  for (const viewport of screens) {
    await page.setViewportSize(viewport);
    for (const colorScheme of themes) {
      await page.emulateMedia({ colorScheme });
      const file = path.join(out as string, `${name}-${viewport.width}-${colorScheme}.png`);
      await page.screenshot({ path: file, fullPage: true, animations: 'disabled' });
    }
    await sayWhatSticksOut(page, `${name} at ${viewport.width} pixels`);
  }
  await context.close();
}

async function sayWhatSticksOut(page: Page, where: string): Promise<void> {
  const extra = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  if (extra > 0) console.warn(`${where}: ${extra} pixels too wide`);
}
