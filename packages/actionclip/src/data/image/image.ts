// An image in memory: 8-bit RGB, interleaved, rows from the top. All image operations take it and make another one.

/** 8-bit RGB pixels: `data[(y * width + x) * 3 + channel]`, `data.length === width * height * 3`. */
export interface Image {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8ClampedArray | Uint8Array;
}

/** A part of an image, in whole pixels. */
export interface Rectangle {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** Thrown for an image or a request that makes no sense; the message says what was found and what was expected. */
export class ImageError extends Error {
  override readonly name = 'ImageError';
  readonly hint: string;

  constructor(problem: string, hint: string) {
    super(`${problem}; ${hint}`);
    this.hint = hint;
  }
}

/**
 * The pixels of an image as one kind of array, a view without a copy, so that the loops over them are compiled once.
 * @throws {ImageError} for a size that is not positive and whole, or a buffer of another length
 */
export function pixels(image: Image): Uint8ClampedArray {
  const { width, height, data } = image;
  checkSize('an image', width, height);
  if (data.length !== width * height * 3) {
    throw new ImageError(
      `an image of ${width} x ${height} has a buffer of ${data.length} bytes`,
      `expected ${width * height * 3} (width x height x 3, RGB without alpha)`,
    );
  }
  return data instanceof Uint8ClampedArray ? data : new Uint8ClampedArray(data.buffer, data.byteOffset, data.length);
}

/** @throws {ImageError} unless both sides are positive whole numbers */
export function checkSize(what: string, width: number, height: number): void {
  if (!(Number.isInteger(width) && Number.isInteger(height) && width > 0 && height > 0)) {
    throw new ImageError(`${what} has the size ${width} x ${height}`, 'expected at least one whole pixel each way');
  }
}

/** @throws {ImageError} unless the rectangle has pixels and lies inside width x height */
export function checkInside(what: string, part: Rectangle, width: number, height: number): void {
  const { left, top } = part;
  checkSize(what, part.width, part.height);
  const whole = Number.isInteger(left) && Number.isInteger(top);
  if (!whole || left < 0 || top < 0 || left + part.width > width || top + part.height > height) {
    throw new ImageError(
      `${what} of ${part.width} x ${part.height} at (${left}, ${top}) does not lie inside ${width} x ${height}`,
      'expected whole coordinates within the image; make it smaller or resize the image first',
    );
  }
}

/** A black image to write into. */
export function blank(width: number, height: number): { width: number; height: number; data: Uint8ClampedArray } {
  return { width, height, data: new Uint8ClampedArray(width * height * 3) };
}
