/** The build of the page: a static folder with relative addresses, that works from any host and without a network. */
import { createHash } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { loadClipMerges } from '@actionclip/tokenizer';
import { build, type Plugin } from 'vite';
import { pagePolicy } from './policy.ts';
import type { KeptFiles } from './src/kept-files.ts';

/** Merges of CLIP's vocabulary: a header and 48,894 lines. The rest of the file is never read. */
const usedLines = 48_895;

/** The policy in the page's head. */
const policy: Plugin = {
  name: 'content-security-policy',
  apply: 'build',
  transformIndexHtml: () => [
    { tag: 'meta', attrs: { 'http-equiv': 'Content-Security-Policy', content: pagePolicy }, injectTo: 'head-prepend' },
  ],
};

/** CLIP's merges beside the page, for weights that have no vocabulary of their own. */
const clipMerges: Plugin = {
  name: 'clip-merges',
  apply: 'build',
  async buildStart() {
    const lines = (await loadClipMerges()).split(/\r?\n/, usedLines);
    this.emitFile({ type: 'asset', fileName: 'clip-merges.txt', source: lines.join('\n') });
  },
};

/** What of Node is imported, and never reached in a page. */
const nothingOfNode: Plugin = {
  name: 'nothing-of-node',
  enforce: 'pre',
  resolveId: (source) => (source.startsWith('node:') ? '\0nothing-of-node' : undefined),
  load: (id) => (id === '\0nothing-of-node' ? 'export default {};' : undefined),
};

/** Tells the service worker which files there are. */
const offline: Plugin = {
  name: 'offline',
  apply: 'build',
  enforce: 'post',
  generateBundle: {
    order: 'post',
    handler(_options, bundle) {
      const digest = createHash('sha256');
      const files: string[] = [];
      for (const file of Object.values(bundle).sort((a, b) => (a.fileName < b.fileName ? -1 : 1))) {
        if (file.fileName === 'service-worker.js') continue;
        files.push(file.fileName === 'index.html' ? './' : file.fileName);
        digest.update(file.fileName).update(file.type === 'chunk' ? file.code : file.source);
      }
      const kept: KeptFiles = { digest: digest.digest('hex').slice(0, 16), files };
      const worker = bundle['service-worker.js'];
      if (worker?.type !== 'chunk') throw new Error('the build has no service worker');
      worker.code = worker.code.replace('KEPT_FILES', JSON.stringify(kept));
    },
  },
};

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** Builds the page into a folder, which is emptied first. */
export async function buildPage(folder: string = here('dist')): Promise<void> {
  await build({
    configFile: false,
    root: here('.'),
    base: './',
    publicDir: false,
    logLevel: 'warn',
    resolve: { conditions: ['@actionclip/source', 'module', 'browser', 'default'] },
    plugins: [nothingOfNode, policy, clipMerges, offline],
    worker: { format: 'es', plugins: () => [nothingOfNode] },
    build: {
      outDir: folder,
      emptyOutDir: true,
      target: 'es2022',
      assetsInlineLimit: 0,
      modulePreload: { polyfill: false },
      rolldownOptions: {
        checks: { pluginTimings: false },
        input: { index: here('index.html'), 'service-worker': here('src/service-worker.ts') },
        output: {
          entryFileNames: ({ name }) => (name === 'service-worker' ? '[name].js' : 'assets/[name]-[hash].js'),
        },
      },
    },
  });
}
