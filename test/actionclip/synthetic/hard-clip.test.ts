// The hard form of the built-in clips: its labels, what it adds and within which bounds; and that the standard form stays.
import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { blank, type Image } from '../../../packages/actionclip/src/data/image/image.ts';
import { Random } from '../../../packages/actionclip/src/data/random.ts';
import {
  actionLabels,
  actionOf,
  defaultTrainedLabels,
  hardTrainedLabels,
  hardZeroShotLabels,
  orderedPairsAmong,
} from '../../../packages/actionclip/src/synthetic/actions.ts';
import { backgroundSide, drawViews, viewBounds } from '../../../packages/actionclip/src/synthetic/camera-motion.ts';
import { renderClip } from '../../../packages/actionclip/src/synthetic/clip.ts';
import { defaultLabels } from '../../../packages/actionclip/src/synthetic/dataset.ts';
import { drawForeground, sceneOf } from '../../../packages/actionclip/src/synthetic/hard-clip.ts';

const hard = { form: 'hard', size: 32, frames: [6, 6] } as const;
const hash = (images: readonly Image[]): string => {
  const sum = createHash('sha256');
  for (const { data } of images) sum.update(data);
  return sum.digest('hex');
};
const everyLabel = [...hardTrainedLabels, ...hardZeroShotLabels];
const orderedPairs = orderedPairsAmong(hardTrainedLabels);

describe('the labels of the hard form', () => {
  it('are 36 to 40 trained and 8 to 10 kept for zero-shot, unique, and all can be drawn', () => {
    expect(hardTrainedLabels.length).toBeGreaterThanOrEqual(36);
    expect(hardTrainedLabels.length).toBeLessThanOrEqual(40);
    expect(hardZeroShotLabels.length).toBeGreaterThanOrEqual(8);
    expect(hardZeroShotLabels.length).toBeLessThanOrEqual(10);
    expect(new Set(everyLabel).size).toBe(everyLabel.length);
    for (const label of everyLabel) expect(actionLabels).toContain(label);
    expect(defaultLabels.hard).toEqual({ labels: hardTrainedLabels, zeroShotLabels: hardZeroShotLabels });
  });

  it.each(hardZeroShotLabels)('train every word of "%s"', (label) => {
    const words = new Set(hardTrainedLabels.flatMap((trained) => trained.split(' ')));
    for (const word of label.split(' ')) expect(words).toContain(word);
  });

  it('hold actions of two people, whose paths are equally long', () => {
    const shared = everyLabel.map(actionOf).filter(({ partner }) => partner !== undefined);
    expect(shared.length).toBeGreaterThanOrEqual(8);
    for (const { path, partner } of shared) expect(partner?.path).toHaveLength(path.length);
  });
});

describe('clips of the hard form', () => {
  it('are drawn for every label, each another one, and the same for the same seed', () => {
    const sums = everyLabel.map((label) => hash(renderClip(label, 21, hard)));
    expect(new Set(sums).size).toBe(everyLabel.length);
    expect(hash(renderClip('shaking hands', 21, hard))).toBe(sums[everyLabel.indexOf('shaking hands')]);
    expect(hash(renderClip('shaking hands', 22, hard))).not.toBe(sums[everyLabel.indexOf('shaking hands')]);
  });

  it.each(orderedPairs)(
    'of "%s" and "%s" are the same frames in opposite orders, which differ',
    (forward, backward) => {
      for (const seed of [3, 4]) {
        const clip = renderClip(forward, seed, hard);
        expect(hash(renderClip(backward, seed, hard))).toBe(hash(clip.toReversed()));
        expect(hash(clip.toReversed())).not.toBe(hash(clip));
      }
    },
  );

  it('show two people, a bystander, somebody who passes, bars and moving cameras, each in some clips only', () => {
    const scenes = Array.from({ length: 60 }, (_, seed) =>
      sceneOf(everyLabel[seed % everyLabel.length] ?? '', seed, { ...hard, difficulty: 0.3 }),
    );
    const traits = [
      scenes.filter(({ cast }) => cast.length === 2),
      scenes.filter(({ bystander }) => bystander !== undefined),
      scenes.filter(({ passer }) => passer !== undefined),
      scenes.filter(({ bars }) => bars.length > 0),
      scenes.filter(({ views }) => views.some(({ x }) => x !== views[0]?.x)),
      scenes.filter(({ views }) => views.some(({ zoom }) => zoom !== 1)),
    ];
    for (const found of traits) {
      expect(found.length).toBeGreaterThan(5);
      expect(found.length).toBeLessThan(55);
    }
  });

  it('cover no frame by more than half and no clip by more than a quarter', () => {
    const size = 32;
    for (let seed = 0; seed < 60; seed++) {
      const scene = sceneOf('waving one arm', seed, { size, frames: [12, 12], difficulty: seed % 2 });
      const shares = scene.views.map((_, frame) => {
        const canvas = blank(size, size);
        canvas.data.fill(255);
        drawForeground(canvas, scene, frame);
        let covered = 0;
        for (let i = 0; i < canvas.data.length; i += 3) if ((canvas.data[i] ?? 0) < 254) covered++;
        return covered / size ** 2;
      });
      expect(Math.max(...shares)).toBeLessThan(0.5);
      expect(shares.reduce((a, b) => a + b, 0) / shares.length).toBeLessThan(0.25);
    }
  });

  it('keep every view within its bounds, and so on the painted background', () => {
    const { shift, leastZoom, mostZoom } = viewBounds;
    expect((0.5 + shift) / leastZoom).toBeLessThan(backgroundSide / 2);
    for (let seed = 0; seed < 200; seed++) {
      for (const { x, y, zoom } of drawViews(new Random(seed), 9)) {
        expect(Math.max(Math.abs(x), Math.abs(y))).toBeLessThanOrEqual(shift);
        expect(zoom).toBeGreaterThanOrEqual(leastZoom);
        expect(zoom).toBeLessThanOrEqual(mostZoom);
      }
    }
  });
});

describe('the standard form', () => {
  it('has the pixels that it always had', () => {
    const clips = ['sitting down', 'waving one arm', 'kicking with one leg'].flatMap((label) => renderClip(label, 7));
    expect(hash(clips)).toBe('b4ba36d143cd6c07b7f8795b37eb34a216149f0c7ea1ae2ceb1b919ee15b6677');
    expect(defaultLabels.standard.labels).toBe(defaultTrainedLabels);
  });

  it('refuses an action of two people', () => {
    expect(() => renderClip('shaking hands', 1)).toThrow(/two people.*form hard/);
  });
});
