// Antialiased resizing in two passes with 22-bit fixed-point weights, bit for bit as Pillow's Image.resize
// (libImaging/Resample.c): the filter is stretched when shrinking, and weights cut off at the border are dropped.
import type { Image, Rectangle } from './image.ts';
import { blank, checkInside, checkSize, pixels } from './image.ts';

/** How a pixel is interpolated: a triangle, or Keys' cubic with a = -0.5. */
export type ResampleFilter = 'bilinear' | 'bicubic';

interface Kernel {
  /** Half the width, in source pixels when not shrinking. */
  readonly support: number;
  readonly weight: (distance: number) => number;
}

const kernels: Record<ResampleFilter, Kernel> = {
  bilinear: {
    support: 1,
    weight: (distance) => Math.max(0, 1 - Math.abs(distance)),
  },
  bicubic: {
    support: 2,
    weight: (distance) => {
      const x = Math.abs(distance);
      if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
      return x < 2 ? (((x - 5) * x + 8) * x - 4) * -0.5 : 0;
    },
  },
};

/** For each output sample of one axis: the first source sample, how many, and their weights times 2^22. */
interface Taps {
  readonly first: Int32Array;
  readonly count: Int32Array;
  readonly weights: Int32Array; // [outputs, stride]
  readonly stride: number;
}

// 8 bits of result and 2 of headroom for sums above 1 and below 0 are left of 32.
const precisionBits = 32 - 8 - 2;
const half = 1 << (precisionBits - 1);

/** Recently used tables; multi-scale crops of data with many frame sizes would otherwise fill the memory. */
const cache = new Map<string, Taps>();
const cacheLimit = 512;

function tapsOf(filter: ResampleFilter, inputs: number, outputs: number): Taps {
  const key = `${filter} ${inputs} ${outputs}`;
  const known = cache.get(key);
  if (known !== undefined) return known;
  if (cache.size >= cacheLimit) cache.clear();
  const made = computeTaps(kernels[filter], inputs, outputs);
  cache.set(key, made);
  return made;
}

function computeTaps({ support, weight }: Kernel, inputs: number, outputs: number): Taps {
  const scale = inputs / outputs;
  const stretch = Math.max(scale, 1);
  const radius = support * stretch;
  const stride = Math.ceil(radius) * 2 + 1;
  const first = new Int32Array(outputs);
  const count = new Int32Array(outputs);
  const weights = new Int32Array(outputs * stride);
  const exact = new Float64Array(stride);
  for (let output = 0; output < outputs; output++) {
    const center = (output + 0.5) * scale;
    const begin = Math.max(0, Math.trunc(center - radius + 0.5));
    const length = Math.min(inputs, Math.trunc(center + radius + 0.5)) - begin;
    let sum = 0;
    for (let k = 0; k < length; k++) {
      const w = weight((k + begin - center + 0.5) * (1 / stretch));
      exact[k] = w;
      sum += w;
    }
    for (let k = 0; k < length; k++) {
      const w = sum === 0 ? exact[k]! : exact[k]! / sum;
      weights[output * stride + k] = Math.trunc(w * (1 << precisionBits) + (w < 0 ? -0.5 : 0.5));
    }
    first[output] = begin;
    count[output] = length;
  }
  return { first, count, weights, stride };
}

/** Parts to work on, so that a crop before or after a resize costs nothing and changes no value. */
export interface ResizeParts {
  /** The part of the image to resize, as if it had been cropped first; the whole image when left out. */
  readonly source?: Rectangle;
  /** The part of the result to compute, as if it had been cropped afterwards; all of it when left out. */
  readonly window?: Rectangle;
}

/**
 * The image (or its part `source`) resized to width x height, of which `window` is returned.
 * Equal to Pillow 9.4's `crop(source).resize((width, height), filter).crop(window)`.
 * @throws {ImageError} for an empty size, or a part that is not inside
 */
export function resize(
  image: Image,
  width: number,
  height: number,
  filter: ResampleFilter,
  parts: ResizeParts = {},
): Image {
  const data = pixels(image);
  checkSize('the result of a resize', width, height);
  const source = parts.source ?? { left: 0, top: 0, width: image.width, height: image.height };
  const window = parts.window ?? { left: 0, top: 0, width, height };
  checkInside('the part to resize', source, image.width, image.height);
  checkInside('the window of a resize', window, width, height);

  const rows = tapsOf(filter, source.height, height);
  const lastRow = window.top + window.height - 1;
  const rowBegin = rows.first[window.top]!;
  const rowEnd = rows.first[lastRow]! + rows.count[lastRow]!;

  // Rows that the second pass reads, at their final width: [rowEnd - rowBegin, window.width, 3].
  const narrow = blank(window.width, rowEnd - rowBegin);
  const top = source.top + rowBegin;
  if (source.width === width) {
    copyPart(data, image.width, source.left + window.left, top, narrow);
  } else {
    resizeRows(data, image.width, source.left, top, tapsOf(filter, source.width, width), window.left, narrow);
  }
  // Only the window's rows were made when the height stays, so there is nothing left to do.
  if (source.height === height) return cutRows(narrow, window.top - rowBegin, window.height);
  const result = blank(window.width, window.height);
  resizeColumns(narrow, rowBegin, rows, window.top, result);
  return result;
}

type Target = ReturnType<typeof blank>;

function copyPart(data: Uint8ClampedArray, width: number, left: number, top: number, target: Target): void {
  for (let y = 0; y < target.height; y++) {
    const begin = ((top + y) * width + left) * 3;
    target.data.set(data.subarray(begin, begin + target.width * 3), y * target.width * 3);
  }
}

function cutRows(image: Target, top: number, height: number): Image {
  if (top === 0 && height === image.height) return image;
  const row = image.width * 3;
  return { width: image.width, height, data: image.data.slice(top * row, (top + height) * row) };
}

/** First pass: every row of the target from the row of `data` that starts at (left, top + y). */
function resizeRows(
  data: Uint8ClampedArray,
  width: number,
  left: number,
  top: number,
  taps: Taps,
  windowLeft: number,
  target: Target,
): void {
  const { first, count, weights, stride } = taps;
  const out = target.data;
  let o = 0;
  for (let y = 0; y < target.height; y++) {
    const row = ((top + y) * width + left) * 3;
    for (let x = windowLeft; x < windowLeft + target.width; x++) {
      let red = half;
      let green = half;
      let blue = half;
      let i = row + first[x]! * 3;
      const begin = x * stride;
      const end = begin + count[x]!;
      for (let k = begin; k < end; k++, i += 3) {
        const w = weights[k]!;
        red = (red + Math.imul(data[i]!, w)) | 0;
        green = (green + Math.imul(data[i + 1]!, w)) | 0;
        blue = (blue + Math.imul(data[i + 2]!, w)) | 0;
      }
      out[o] = red >> precisionBits; // clamped to 0..255 by the array
      out[o + 1] = green >> precisionBits;
      out[o + 2] = blue >> precisionBits;
      o += 3;
    }
  }
}

/** Second pass: whole rows are added with their weights, which reads the memory in order. */
function resizeColumns(image: Target, rowBegin: number, taps: Taps, windowTop: number, target: Target): void {
  const { first, count, weights, stride } = taps;
  const row = image.width * 3;
  const sums = new Int32Array(row);
  const data = image.data;
  const out = target.data;
  for (let y = 0; y < target.height; y++) {
    const output = y + windowTop;
    sums.fill(half);
    for (let k = 0; k < count[output]!; k++) {
      const w = weights[output * stride + k]!;
      const begin = (first[output]! - rowBegin + k) * row;
      for (let i = 0; i < row; i++) sums[i] = sums[i]! + Math.imul(data[begin + i]!, w);
    }
    const begin = y * row;
    for (let i = 0; i < row; i++) out[begin + i] = sums[i]! >> precisionBits;
  }
}
