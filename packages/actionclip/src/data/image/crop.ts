// Cropping, mirroring and the evaluation resize: operations that move whole pixels or choose which ones to keep.
import type { Image, Rectangle } from './image.ts';
import { blank, checkInside, checkSize, pixels } from './image.ts';
import type { ResampleFilter } from './resample.ts';
import { resize } from './resample.ts';

/** The pixels of a rectangle. @throws {ImageError} when it is empty or not inside the image */
export function crop(image: Image, part: Rectangle): Image {
  const data = pixels(image);
  checkInside('a crop', part, image.width, image.height);
  const result = blank(part.width, part.height);
  const row = part.width * 3;
  for (let y = 0; y < part.height; y++) {
    const begin = ((part.top + y) * image.width + part.left) * 3;
    result.data.set(data.subarray(begin, begin + row), y * row);
  }
  return result;
}

/**
 * Where torchvision's CenterCrop cuts: margins of half the rest, a half rounded to the even pixel.
 * The rectangle is not inside when the crop is larger than the image.
 */
export function centerRectangle(width: number, height: number, cropWidth: number, cropHeight: number): Rectangle {
  return {
    left: roundHalfToEven((width - cropWidth) / 2),
    top: roundHalfToEven((height - cropHeight) / 2),
    width: cropWidth,
    height: cropHeight,
  };
}

function roundHalfToEven(value: number): number {
  const below = Math.floor(value);
  const rest = value - below;
  if (rest === 0.5) return below % 2 === 0 ? below : below + 1;
  return rest < 0.5 ? below : below + 1;
}

/** The middle of an image. @throws {ImageError} when the crop is larger than the image */
export function centerCrop(image: Image, width: number, height: number = width): Image {
  return crop(image, centerRectangle(image.width, image.height, width, height));
}

/** The size with its shorter side as given and the longer one in proportion, rounded down (torchvision's Resize). */
export function shortSideSize(width: number, height: number, shortSide: number): { width: number; height: number } {
  const long = Math.trunc((shortSide * Math.max(width, height)) / Math.min(width, height));
  return width <= height ? { width: shortSide, height: long } : { width: long, height: shortSide };
}

/** The image resized so that its shorter side is as given (torchvision's Resize with one number). */
export function resizeShortSide(image: Image, shortSide: number, filter: ResampleFilter): Image {
  pixels(image); // sizes of 0 are reported before they are divided by
  const size = shortSideSize(image.width, image.height, shortSide);
  return resize(image, size.width, size.height, filter);
}

/**
 * `centerCrop(resizeShortSide(image, shortSide, filter), side)`, computing only the pixels that are kept.
 * @throws {ImageError} when side > shortSide
 */
export function resizeShortSideAndCenterCrop(
  image: Image,
  shortSide: number,
  side: number,
  filter: ResampleFilter,
): Image {
  pixels(image);
  checkSize('a crop', side, side);
  const { width, height } = shortSideSize(image.width, image.height, shortSide);
  return resize(image, width, height, filter, { window: centerRectangle(width, height, side, side) });
}

/** The image mirrored left to right. */
export function flipHorizontally(image: Image): Image {
  const data = pixels(image);
  const { width, height } = image;
  const result = blank(width, height);
  const out = result.data;
  for (let y = 0; y < height; y++) {
    let from = (y + 1) * width * 3 - 3;
    const end = (y + 1) * width * 3;
    for (let to = y * width * 3; to < end; to += 3, from -= 3) {
      out[to] = data[from]!;
      out[to + 1] = data[from + 1]!;
      out[to + 2] = data[from + 2]!;
    }
  }
  return result;
}
