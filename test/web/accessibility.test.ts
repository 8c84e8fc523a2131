// Each state of the page for people who do not see it, or see it otherwise, or use no mouse.

import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import type { AxeResults, RunOptions } from 'axe-core';
import type { Page } from 'playwright';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pageStates } from '../../examples/web/page-states.ts';
import { openPageHost, type PageHost, type Visit } from './built-page.ts';

let host: PageHost;
let axe: string;

beforeAll(async () => {
  axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
  host = await openPageHost();
}, 120_000);
afterAll(() => host.close());

const still = { serviceWorkers: 'block', reducedMotion: 'reduce' } as const;
const blank = (): Promise<Visit> => host.visit('about:blank', still);

/** What is against the rules of WCAG 2.2, level AA, and good practice: each rule with the elements that break it. */
async function violations(page: Page): Promise<string[]> {
  const options: RunOptions = {
    runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
    resultTypes: ['violations'],
  };
  const { violations } = (await page.evaluate(`axe.run(${JSON.stringify(options)})`)) as AxeResults;
  return violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html}`));
}

/** Runs in the page: what is clicked, and is smaller than a finger. */
function smallTargets(): string[] {
  const targets = document.querySelectorAll<HTMLElement>('button:not(.run), .button, select, input[type="text"]');
  return [...targets]
    .map((target) => ({ target, box: target.getBoundingClientRect() }))
    .filter(({ box }) => box.width > 0 && Math.min(box.width, box.height) < 44)
    .map(({ target, box }) => `${target.outerHTML.slice(0, 80)}: ${box.width} x ${box.height}`);
}

describe.each(pageStates)('the page, $name', ({ reach }) => {
  it('breaks no rule of accessibility, light or dark, and fits into narrow screens', async () => {
    const { page, context } = await blank();
    await reach(page, host.address);
    await page.evaluate(axe);
    await page.emulateMedia({ colorScheme: 'light' });
    expect(await violations(page)).toEqual([]);
    await page.setViewportSize({ width: 400, height: 800 });
    await page.emulateMedia({ colorScheme: 'dark' });
    expect(await violations(page)).toEqual([]);
    expect(await page.evaluate(smallTargets)).toEqual([]);
    await page.setViewportSize({ width: 320, height: 640 });
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(320);
    await context.close();
  });
});
