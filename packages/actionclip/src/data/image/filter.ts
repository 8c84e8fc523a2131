// Filters over a neighbourhood: Pillow's Sharpness (a blend with a 3x3 smoothing) and its Gaussian blur, which is
// three box blurs of fractional width each way (Gwosdek et al., "Theoretical Foundations of Gaussian Convolution by
// Extended Box Filtering", 2011).
import type { Image } from './image.ts';
import { blank, ImageError, pixels } from './image.ts';
import { blendLevels } from './levels.ts';

/** Each level times the weights 1/13 and 5/13 of the 3x3 smoothing, in single precision. */
const edgeProducts = Float32Array.from({ length: 256 }, (_, level) => level * Math.fround(1 / 13));
const centerProducts = Float32Array.from({ length: 256 }, (_, level) => level * Math.fround(5 / 13));

/**
 * Sharpness by a factor: 0 is smoothed, 1 the image, more is sharper (ImageEnhance.Sharpness). The border of one
 * pixel, and images smaller than 3x3, stay as they are. Sums are taken in single precision and Pillow's order.
 */
export function adjustSharpness(image: Image, factor: number): Image {
  const data = pixels(image);
  const { width, height } = image;
  const single = Math.fround(factor);
  const result = { width, height, data: data.slice() };
  const out = result.data;
  const row = width * 3;
  if (width < 3 || height < 3) return result;
  // The sums of three along a row that is the upper or the lower neighbour of another one; each is used twice.
  let above = edgeSums(data, 0, new Float32Array(row));
  let here = edgeSums(data, row, new Float32Array(row));
  let below = new Float32Array(row);
  for (let y = 1; y < height - 1; y++) {
    edgeSums(data, (y + 1) * row, below);
    for (let x = 3, i = y * row + 3; x < row - 3; x++, i++) {
      const level = data[i]!;
      const middle = Math.fround(
        Math.fround(edgeProducts[data[i - 3]!]! + centerProducts[level]!) + edgeProducts[data[i + 3]!]!,
      );
      const smooth = Math.fround(Math.fround(Math.fround(0.5 + below[x]!) + middle) + above[x]!);
      out[i] = blendLevels(smooth >= 255 ? 255 : smooth | 0, level, single);
    }
    [above, here, below] = [here, below, above];
  }
  return result;
}

/** Into `sums`, for the row from `begin` on: the weighted sum of each level and its two neighbours, but for the ends. */
function edgeSums(data: Uint8ClampedArray, begin: number, sums: Float32Array<ArrayBuffer>): Float32Array<ArrayBuffer> {
  for (let x = 3, i = begin + 3; x < sums.length - 3; x++, i++) {
    sums[x] = Math.fround(edgeProducts[data[i - 3]!]! + edgeProducts[data[i]!]!) + edgeProducts[data[i + 3]!]!;
  }
  return sums;
}

const passes = 3;

/** The width of the box, as a fractional radius, whose repetition has the deviation sigma; in single precision. */
function boxRadius(sigma: number): number {
  const variance = Math.fround(Math.fround(Math.fround(sigma) * Math.fround(sigma)) / passes);
  const length = Math.fround(Math.sqrt(12 * variance + 1));
  const whole = Math.fround(Math.floor((length - 1) / 2));
  const numerator = Math.fround(
    (2 * whole + 1) * Math.fround(Math.fround(whole * (whole + 1)) - Math.fround(3 * variance)),
  );
  const denominator = Math.fround(6 * Math.fround(variance - (whole + 1) * (whole + 1)));
  return Math.fround(whole + Math.fround(numerator / denominator));
}

/** Gaussian blur with the given deviation in pixels (ImageFilter.GaussianBlur). @throws {ImageError} below 0 */
export function gaussianBlur(image: Image, sigma: number): Image {
  if (!(sigma >= 0 && Number.isFinite(sigma))) {
    throw new ImageError(`a Gaussian blur has the radius ${sigma}`, 'expected a number of pixels from 0 on');
  }
  const data = pixels(image);
  const { width, height } = image;
  const result = blank(width, height);
  result.data.set(data);
  const radius = boxRadius(sigma);
  if (radius === 0) return result;
  const line = new Uint8Array(Math.max(width, height));
  for (let channel = 0; channel < 3; channel++) {
    for (let y = 0; y < height; y++) blurLine(result.data, y * width * 3 + channel, 3, width, radius, line);
    for (let x = 0; x < width; x++) blurLine(result.data, x * 3 + channel, width * 3, height, radius, line);
  }
  return result;
}

/**
 * The box blur of one channel of one line, in place, `passes` times: whole pixels inside the radius have one weight
 * and the two at its ends a smaller one, in 24-bit fixed point; outside the line the end pixels repeat.
 */
function blurLine(
  data: Uint8ClampedArray,
  begin: number,
  stride: number,
  length: number,
  fractionalRadius: number,
  line: Uint8Array,
): void {
  const radius = Math.trunc(fractionalRadius);
  const weight = Math.trunc(Math.fround(16777216 / Math.fround(fractionalRadius * 2 + 1)));
  const endWeight = Math.trunc((16777216 - (radius * 2 + 1) * weight) / 2);
  const last = length - 1;
  for (let pass = 0; pass < passes; pass++) {
    for (let x = 0; x < length; x++) line[x] = data[begin + x * stride]!;
    const left = line[0]!;
    const right = line[last]!;
    let sum = left * (radius + 1); // the window around x = -1
    for (let x = 0; x < radius; x++) sum += x < last ? line[x]! : right;
    for (let x = 0; x < length; x++) {
      const leaving = x - radius - 1 > 0 ? line[x - radius - 1]! : left;
      sum += (x + radius < last ? line[x + radius]! : right) - leaving;
      const ends = leaving + (x + radius + 1 < last ? line[x + radius + 1]! : right);
      // At most 255 * 2^24 + 2^23, below 2^32.
      data[begin + x * stride] = (sum * weight + ends * endWeight + 8388608) >>> 24;
    }
  }
}
