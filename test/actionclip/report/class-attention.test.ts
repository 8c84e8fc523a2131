import { type Device, openDevice, setDefaultDevice, tensor } from '@actionclip/tensor';
import { VisionTransformer } from '@actionclip/transformer';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { classAttention, shadeByAttention } from '../../../packages/actionclip/src/report/class-attention.ts';

let device: Device;
beforeAll(async () => {
  device = await openDevice('wasm', { threads: 1 });
  setDefaultDevice(device);
});
afterAll(() => device.close());

it('the attention of the class token is the softmax of its scaled products with the keys, by the definition', async () => {
  const [width, heads, length] = [8, 2, 5];
  const visual = new VisionTransformer({ resolution: 4, patch: 2, width, layers: 2, heads, embedding: 4 });
  visual.eval();
  const pixels = Float32Array.from({ length: 2 * 3 * 16 }, (_, i) => Math.sin(i * 1.3) * 2);
  const images = tensor(pixels, { shape: [2, 3, 4, 4] });
  const [first, last] = visual.transformer.resblocks;
  if (first === undefined || last === undefined) throw new Error('two blocks');
  const hidden = last.ln_1.forward(first.forward(visual.ln_pre.forward(visual.embed(images))));
  const [x, weight, bias] = await Promise.all([
    hidden.data(),
    last.attn.in_proj_weight.data(),
    last.attn.in_proj_bias.data(),
  ]);
  const projected = (image: number, token: number, row: number): number => {
    let sum = bias[row] ?? 0;
    for (let i = 0; i < width; i++) {
      sum += (weight[row * width + i] ?? 0) * (x[(image * length + token) * width + i] ?? 0);
    }
    return sum;
  };
  const expected: number[] = [];
  for (let image = 0; image < 2; image++) {
    const mean = new Float64Array(length);
    for (let head = 0; head < heads; head++) {
      const scores = Array.from({ length }, (_, token) => {
        let sum = 0;
        for (let i = head * 4; i < head * 4 + 4; i++)
          sum += projected(image, 0, i) * projected(image, token, width + i);
        return Math.exp(sum / 2);
      });
      const total = scores.reduce((sum, score) => sum + score, 0);
      scores.forEach((score, token) => {
        mean[token] = (mean[token] ?? 0) + score / total / heads;
      });
    }
    expected.push(...mean.subarray(1));
  }
  const attention = classAttention(visual, images);
  expect(attention.shape).toEqual([2, 4]);
  const values = [...(await attention.data())];
  expect(Math.max(...values.map((value, i) => Math.abs(value - (expected[i] ?? 0))))).toBeLessThan(1e-5);
});

it('a frame keeps its light where attention is greatest, and is dark where there is none', () => {
  const white = new Uint8Array(4 * 4 * 3).fill(200);
  const shaded = shadeByAttention(white, 4, Float32Array.from([0, 1, 0.5, 0]));
  const at = (y: number, x: number): number => shaded[3 * (4 * y + x)] ?? 0;
  expect([at(0, 0), at(1, 3), at(3, 0), at(3, 3)]).toEqual([30, 200, 115, 30]);
});
