/** The resident memory of a browser, from Linux's /proc. */
import { readFile } from 'node:fs/promises';
import type { Browser } from 'playwright';

export interface ResidentBytes {
  /** Of the processes that show pages. */
  readonly renderer: number;
  /** Of all processes. */
  readonly browser: number;
}

/** Resident bytes of the browser's processes: of those that show pages, and of all. */
export async function residentBytes(browser: Browser): Promise<ResidentBytes> {
  const session = await browser.newBrowserCDPSession();
  const { processInfo } = await session.send('SystemInfo.getProcessInfo');
  await session.detach();
  const sizes = await Promise.all(
    processInfo.map(async ({ id, type }) => {
      const status = await readFile(`/proc/${id}/status`, 'utf8');
      return { type, bytes: 1024 * Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) };
    }),
  );
  const sum = (of: readonly { bytes: number }[]): number => of.reduce((total, { bytes }) => total + bytes, 0);
  return { renderer: sum(sizes.filter(({ type }) => type === 'renderer')), browser: sum(sizes) };
}
