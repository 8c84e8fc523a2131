// Operations that replace every level of a channel by another one, as 256-entry tables (Pillow's ImageOps and the
// ImageEnhance classes whose second image is one flat colour).
import type { Image } from './image.ts';
import { blank, ImageError, pixels } from './image.ts';

/** The new level of each old one; stored values are clamped to 0..255 and have no fraction. */
type Levels = Uint8ClampedArray;

const levels = (of: (level: number) => number): Levels =>
  Uint8ClampedArray.from({ length: 256 }, (_, i) => Math.trunc(of(i)));

function replaceLevels(image: Image, red: Levels, green: Levels = red, blue: Levels = red): Image {
  const data = pixels(image);
  const result = blank(image.width, image.height);
  const out = result.data;
  for (let i = 0; i < data.length; i += 3) {
    out[i] = red[data[i]!]!;
    out[i + 1] = green[data[i + 1]!]!;
    out[i + 2] = blue[data[i + 2]!]!;
  }
  return result;
}

/** How many pixels have each level, for one channel. */
function histogram(data: Uint8ClampedArray, channel: number): Uint32Array {
  const counts = new Uint32Array(256);
  for (let i = channel; i < data.length; i += 3) counts[data[i]!]!++;
  return counts;
}

function replaceByHistogram(image: Image, of: (counts: Uint32Array) => Levels): Image {
  const data = pixels(image);
  return replaceLevels(image, of(histogram(data, 0)), of(histogram(data, 1)), of(histogram(data, 2)));
}

const unchanged = levels((i) => i);

/** Each channel stretched so that its darkest level becomes 0 and its brightest 255. */
export function autoContrast(image: Image): Image {
  return replaceByHistogram(image, (counts) => {
    const low = counts.findIndex((count) => count > 0);
    const high = counts.findLastIndex((count) => count > 0);
    if (high <= low) return unchanged;
    const scale = 255 / (high - low);
    const offset = -low * scale;
    return levels((i) => i * scale + offset);
  });
}

/** Each channel's levels spread so that they are used about equally often. */
export function equalize(image: Image): Image {
  return replaceByHistogram(image, (counts) => {
    const total = counts.reduce((sum, count) => sum + count, 0);
    const last = counts[counts.findLastIndex((count) => count > 0)] ?? 0;
    const step = Math.floor((total - last) / 255);
    if (step === 0) return unchanged;
    let sum = Math.floor(step / 2);
    return levels((i) => {
      const level = Math.floor(sum / step);
      sum += counts[i] ?? 0;
      return level;
    });
  });
}

const inverted = levels((i) => 255 - i);

/** The negative. */
export const invert = (image: Image): Image => replaceLevels(image, inverted);

/** Only the highest bits of each level kept. @throws {ImageError} unless bits is a whole number from 1 to 8 */
export function posterize(image: Image, bits: number): Image {
  if (!(Number.isInteger(bits) && bits >= 1 && bits <= 8)) {
    throw new ImageError(`posterize keeps ${bits} bits`, 'expected a whole number from 1 to 8');
  }
  const mask = ~(2 ** (8 - bits) - 1);
  return replaceLevels(
    image,
    levels((i) => i & mask),
  );
}

/** Levels from the threshold on inverted. */
export const solarize = (image: Image, threshold: number = 128): Image =>
  replaceLevels(
    image,
    levels((i) => (i < threshold ? i : 255 - i)),
  );

/** A number added to every level, then solarised at 128 (SolarizeAdd of RandAugment). */
export const solarizeAdd = (image: Image, addition: number): Image =>
  replaceLevels(
    image,
    levels((i) => {
      const level = Math.trunc(Math.min(255, Math.max(0, i + addition)));
      return level < 128 ? level : 255 - level;
    }),
  );

/**
 * Between two levels at 0 (the first) and 1 (the second) or beyond, cut to 0..255 and rounded down, in the single
 * precision that Pillow's Image.blend uses.
 */
export function blendLevels(from: number, to: number, factor: number): number {
  const value = Math.fround(from + Math.fround(factor * (to - from)));
  return value <= 0 ? 0 : value >= 255 ? 255 : value | 0;
}

/** Every level moved away from or towards one flat level; 0 gives the flat level, 1 the image. */
export function blendWithLevel(image: Image, flat: number, factor: number): Image {
  const single = Math.fround(factor);
  return replaceLevels(
    image,
    levels((i) => blendLevels(flat, i, single)),
  );
}

/** Brightness by a factor: 0 is black, 1 the image (ImageEnhance.Brightness). */
export const adjustBrightness = (image: Image, factor: number): Image => blendWithLevel(image, 0, factor);
