// A live page in its thread, seen through a headless browser: while a run goes on, when it is lost, and with the next.
import { chromium } from 'playwright';
import { expect, it } from 'vitest';
import { openLivePage } from '../../../packages/actionclip/src/live/live-page.ts';
import { chromiumLaunchOptions } from '../../../tools/chromium.ts';
import { SUBJECT, stepRecord, validationRecord } from './sample.ts';

it('shows the run so far, follows it, says when it is gone, and follows the next run', async () => {
  const [browser, live] = await Promise.all([chromium.launch(chromiumLaunchOptions()), openLivePage({ port: 0 })]);
  const port = Number(new URL(live.url).port);
  live.begin(SUBJECT);
  for (let step = 0; step < 20; step++) await live.write(stepRecord(step));
  await live.write(validationRecord(0, 0.5));
  const page = await browser.newPage({ viewport: { width: 400, height: 800 } });
  const asked: string[] = [];
  const failed: string[] = [];
  page.on('request', (request) => asked.push(new URL(request.url()).origin));
  page.on('pageerror', ({ message }) => failed.push(message));
  await page.goto(live.url);
  await page.getByText('epoch 2 of 5, step 10 of 10').waitFor();
  const points = await page.locator('#charts .chart').first().locator('g[aria-label="line"] path').getAttribute('d');
  expect(points?.match(/[ML,]/g)?.length).toBeGreaterThan(20);
  expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(400);

  await page.getByText('Configuration').click();
  await live.write(stepRecord(20));
  await page.getByText('epoch 3 of 5, step 1 of 10').waitFor();
  expect(await page.locator('details').getAttribute('open')).not.toBeNull();

  await page.route('**/events', (route) => route.abort());
  await page.reload();
  await page.getByText('No connection to the run').waitFor();
  await page.unroute('**/events');
  await page.getByText('Training.').waitFor();
  await expect(openLivePage({ port })).rejects.toThrow(`Port ${port} is taken`);

  await live.end('The run has ended well.');
  await live.close();
  await live.write(stepRecord(21));
  await page.getByText('The run has ended well.').waitFor();
  const next = await openLivePage({ port });
  next.begin({ ...SUBJECT, title: 'Another run' });
  await next.write(stepRecord(0));
  await page.getByText('epoch 1 of 5, step 1 of 10').waitFor();
  expect(await page.title()).toBe('Another run');
  expect(await page.locator('h1').textContent()).toBe('Another run');
  expect(new Set(asked)).toEqual(new Set([new URL(live.url).origin]));
  expect(failed).toEqual([]);
  await browser.close();
  await next.close();
});
