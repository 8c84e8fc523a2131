// Smoothed targets of the contrastive loss, against sums by hand.
import { type Device, openDevice, setDefaultDevice, tensor } from '@actionclip/tensor';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { contrastiveLoss } from '../../../packages/actionclip/src/model/loss.ts';

let device: Device;
beforeAll(async () => {
  device = await openDevice('reference');
  setDefaultDevice(device);
});
afterAll(() => device.close());

const labels = [3, 1, 3, 2];
const logits = [
  [5, 1, 2, 0],
  [0, 4, 1, 1],
  [3, 0, 6, -1],
  [1, 1, 1, 3],
];

/** KL of softmax(row) from the smoothed targets, by definition. */
function divergence(rows: readonly (readonly number[])[], smoothing: number): number {
  const each = rows.map((row, i) => {
    const same = labels.map((label) => (label === labels[i] ? Math.exp(10) : 1));
    const total = same.reduce((a, b) => a + b);
    const exponents = row.map(Math.exp);
    const sum = exponents.reduce((a, b) => a + b);
    return row.reduce((divergence, _, k) => {
      const target = ((1 - smoothing) * (same[k] as number)) / total + smoothing / labels.length;
      return divergence + target * (Math.log(target) - Math.log((exponents[k] as number) / sum));
    }, 0);
  });
  return each.reduce((a, b) => a + b) / rows.length;
}

it.each([0, 0.1, 0.5])('the loss with smoothing %d is the divergence from the smoothed targets', async (smoothing) => {
  const { total, videoToText, textToVideo } = contrastiveLoss(
    tensor(logits),
    tensor(Int32Array.from(labels)),
    smoothing,
  );
  const transposed = logits.map((_, k) => logits.map((row) => row[k] as number));
  const expected = [divergence(logits, smoothing), divergence(transposed, smoothing)] as const;
  expect(await videoToText.item()).toBeCloseTo(expected[0], 10);
  expect(await textToVideo.item()).toBeCloseTo(expected[1], 10);
  expect(await total.item()).toBeCloseTo((expected[0] + expected[1]) / 2, 10);
});
