// The device that is chosen where nobody names one.
import { automaticDevice, openDevice, setDefaultDevice, tensor } from '@actionclip/tensor';
import { afterAll, expect, it } from 'vitest';

afterAll(async () => (await openDevice('auto')).close());

it('is one for the process, and another one once it was closed', async () => {
  const first = await openDevice('auto');
  expect(await openDevice('auto')).toBe(first);
  await first.close();
  const [again, other] = await Promise.all([openDevice('auto'), automaticDevice()]);
  expect(again).not.toBe(first);
  expect(other.device).toBe(again);
  setDefaultDevice(again);
  expect([...(await tensor([1, 2]).add(1).data())]).toEqual([2, 3]);
});
