// Labels that the model cannot take, in the built page.
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openPageHost, type PageHost } from './built-page.ts';

let host: PageHost;

beforeAll(async () => {
  host = await openPageHost();
}, 120_000);
afterAll(() => host.close());

it('leaves out labels that are too long, says so at each, and scores the others', async () => {
  const { page, context, complaints } = await host.visit();
  await page.locator('#chips li').first().waitFor();
  await page.locator('#clear-labels').click();
  const add = async (label: string): Promise<void> => {
    await page.locator('#label-input').fill(label);
    await page.keyboard.press('Enter');
  };
  const long = `jumping ${'up and down '.repeat(20)}`.trim();
  await add(long);
  await page.locator('#sample-short').click();
  const reason = page.locator('#chips li.left-out .chip-reason');
  await reason.waitFor();
  expect(await reason.textContent()).toMatch(/^too long for this model: \d+ of 40 tokens with its prompts$/);
  await page.getByText('Add shorter labels, and the video is scored against them.').waitFor();
  expect(await page.locator('#scores').isVisible()).toBe(false);

  await add('jumping jacks');
  await page.locator('#bars li').first().waitFor();
  expect(await page.locator('#bars .bar-label').allTextContents()).toEqual(['jumping jacks']);
  expect(await page.locator('#label-note').textContent()).toBe('1 of 2 labels left out: too long for this model');

  // A text of a hundred kilobytes is answered as well.
  await add('long '.repeat(20_000));
  await page.getByText('2 of 3 labels left out').waitFor();
  expect(await page.locator('#failure').isVisible()).toBe(false);

  await page.locator('#chips li.left-out button').first().click();
  await page.locator('#chips li.left-out button').first().click();
  expect(await page.locator('#label-note').textContent()).toBe('');
  expect(complaints).toEqual([]);
  await context.close();
});
