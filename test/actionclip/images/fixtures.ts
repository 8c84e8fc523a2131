// Reads the Pillow and torchvision results of the shared fixtures, and PNG files into images.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import type { Image } from '../../../packages/actionclip/src/data/image/image.ts';

const folder = new URL('../../../../shared/fixtures/images/', import.meta.url);

/** One row of the fixture index: an operation on one file and the file it gave. */
export interface FixtureCase {
  readonly op: string;
  readonly in: string;
  readonly out: string;
  readonly value?: number;
  readonly filter?: 'bilinear' | 'bicubic';
  readonly size?: readonly [number, number];
  readonly short?: number;
  readonly crop?: number;
}

export const fixtureCases: readonly FixtureCase[] = JSON.parse(readFileSync(new URL('index.json', folder), 'utf8'));

export async function readFixture(name: string): Promise<Image> {
  const { data, info } = await sharp(fileURLToPath(new URL(name, folder)))
    .removeAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true });
  return { width: info.width, height: info.height, data };
}

/** The largest difference of a level between two images of one size. */
export function largestDifference(a: Image, b: Image): number {
  let largest = 0;
  for (let i = 0; i < a.data.length; i++) largest = Math.max(largest, Math.abs((a.data[i] ?? 0) - (b.data[i] ?? 0)));
  return largest;
}
