// Proves the set-up of the browser tests: headless Chromium has a WebGPU adapter, and its page is isolated.

import { expect, it } from 'vitest';
import { squareOnDevice } from '../infrastructure/square-on-device.ts';

it('squares numbers in a compute shader of Chromium', async () => {
  expect(await squareOnDevice(navigator.gpu, [0, -1, 2.5, 1000])).toEqual([0, 1, 6.25, 1_000_000]);
});

it('has SharedArrayBuffer, because the page is cross-origin isolated', () => {
  expect(crossOriginIsolated).toBe(true);
  expect(new SharedArrayBuffer(8).byteLength).toBe(8);
});
