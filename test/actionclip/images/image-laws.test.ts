// Laws of the image operations on images of any size, from one pixel on, and what they say about bad input.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { affine } from '../../../packages/actionclip/src/data/image/affine.ts';
import { adjustHue } from '../../../packages/actionclip/src/data/image/colour.ts';
import {
  centerCrop,
  crop,
  flipHorizontally,
  resizeShortSide,
  resizeShortSideAndCenterCrop,
  shortSideSize,
} from '../../../packages/actionclip/src/data/image/crop.ts';
import { gaussianBlur } from '../../../packages/actionclip/src/data/image/filter.ts';
import { ImageError } from '../../../packages/actionclip/src/data/image/image.ts';
import { invert, posterize } from '../../../packages/actionclip/src/data/image/levels.ts';
import type { ImageOperation } from '../../../packages/actionclip/src/data/image/operations.ts';
import { imageOperations } from '../../../packages/actionclip/src/data/image/operations.ts';
import { resize } from '../../../packages/actionclip/src/data/image/resample.ts';
import { anyImage, noise, side } from './arbitraries.ts';

const bytes = (image: { readonly data: ArrayLike<number> }): number[] => Array.from(image.data);
const filter = fc.constantFrom('bilinear' as const, 'bicubic' as const);

/** A value that every operation of the table accepts. */
const acceptedValues: Readonly<Record<string, number>> = { Posterize: 3, JitterHue: 0.1, Color: 0.7, Contrast: 1.7 };

describe('image operations', () => {
  it('mirroring twice is the identity', () => {
    fc.assert(
      fc.property(anyImage, (image) => {
        expect(bytes(flipHorizontally(flipHorizontally(image)))).toEqual(bytes(image));
      }),
    );
  });

  it.each(Object.entries<ImageOperation>(imageOperations))(
    '%s keeps the size and leaves its input alone',
    (name, op) => {
      fc.assert(
        fc.property(anyImage, fc.double({ min: 0, max: 1, noNaN: true }), (image, at) => {
          const before = bytes(image);
          const result = op(image, acceptedValues[name] ?? 2, { x: at, y: at });
          expect([result.width, result.height, result.data.length]).toEqual([image.width, image.height, before.length]);
          expect(bytes(image)).toEqual(before);
        }),
        { numRuns: 40 },
      );
    },
  );

  it('neutral values give the image back', () => {
    const neutral = {
      Rotate: 0,
      Posterize: 8,
      Solarize: 256,
      ShearX: 0,
      ShearY: 0,
      TranslateXabs: 0,
      TranslateYabs: 0,
    };
    const factors = { Color: 1, Contrast: 1, Brightness: 1, Sharpness: 1, GaussianBlur: 0 };
    fc.assert(
      fc.property(anyImage, (image) => {
        for (const [name, value] of Object.entries({ ...neutral, ...factors })) {
          const operation: ImageOperation = imageOperations[name as keyof typeof imageOperations];
          expect(bytes(operation(image, value, { x: 0, y: 0 })), name).toEqual(bytes(image));
        }
      }),
      { numRuns: 40 },
    );
  });

  it('a half turn is the image mirrored both ways, and four quarter turns of a square are the identity', () => {
    fc.assert(
      fc.property(anyImage, (image) => {
        const { width, height } = image;
        const half = imageOperations.Rotate(image, 180);
        expect(bytes(half)).toEqual(bytes(affine(image, [-1, 0, width, 0, -1, height])));
        const square = centerCrop(image, Math.min(width, height));
        const turned = [1, 2, 3, 4].reduce((turning) => imageOperations.Rotate(turning, 90), square);
        expect(bytes(turned)).toEqual(bytes(square));
      }),
    );
  });

  it('solarising and adding meet RandAugment: levels are added, cut and inverted from 128 on', () => {
    const image = { width: 3, height: 1, data: Uint8Array.of(0, 94, 95, 96, 200, 255, 10, 20, 30) };
    expect(bytes(imageOperations.SolarizeAdd(image, 33))).toEqual([33, 127, 127, 126, 22, 0, 43, 53, 63]);
  });

  it('cutout paints one square of the mean colour, inside the image', () => {
    const black = { width: 20, height: 10, data: new Uint8Array(600) };
    const painted = imageOperations.CutoutAbs(black, 4, { x: 9 / 19, y: 4 / 9 });
    const columns = new Set<number>();
    const rows = new Set<number>();
    for (let i = 0; i < 200; i++) {
      const pixel = [painted.data[i * 3], painted.data[i * 3 + 1], painted.data[i * 3 + 2]];
      if (pixel[0] === 0) continue;
      expect(pixel).toEqual([125, 123, 114]);
      columns.add(i % 20);
      rows.add(Math.floor(i / 20));
    }
    expect([...columns]).toEqual([8, 9, 10, 11, 12]);
    expect([...rows]).toEqual([3, 4, 5, 6, 7]);
  });
});

describe('resizing', () => {
  it('to the same size is the identity', () => {
    fc.assert(
      fc.property(anyImage, filter, (image, kind) => {
        expect(bytes(resize(image, image.width, image.height, kind))).toEqual(bytes(image));
      }),
    );
  });

  it('keeps a flat image flat', () => {
    fc.assert(
      fc.property(side, side, side, side, fc.nat(255), filter, (width, height, toWidth, toHeight, level, kind) => {
        const flat = { width, height, data: new Uint8Array(width * height * 3).fill(level) };
        expect(new Set(bytes(resize(flat, toWidth, toHeight, kind)))).toEqual(new Set([level]));
      }),
    );
  });

  it('of a part equals cropping first, and its window equals cropping afterwards', () => {
    const part = fc.tuple(
      fc.double({ min: 0, max: 0.99, noNaN: true }),
      fc.double({ min: 0, max: 0.99, noNaN: true }),
      fc.double({ min: 0, max: 1, noNaN: true }),
    );
    const within = (width: number, height: number, [x, y, extent]: readonly [number, number, number]) => {
      const left = Math.floor(x * width);
      const top = Math.floor(y * height);
      const size = (room: number) => Math.max(1, Math.floor(extent * room));
      return { left, top, width: size(width - left), height: size(height - top) };
    };
    fc.assert(
      fc.property(anyImage, side, side, filter, part, part, (image, width, height, kind, from, to) => {
        const source = within(image.width, image.height, from);
        const window = within(width, height, to);
        const separate = crop(resize(crop(image, source), width, height, kind), window);
        expect(bytes(resize(image, width, height, kind, { source, window }))).toEqual(bytes(separate));
      }),
      { numRuns: 300 },
    );
  });

  it('of the short side then a centre crop equals the two steps, for every shape', () => {
    fc.assert(
      fc.property(anyImage, side, fc.nat(20), (image, size, margin) => {
        const both = resizeShortSideAndCenterCrop(image, size + margin, size, 'bicubic');
        expect([both.width, both.height]).toEqual([size, size]);
        expect(bytes(both)).toEqual(bytes(centerCrop(resizeShortSide(image, size + margin, 'bicubic'), size)));
      }),
    );
  });

  it('keeps the proportions, rounded down', () => {
    expect(shortSideSize(340, 256, 256)).toEqual({ width: 340, height: 256 });
    expect(shortSideSize(320, 240, 256)).toEqual({ width: 341, height: 256 });
    expect(shortSideSize(240, 427, 36)).toEqual({ width: 36, height: 64 });
  });
});

describe('bad images and requests', () => {
  const image = noise(4, 3, 1);
  it.each<[string, () => unknown, RegExp]>([
    ['no width', () => invert({ width: 0, height: 3, data: new Uint8Array() }), /size 0 x 3.*at least one/],
    [
      'a short buffer',
      () => gaussianBlur({ width: 2, height: 2, data: new Uint8Array(11) }, 1),
      /11 bytes.*expected 12/,
    ],
    [
      'alpha left in',
      () => resizeShortSide({ width: 2, height: 2, data: new Uint8Array(16) }, 4, 'bicubic'),
      /without alpha/,
    ],
    ['an empty result', () => resize(image, 0, 5, 'bilinear'), /size 0 x 5/],
    ['a crop outside', () => crop(image, { left: 2, top: 0, width: 3, height: 3 }), /3 x 3 at \(2, 0\).*inside 4 x 3/],
    ['a crop larger than the image', () => centerCrop(image, 5), /5 x 5.*resize the image first/],
    ['nine bits', () => posterize(image, 9), /9 bits.*1 to 8/],
    ['a hue beyond the circle', () => adjustHue(image, 0.6), /0\.6.*-0\.5 to 0\.5/],
    ['a negative blur', () => gaussianBlur(image, -1), /radius -1/],
  ])('%s is one clear sentence', (_, run, message) => {
    expect(run).toThrow(ImageError);
    expect(run).toThrow(message);
  });
});
