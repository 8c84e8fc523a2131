// Measured schedules in a browser: an entry of IndexedDB for each adapter.

import { expect, it } from 'vitest';
import { openStore } from '../../packages/tensor/src/backends/webgpu/schedule-store.ts';

it('a browser keeps the schedules of each adapter in IndexedDB', async () => {
  const [one, other] = [openStore('one'), openStore('other')];
  expect(await one?.load()).toBeUndefined();
  await one?.save('first');
  await one?.save('second');
  expect([await openStore('one')?.load(), await other?.load()]).toEqual(['second', undefined]);
  expect(one?.place).toBe("IndexedDB 'actionclip'");
});
