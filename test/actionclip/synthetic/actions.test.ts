// The vocabulary and the clips of the built-in data set: what labels say, and what their movements keep and reverse.
import { describe, expect, it } from 'vitest';
import {
  actionLabels,
  actionOf,
  defaultTrainedLabels,
  defaultZeroShotLabels,
  orderedPairsAmong,
} from '../../../packages/actionclip/src/synthetic/actions.ts';
import { clipPoses, renderClip } from '../../../packages/actionclip/src/synthetic/clip.ts';
import { poseOnPath, poseParts } from '../../../packages/actionclip/src/synthetic/pose.ts';

const orderedPairs = orderedPairsAmong(defaultTrainedLabels);
const flat = (images: readonly { readonly data: ArrayLike<number> }[]): string =>
  images.map(({ data }) => Buffer.from(Array.from(data)).toString('base64')).join('|');

describe('the labels', () => {
  it('are unique, 20 to 24 trained and 4 to 6 kept for zero-shot, with no overlap', () => {
    const all = [...defaultTrainedLabels, ...defaultZeroShotLabels];
    expect(new Set(all).size).toBe(all.length);
    expect(defaultTrainedLabels.length).toBeGreaterThanOrEqual(20);
    expect(defaultTrainedLabels.length).toBeLessThanOrEqual(24);
    expect(defaultZeroShotLabels.length).toBeGreaterThanOrEqual(4);
    expect(defaultZeroShotLabels.length).toBeLessThanOrEqual(6);
    expect(new Set(actionLabels).size).toBe(actionLabels.length);
  });

  it('never say left or right, as training mirrors clips', () => {
    for (const label of actionLabels) expect(label).not.toMatch(/left|right/);
  });

  it.each(defaultZeroShotLabels)('trains every word and both halves of the zero-shot label "%s"', (label) => {
    const [verb, ...part] = label.split(' ');
    const words = new Set(defaultTrainedLabels.flatMap((trained) => trained.split(' ')));
    for (const word of label.split(' ')) expect(words).toContain(word);
    expect(defaultTrainedLabels.some((trained) => trained.startsWith(`${verb} `))).toBe(true);
    expect(defaultTrainedLabels.some((trained) => trained.endsWith(` ${part.join(' ')}`))).toBe(true);
  });

  it('hold several pairs that only time tells apart, and no zero-shot label is one of them', () => {
    expect(orderedPairs.length).toBeGreaterThanOrEqual(4);
    expect(orderedPairs).toContainEqual(['sitting down', 'standing up']);
    for (const label of orderedPairs.flat()) expect(defaultTrainedLabels).toContain(label);
  });

  it('refuse an unknown name and list the known ones', () => {
    expect(() => actionOf('yodelling')).toThrow(/"yodelling".*sitting down/s);
  });
});

describe('poses', () => {
  it.each(orderedPairs)('of "%s" and "%s" are the same in opposite order', (forward, backward) => {
    for (const seed of [1, 2, 3]) {
      expect(clipPoses(backward, seed)).toEqual(clipPoses(forward, seed).toReversed());
      expect(clipPoses(backward, seed)).not.toEqual(clipPoses(forward, seed));
    }
  });

  it.each(actionLabels)('of "%s" are finite and change over time', (label) => {
    const poses = clipPoses(label, 7);
    const values = poses.map((pose) => poseParts.flatMap((part) => pose[part]));
    expect(values.flat().every(Number.isFinite)).toBe(true);
    const ranges = values[0]?.map((_, index) => {
      const track = values.map((numbers) => numbers[index] ?? 0);
      return Math.max(...track) - Math.min(...track);
    });
    expect(Math.max(...(ranges ?? []))).toBeGreaterThan(15);
  });

  it('pass through the poses of a path, and a closed path repeats', () => {
    const { path } = actionOf('kicking with one leg');
    for (const [index, pose] of path.entries()) {
      for (const lap of [-1, 0, 2]) {
        const reached = poseOnPath(path, lap + index / path.length, true);
        for (const part of poseParts) {
          for (const [k, value] of pose[part].entries()) expect(reached[part][k]).toBeCloseTo(value, 6);
        }
      }
    }
    expect(poseOnPath(path, 1, false)).toEqual(path.at(-1));
  });
});

describe('clips', () => {
  it('are the same for the same seed, and differ between seeds and between labels', () => {
    const clip = flat(renderClip('waving one arm', 5));
    expect(flat(renderClip('waving one arm', 5))).toBe(clip);
    expect(flat(renderClip('waving one arm', 6))).not.toBe(clip);
    expect(flat(renderClip('shaking one arm', 5))).not.toBe(clip);
  });

  it.each(orderedPairs)('of "%s" and "%s" are the same frames in opposite order', (forward, backward) => {
    expect(flat(renderClip(backward, 11))).toBe(flat(renderClip(forward, 11).toReversed()));
  });

  it('have the size and the numbers of frames asked for', () => {
    const counts = new Set<number>();
    for (let seed = 0; seed < 30; seed++) {
      const clip = renderClip('jumping jacks', seed, { size: 32, frames: [5, 8] });
      counts.add(clip.length);
      for (const { width, height, data } of clip) expect([width, height, data.length]).toEqual([32, 32, 32 * 32 * 3]);
    }
    expect([...counts].toSorted()).toEqual([5, 6, 7, 8]);
  });

  it('show the figure inside the picture at every difficulty: most of the movement is away from the border', () => {
    for (const difficulty of [0, 0.5, 1]) {
      for (const label of defaultTrainedLabels) {
        const [first, ...rest] = renderClip(label, 3, { difficulty });
        let [inside, border] = [0, 0];
        for (const { data, width } of rest) {
          for (let pixel = 0; pixel < width * width; pixel++) {
            const change = Math.abs((data[pixel * 3] ?? 0) - (first?.data[pixel * 3] ?? 0));
            const [x, y] = [pixel % width, Math.floor(pixel / width)];
            if (Math.min(x, y, width - 1 - x) < 2) border += change;
            else inside += change;
          }
        }
        expect(inside).toBeGreaterThan(0);
        expect(border).toBeLessThan(inside / 10);
      }
    }
  });

  it.each([
    { size: 8 },
    { frames: [9, 5] as const },
    { frames: [1, 5] as const },
    { difficulty: 2 },
    { difficulty: NaN },
  ])('refuse %o with what was expected', (options) => {
    expect(() => renderClip('jumping jacks', 0, options)).toThrow(/expected/);
  });
});

describe('the task', () => {
  it('is not solved by the nearest class mean of time-averaged pixels', () => {
    const options = { size: 32, frames: [10, 16] as const };
    const mean = (label: string, seed: number): Float64Array => {
      const clip = renderClip(label, seed, options);
      const sum = new Float64Array(32 * 32 * 3);
      for (const { data } of clip)
        for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] ?? 0) + (data[i] ?? 0) / clip.length;
      return sum;
    };
    const centres = defaultTrainedLabels.map((label, index) => {
      const total = new Float64Array(32 * 32 * 3);
      for (let clip = 0; clip < 16; clip++) {
        mean(label, 1000 + index * 100 + clip).forEach((value, i) => {
          total[i] = (total[i] ?? 0) + value / 16;
        });
      }
      return total;
    });
    const distance = (a: Float64Array, b: Float64Array): number =>
      a.reduce((sum, value, i) => sum + (value - (b[i] ?? 0)) ** 2, 0);
    let correct = 0;
    let total = 0;
    for (const [index, label] of defaultTrainedLabels.entries()) {
      for (let clip = 0; clip < 5; clip++) {
        const own = mean(label, 900_000 + index * 100 + clip);
        const distances = centres.map((centre) => distance(own, centre));
        if (distances.indexOf(Math.min(...distances)) === index) correct += 1;
        total += 1;
      }
    }
    expect(correct / total).toBeLessThan(0.4);
  });
});
