// Filters over a neighbourhood: Pillow's Sharpness (a blend with a 3x3 smoothing) and its Gaussian blur, which is
// three box blurs of fractional width each way (Gwosdek et al., "Theoretical Foundations of Gaussian Convolution by
// Extended Box Filtering", 2011).
import type { Image } from './image.ts';
import { blank, ImageError, pixels } from './image.ts';
import { blendLevels } from './levels.ts';

const f = Math.fround;
const edgeWeight = f(1 / 13);
const centerWeight = f(5 / 13);

/**
 * Sharpness by a factor: 0 is smoothed, 1 the image, more is sharper (ImageEnhance.Sharpness). The border of one
 * pixel, and images smaller than 3x3, stay as they are. Sums are taken in single precision and Pillow's order.
 */
export function adjustSharpness(image: Image, factor: number): Image {
  const data = pixels(image);
  const { width, height } = image;
  const single = f(factor);
  const result = { width, height, data: data.slice() };
  const out = result.data;
  const row = width * 3;
  for (let y = 1; y < height - 1; y++) {
    for (let i = y * row + 3; i < (y + 1) * row - 3; i++) {
      const below = threeSum(data, i + row, edgeWeight);
      const middle = threeSum(data, i, centerWeight);
      const above = threeSum(data, i - row, edgeWeight);
      const smooth = f(f(f(0.5 + below) + middle) + above);
      out[i] = blendLevels(smooth >= 255 ? 255 : Math.trunc(smooth), data[i]!, single);
    }
  }
  return result;
}

const threeSum = (data: Uint8ClampedArray, i: number, weight: number): number =>
  f(f(f(data[i - 3]! * edgeWeight) + f(data[i]! * weight)) + f(data[i + 3]! * edgeWeight));

const passes = 3;

/** The width of the box, as a fractional radius, whose repetition has the deviation sigma; in single precision. */
function boxRadius(sigma: number): number {
  const variance = f(f(f(sigma) * f(sigma)) / passes);
  const length = f(Math.sqrt(12 * variance + 1));
  const whole = f(Math.floor((length - 1) / 2));
  const numerator = f((2 * whole + 1) * f(f(whole * (whole + 1)) - f(3 * variance)));
  const denominator = f(6 * f(variance - (whole + 1) * (whole + 1)));
  return f(whole + f(numerator / denominator));
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
  const weight = Math.trunc(f(16777216 / f(fractionalRadius * 2 + 1)));
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
