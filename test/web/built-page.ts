// The page as it is built, for all tests of it: built once and again only after a change, and visited in a headless
// Chromium.
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { type BrowserContext, type BrowserContextOptions, chromium, type Page } from 'playwright';
import { buildPage } from '../../examples/web/build-page.ts';
import { openPageServer } from '../../examples/web/server.ts';
import { withLock } from '../../packages/actionclip/src/hub/lock.ts';
import { chromiumLaunchOptions } from '../../tools/chromium.ts';

const here = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));
const cache = here('../../node_modules/.cache/actionclip-page-test/');
/** All that the build depends on. */
const sources = ['examples/web', 'packages', 'package-lock.json'].map((name) => here(`../../${name}`));

/** The folder of the built page. Test files that run at once share one build. */
export async function builtPage(): Promise<string> {
  const name = await digestOfSources();
  const folder = path.join(cache, name);
  await mkdir(cache, { recursive: true });
  await withLock(path.join(cache, 'build'), undefined, async () => {
    const there = await readdir(cache);
    if (there.includes(name)) return;
    const unfinished = path.join(cache, 'unfinished');
    await buildPage(unfinished);
    await rename(unfinished, folder);
    const old = there.filter((entry) => /^[0-9a-f]{16}$/.test(entry));
    await Promise.all(old.map((entry) => rm(path.join(cache, entry), { recursive: true })));
  });
  return folder;
}

async function digestOfSources(): Promise<string> {
  const digest = createHash('sha256');
  for (const root of sources) {
    for (const file of await filesOf(root)) digest.update(file).update(await readFile(file));
  }
  return digest.digest('hex').slice(0, 16);
}

/** The files of a folder in the order of their names, without what is installed or built; or the one file. */
async function filesOf(root: string): Promise<string[]> {
  const entries = await readdir(root, { withFileTypes: true }).catch(() => undefined);
  if (entries === undefined) return [root];
  const kept = entries.filter(({ name }) => !['node_modules', 'dist'].includes(name));
  const nested = kept
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map((entry) => {
      const file = path.join(root, entry.name);
      return entry.isDirectory() ? filesOf(file) : [file];
    });
  return (await Promise.all(nested)).flat();
}

/** A page of its own. */
export interface Visit {
  readonly page: Page;
  readonly context: BrowserContext;
  /** Warnings and errors of the console, and exceptions. */
  readonly complaints: readonly string[];
  /** The hosts that were asked. */
  readonly hosts: ReadonlySet<string>;
}

export interface PageHost {
  /** The built files. */
  readonly folder: string;
  /** Of the page on its server. */
  readonly address: string;
  /** Opens the page, there unless told, in a context that shares nothing with others. */
  visit(address?: string, options?: BrowserContextOptions): Promise<Visit>;
  close(): Promise<void>;
}

/** Builds and serves the page, and starts a browser. @param flags Of the browser, beside the usual ones. */
export async function openPageHost(flags: readonly string[] = []): Promise<PageHost> {
  const launch = chromiumLaunchOptions();
  const [browser, folder] = await Promise.all([
    chromium.launch({ ...launch, args: [...launch.args, ...flags] }),
    builtPage(),
  ]);
  const server = await openPageServer(folder, [0]);
  return {
    folder,
    address: server.address,
    visit: async (address = server.address, options = {}) => {
      const context = await browser.newContext(options);
      const page = await context.newPage();
      const complaints: string[] = [];
      const hosts = new Set<string>();
      page.on('console', (message) => {
        if (message.type() !== 'log' && message.type() !== 'info') complaints.push(message.text());
      });
      page.on('pageerror', ({ message }) => complaints.push(message));
      context.on('request', (request) => {
        const { protocol, host } = new URL(request.url());
        if (protocol !== 'blob:') hosts.add(host);
      });
      await page.goto(address);
      return { page, context, complaints, hosts };
    },
    close: async () => {
      await browser.close();
      await server.close();
    },
  };
}
