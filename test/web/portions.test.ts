// Long lists in the built page: put in part by part, and in their order all the same.
import { afterAll, beforeAll, expect, it } from 'vitest';
import { portion } from '../../examples/web/src/page/portions.ts';
import { openPageHost, type PageHost } from './built-page.ts';

let host: PageHost;

beforeAll(async () => {
  host = await openPageHost();
}, 120_000);
afterAll(() => host.close());

/** Runs in the page: the most items of a list that come between two looks, which are after each task. */
function watchLists(): void {
  const most: Record<string, number> = { bars: 0, chips: 0 };
  for (const id of ['bars', 'chips']) {
    const observer = new MutationObserver((changes) => {
      const added = changes.reduce((sum, { addedNodes }) => sum + addedNodes.length, 0);
      most[id] = Math.max(most[id] ?? 0, added);
    });
    observer.observe(document.getElementById(id) as HTMLElement, { childList: true });
  }
  Object.assign(globalThis, { most });
}

it('never puts in more than a portion at once, keeps the order, and follows changes in between', async () => {
  const { page, context, complaints } = await host.visit();
  const chips = page.locator('#chips li');
  await chips.first().waitFor();
  await page.evaluate(watchLists);
  await page.locator('#sample-short').click();
  await page.locator('#bars li').first().waitFor();
  await page.locator('#preset').selectOption('kinetics400');
  await page.locator('#more-chips').click();
  await page.locator('#more-bars').getByText('Show all 400').waitFor();
  await page.locator('#more-bars').click();
  await page.locator('#bars li').nth(399).waitFor({ state: 'attached' });
  await chips.nth(399).waitFor({ state: 'attached' });
  const most = await page.evaluate<Record<string, number>>('most');
  for (const list of ['bars', 'chips']) {
    expect(most[list]).toBeGreaterThan(8);
    expect(most[list]).toBeLessThanOrEqual(portion);
  }
  const values = await page.locator('#bars .bar-value').allTextContents();
  const shares = values.map((value) => Number.parseFloat(value));
  expect(shares).toHaveLength(400);
  expect(shares).toEqual([...shares].sort((a, b) => b - a));
  const names = await page.locator('#chips bdi').allTextContents();
  expect(new Set(names).size).toBe(400);
  expect(names).toEqual([...names].sort());

  // Removing a chip leaves the others as they are, and the focus at its place.
  const third = await chips.nth(2).elementHandle();
  await chips.nth(1).locator('button').click();
  expect(await page.locator('#label-count').textContent()).toBe('399 labels');
  expect(await chips.nth(1).evaluate((chip, other) => chip === other, third)).toBe(true);
  expect(await page.evaluate('document.activeElement.getAttribute("aria-label")')).toBe(`Remove ${names[2]}`);

  // Fewer and all again, faster than the portions come.
  await page.evaluate(() => {
    for (let press = 0; press < 3; press++) document.getElementById('more-chips')?.click();
    document.getElementById('more-chips')?.click();
  });
  await chips.nth(398).waitFor({ state: 'attached' });
  expect(await page.locator('#chips bdi').allTextContents()).toEqual(names.filter((_, at) => at !== 1));
  expect(complaints).toEqual([]);
  await context.close();
});
