// Proves the set-up of the Node tests: Dawn finds an adapter and computes on it.

import { expect, it } from 'vitest';
import { create, globals } from 'webgpu';
import { squareOnDevice } from './square-on-device.ts';

Object.assign(globalThis, globals);
// Dawn lives as long as this object is reachable; losing it to the garbage collector aborts the process.
const gpu = create([]);
Object.assign(globalThis, { keptGPU: gpu });

it('squares numbers in a compute shader of Dawn in Node', async () => {
  expect(await squareOnDevice(gpu, [0, -1, 2.5, 1000])).toEqual([0, 1, 6.25, 1_000_000]);
});
