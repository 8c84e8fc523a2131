// Operations that look at the three channels of a pixel together: grayscale, saturation, contrast about the mean
// brightness, and hue (Pillow's ImageEnhance and Convert.c, torchvision's adjust_hue).
import type { Image } from './image.ts';
import { blank, ImageError, pixels } from './image.ts';
import { blendLevels, blendWithLevel } from './levels.ts';

/** The brightness of a pixel (ITU-R 601-2) in 16-bit fixed point, rounded. */
const luma = (red: number, green: number, blue: number): number =>
  (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16;

/** All three channels set to the brightness. */
export function grayscale(image: Image): Image {
  const data = pixels(image);
  const result = blank(image.width, image.height);
  const out = result.data;
  for (let i = 0; i < data.length; i += 3) {
    const gray = luma(data[i]!, data[i + 1]!, data[i + 2]!);
    out[i] = gray;
    out[i + 1] = gray;
    out[i + 2] = gray;
  }
  return result;
}

/** Saturation by a factor: 0 is grayscale, 1 the image (ImageEnhance.Color). */
export function adjustSaturation(image: Image, factor: number): Image {
  const data = pixels(image);
  const single = Math.fround(factor);
  const result = blank(image.width, image.height);
  const out = result.data;
  for (let i = 0; i < data.length; i += 3) {
    const gray = luma(data[i]!, data[i + 1]!, data[i + 2]!);
    out[i] = blendLevels(gray, data[i]!, single);
    out[i + 1] = blendLevels(gray, data[i + 1]!, single);
    out[i + 2] = blendLevels(gray, data[i + 2]!, single);
  }
  return result;
}

/** Contrast by a factor about the mean brightness of the image: 0 is flat grey, 1 the image (ImageEnhance.Contrast). */
export function adjustContrast(image: Image, factor: number): Image {
  const data = pixels(image);
  let sum = 0;
  for (let i = 0; i < data.length; i += 3) sum += luma(data[i]!, data[i + 1]!, data[i + 2]!);
  return blendWithLevel(image, Math.trunc(sum / (data.length / 3) + 0.5), factor);
}

/** For each 8-bit hue: the sixth of the circle, and how far into it, in single precision. */
const hueSector = Uint8Array.from({ length: 256 }, (_, hue) => Math.floor((hue * 6) / 255));
const hueFraction = Float32Array.from({ length: 256 }, (_, hue) => (hue * 6) / 255 - Math.floor((hue * 6) / 255));
const saturationFraction = Float32Array.from({ length: 256 }, (_, saturation) => saturation / 255);

/** Which of [value, falling, rising, low] each channel takes, by sixth of the circle; the seventh is hue 255. */
const sectorChannels = [
  [0, 2, 3],
  [1, 0, 3],
  [3, 0, 2],
  [3, 1, 0],
  [2, 3, 0],
  [0, 3, 1],
  [0, 2, 3],
] as const;
const sectorOrder = Uint8Array.from(sectorChannels.flat());

/**
 * The hue turned by a part of the circle, through 8-bit HSV as torchvision does with Pillow images.
 * @param factor from -0.5 to 0.5; 0 still passes through HSV
 * @throws {ImageError} outside that range
 */
export function adjustHue(image: Image, factor: number): Image {
  if (!(factor >= -0.5 && factor <= 0.5)) {
    throw new ImageError(`the hue is to be turned by ${factor} of the circle`, 'expected -0.5 to 0.5');
  }
  const data = pixels(image);
  const turn = Math.trunc(factor * 255) & 255;
  const result = blank(image.width, image.height);
  const out = result.data;
  const mixed = new Uint8Array(4);
  for (let i = 0; i < data.length; i += 3) {
    const red = data[i]!;
    const green = data[i + 1]!;
    const blue = data[i + 2]!;
    const value = red > green ? (red > blue ? red : blue) : green > blue ? green : blue;
    const range = value - (red < green ? (red < blue ? red : blue) : green < blue ? green : blue);
    // 8-bit saturation and hue, rounded to single precision and cut off where Convert.c does so.
    const saturation = range === 0 ? 0 : (Math.fround(range / value) * 255) | 0;
    if (saturation === 0) {
      out[i] = value;
      out[i + 1] = value;
      out[i + 2] = value;
      continue;
    }
    const hue = (hueOf(red, green, blue, value, range) + turn) & 255;
    const part = saturationFraction[saturation]!;
    const fraction = hueFraction[hue]!;
    mixed[0] = value;
    mixed[1] = (value * (1 - part * fraction) + 0.5) | 0;
    mixed[2] = (value * (1 - part * (1 - fraction)) + 0.5) | 0;
    mixed[3] = (value * (1 - part) + 0.5) | 0;
    const order = hueSector[hue]! * 3;
    out[i] = mixed[sectorOrder[order]!]!;
    out[i + 1] = mixed[sectorOrder[order + 1]!]!;
    out[i + 2] = mixed[sectorOrder[order + 2]!]!;
  }
  return result;
}

/** The hue of a pixel that is not grey, 0..255 for the whole circle. */
function hueOf(red: number, green: number, blue: number, value: number, range: number): number {
  // One of the three is the maximum, whose part is 0; what stands before the other two is its sixth of the circle.
  const sixths = Math.fround(
    red === value
      ? Math.fround((value - blue) / range) - Math.fround((value - green) / range)
      : green === value
        ? 2 + Math.fround((value - red) / range) - Math.fround((value - blue) / range)
        : 4 + Math.fround((value - green) / range) - Math.fround((value - red) / range),
  );
  const turns = sixths / 6 + 1; // in [5/6, 2): a negative hue is one turn below
  return (Math.fround(turns >= 1 ? turns - 1 : turns) * 255) | 0;
}
