// Recognition with small random models: what it gives is what evaluation gives, and its views, windows and labels obey
// their rules.
import { type Device, openDevice, setDefaultDevice } from '@actionclip/tensor';
import { Recognizer } from 'actionclip';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { labels, madeVideo, smallModel, tokenizer } from './sources.ts';

let device: Device;
beforeAll(async () => {
  device = await openDevice('wasm', { threads: 1, engineFlags: false });
  setDefaultDevice(device);
});
afterAll(() => device.close());

const sum = (values: Iterable<number>): number => [...values].reduce((a, b) => a + b, 0);

describe('classification', () => {
  it('gives probabilities whose sum is 1', async () => {
    for (const extra of [{}, { shift: true }, { joint: true, temporal: 'meanP' as const }]) {
      const recognizer = new Recognizer(await smallModel(extra), tokenizer);
      for (const options of [{}, { clips: 2, crops: 3 as const }, { window: 0.5, stride: 0.2 }]) {
        const { probabilities, sampled, windows } = await recognizer.classify(madeVideo(30).source, labels, options);
        expect(sum(probabilities)).toBeCloseTo(1, 9);
        expect(sampled.length).toBeGreaterThanOrEqual(4);
        expect(windows.length).toBe('window' in options ? 5 : 1);
      }
    }
  });
});
