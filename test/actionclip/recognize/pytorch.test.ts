// Recognition against PyTorch and Pillow: the numbers of the fixtures through its heads, scores and squares.
import { fileURLToPath } from 'node:url';
import { type Device, openDevice, setDefaultDevice, type Tensor, tensor, toFloat32 } from '@actionclip/tensor';
import { unit } from '@actionclip/transformer';
import { type Image, normalise, openCheckpointModel, scoreViews } from 'actionclip';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stackFrames } from '../../../packages/actionclip/src/data/augment/clip.ts';
import { squaresOf } from '../../../packages/actionclip/src/recognize/squares.ts';
import { VideoTowers } from '../../../packages/actionclip/src/recognize/towers.ts';
import { buildModel, caseNames, integers, readCase } from '../../golden/fixtures.ts';
import { fixtureCases, readFixture } from '../images/fixtures.ts';

let device: Device;
beforeAll(async () => {
  device = await openDevice('wasm', { threads: 1, engineFlags: false });
  setDefaultDevice(device);
});
afterAll(() => device.close());

const checkpoint = (name: string): string =>
  fileURLToPath(new URL(`../../../../shared/fixtures/model/${name}/checkpoint.pt`, import.meta.url));

describe('probabilities', () => {
  it.each(caseNames)('are the softmax of what PyTorch gives, in the case %s', async (name) => {
    const golden = await readCase(name);
    const model = buildModel(golden);
    const numbers = (key: string): Float32Array => {
      const found = golden.expected.get(key);
      if (!found) throw new Error(`the fixture has no ${key}`);
      return toFloat32(found).data;
    };
    const { batch } = golden.description;
    const width = golden.sizes.embedding;
    const towers = new VideoTowers(model);
    const features = numbers('frame_features');
    const perVideo = features.length / batch;
    const rows = await towers.fuse(
      Array.from({ length: batch }, (_, video) => features.subarray(video * perVideo, (video + 1) * perVideo)),
    );
    const texts = unit(tensor(numbers('text_features'), { shape: [batch, width] }));
    const prompts = { rows: (await texts.data()) as Float32Array, width, templates: 1, classes: batch };
    const labels = Array.from({ length: batch }, (_, label) => `label ${label}`);
    const logits = numbers('logits_per_video');
    const scale = Math.exp(await model.clip.logit_scale.item());
    for (let video = 0; video < batch; video++) {
      const views = { rows: rows.subarray(video * width, (video + 1) * width), width };
      const embedding = { frames: 1, duration: 1, sampled: [], windows: [{ start: 0, end: 1, views }] };
      const { probabilities } = scoreViews(embedding, prompts, labels);
      // Scoring takes the factor 100 where training has its own.
      const powers = labels.map((_, label) => Math.exp((100 * (logits[video * batch + label] ?? 0)) / scale));
      const total = powers.reduce((a, b) => a + b);
      powers.forEach((power, label) => {
        expect(Math.abs((probabilities[label] ?? 0) - power / total)).toBeLessThan(1e-4);
      });
    }
  });
});

/** Features of pictures, batch by batch. */
async function encoded(towers: VideoTowers, pictures: readonly Image[]): Promise<Float32Array> {
  const parts: number[] = [];
  for (let at = 0; at < pictures.length; at += towers.batch) {
    parts.push(...(await towers.encode(pictures.slice(at, at + towers.batch))));
  }
  return Float32Array.from(parts);
}

describe('logits from pictures', () => {
  // Pillow and PyTorch are not here to run on new pictures. But what Pillow makes of three pictures is kept, and the
  // model is held to PyTorch's numbers by other tests; so the model on Pillow's squares, normalised by torchvision's
  // arithmetic, stands for Pillow + PyTorch, and our own way from the same pictures must lead to the same logits.
  it('are those of Pillow and PyTorch within 1e-3', async () => {
    const cases = fixtureCases.filter(({ op }) => op === 'resize-short-side-then-center-crop');
    expect(cases.length).toBe(3);
    const [{ short = 0, crop = 0 } = {}] = cases;
    const read = (names: readonly string[]): Promise<Image[]> => Promise.all(names.map(readFixture));
    const originals = await read(cases.map((each) => each.in));
    const pillow = await read(cases.map(({ out }) => out));
    for (const name of ['mean', 'transf', 'shift'] as const) {
      const golden = await readCase(name);
      const { model } = await openCheckpointModel(checkpoint(name), { frames: 3, resolution: crop });
      const texts = unit(model.encodeText(integers(golden.tokens)));
      const logits = async (video: Tensor): Promise<ArrayLike<number>> =>
        unit(video).matmul(texts.transpose()).mul(model.clip.logit_scale.exp()).data();
      const reference = tensor(normalise(stackFrames(pillow, crop), crop), { shape: [1, 3, 3, crop, crop] });
      const expected = await logits(model.encodeVideo(reference));
      const towers = new VideoTowers(model);
      const squares = originals.flatMap(squaresOf(1, crop, short));
      const rows = await towers.fuse([await encoded(towers, squares)]);
      const found = await logits(tensor(rows, { shape: [1, model.clip.sizes.embedding] }));
      expect(found.length).toBe(golden.description.batch);
      Array.from(found).forEach((logit, at) => {
        expect(Math.abs(logit - (expected[at] ?? Number.NaN))).toBeLessThan(1e-3);
      });
      // Other squares would be told apart.
      const [unlike] = await encoded(towers, originals.flatMap(squaresOf(1, crop, crop)));
      expect(Math.abs((unlike ?? 0) - ((await encoded(towers, squares))[0] ?? 0))).toBeGreaterThan(1e-3);
    }
  });

  it('come from three squares along the longer side, whichever that is', () => {
    const picture = ramp(200, 64);
    const across = squaresOf(3, 32)(picture);
    const down = squaresOf(3, 32)(transposed(picture));
    expect(across.length).toBe(3);
    const brightness = across.map(({ data }) => [...data].reduce((sum, level) => sum + level, 0) / data.length);
    // 100 columns after the resize, of which the squares take the first 32, those from 34 on, and the last.
    [16, 50, 84].forEach((middle, at) => {
      expect(Math.abs((brightness[at] ?? 0) - 2 * middle)).toBeLessThan(2);
    });
    across.forEach((square, at) => {
      expect([square.width, square.height]).toEqual([32, 32]);
      const other = transposed(down[at] ?? square);
      // Columns are resized before rows, and each pass rounds.
      square.data.forEach((level, i) => {
        expect(Math.abs(level - (other.data[i] ?? Number.NaN))).toBeLessThanOrEqual(1);
      });
    });
  });
});

/** Grey that is as bright as its column. */
function ramp(width: number, height: number): Image {
  return { width, height, data: Uint8Array.from({ length: width * height * 3 }, (_, i) => Math.floor(i / 3) % width) };
}

function transposed({ width, height, data }: Image): Image {
  const result = new Uint8Array(data.length);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      for (let c = 0; c < 3; c++) result[(x * height + y) * 3 + c] = data[(y * width + x) * 3 + c] ?? 0;
  return { width: height, height: width, data: result };
}
