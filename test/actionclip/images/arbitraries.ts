// Random images, clips and streams for the laws of the image operations and the augmentation chain.
import fc from 'fast-check';
import type { Image } from '../../../packages/actionclip/src/data/image/image.ts';
import { Random } from '../../../packages/actionclip/src/data/random.ts';

/** Noise of the given size; equal seeds give equal pixels. */
export function noise(width: number, height: number, seed: number): Image {
  const random = new Random(seed);
  return { width, height, data: Uint8Array.from({ length: width * height * 3 }, () => random.integer(256)) };
}

/** Sides from a single pixel on, odd and even. */
export const side: fc.Arbitrary<number> = fc.integer({ min: 1, max: 40 });

export const seed: fc.Arbitrary<number> = fc.integer({ min: 0, max: 1_000_000 });

export const anyImage: fc.Arbitrary<Image> = fc
  .tuple(side, side, seed)
  .map(([width, height, key]) => noise(width, height, key));

/** One to four frames of one size. */
export const anyClip: fc.Arbitrary<Image[]> = fc
  .tuple(side, side, fc.integer({ min: 1, max: 4 }), seed)
  .map(([width, height, frames, key]) => Array.from({ length: frames }, (_, i) => noise(width, height, key + i)));
