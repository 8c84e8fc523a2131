// Every image operation against Pillow 9.4 and torchvision 0.14, level by level.
import { describe, expect, it } from 'vitest';
import {
  centerCrop,
  resizeShortSide,
  resizeShortSideAndCenterCrop,
} from '../../../packages/actionclip/src/data/image/crop.ts';
import type { Image } from '../../../packages/actionclip/src/data/image/image.ts';
import type { ImageOperation } from '../../../packages/actionclip/src/data/image/operations.ts';
import { imageOperations } from '../../../packages/actionclip/src/data/image/operations.ts';
import { resize } from '../../../packages/actionclip/src/data/image/resample.ts';
import type { FixtureCase } from './fixtures.ts';
import { fixtureCases, largestDifference, readFixture } from './fixtures.ts';

const byName: Readonly<Record<string, ImageOperation>> = imageOperations;

function run(image: Image, fixture: FixtureCase): Image {
  const { op, filter, size, short, crop, value } = fixture;
  if (op === 'resize' && filter && size) return resize(image, size[0], size[1], filter);
  if (op === 'resize-short-side-then-center-crop' && filter && short && crop) {
    return resizeShortSideAndCenterCrop(image, short, crop, filter);
  }
  const operation = byName[op];
  if (operation === undefined || value === undefined) throw new Error(`no operation for the fixture ${fixture.out}`);
  return operation(image, value);
}

describe('image operations equal Pillow and torchvision', () => {
  it('covers every operation that the fixtures have', () => {
    expect(fixtureCases.length).toBeGreaterThan(100);
    expect(new Set(fixtureCases.map(({ op }) => op)).size).toBe(22);
  });

  it.each(fixtureCases)('$out', async (fixture) => {
    const [source, expected] = await Promise.all([readFixture(fixture.in), readFixture(fixture.out)]);
    const result = run(source, fixture);
    expect([result.width, result.height]).toEqual([expected.width, expected.height]);
    expect(largestDifference(result, expected)).toBe(0);
  });

  it('gives the same when the crop after a resize is not fused', async () => {
    for (const fixture of fixtureCases.filter(({ op }) => op === 'resize-short-side-then-center-crop')) {
      const { filter = 'bicubic', short = 0, crop = 0 } = fixture;
      const source = await readFixture(fixture.in);
      const separate = centerCrop(resizeShortSide(source, short, filter), crop);
      expect(largestDifference(separate, await readFixture(fixture.out))).toBe(0);
    }
  });
});
