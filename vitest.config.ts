// The two test projects: `node` (Dawn on a software Vulkan driver) and `browser` (headless Chromium), both from npm
// alone and both straight from the TypeScript sources, with no build before.

import { playwright } from '@vitest/browser-playwright';
import { defineConfig } from 'vitest/config';
import { chromiumLaunchOptions } from './tools/chromium.ts';
import { decodeClip, readClip } from './tools/clip-commands.ts';

const SOURCE = '@actionclip/source';

/** Headers of a cross-origin isolated page; only such a page has SharedArrayBuffer. */
const CROSS_ORIGIN_ISOLATION = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
};

export default defineConfig({
  test: {
    maxWorkers: 2,
    projects: [
      {
        resolve: { conditions: [SOURCE, 'module', 'node', 'default'] },
        ssr: {
          resolve: {
            conditions: [SOURCE, 'module', 'node', 'default'],
            externalConditions: [SOURCE, 'node', 'default'],
          },
        },
        test: {
          name: 'node',
          include: ['test/**/*.test.ts'],
          exclude: ['test/browser/**', '**/node_modules/**'],
          pool: 'forks',
          setupFiles: ['./tools/setup-node.ts'],
          testTimeout: 60_000,
        },
      },
      {
        server: { headers: CROSS_ORIGIN_ISOLATION },
        resolve: { conditions: [SOURCE, 'module', 'browser', 'default'] },
        test: {
          name: 'browser',
          include: ['test/browser/**/*.test.ts'],
          testTimeout: 60_000,
          browser: {
            enabled: true,
            headless: true,
            screenshotFailures: false,
            commands: { readClip, decodeClip },
            provider: playwright({ launchOptions: chromiumLaunchOptions() }),
            instances: [{ browser: 'chromium' }],
          },
        },
      },
    ],
  },
});
