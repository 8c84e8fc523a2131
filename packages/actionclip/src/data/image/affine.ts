// Affine maps with nearest-neighbour sampling and black outside, as Pillow's Image.transform and Image.rotate
// (libImaging/Geometry.c), and the rectangle that CutoutAbs paints.
import type { Image } from './image.ts';
import { blank, pixels } from './image.ts';

/** The source point of an output point: x' = a x + b y + c, y' = d x + e y + f, in pixels from the top left corner. */
export type AffineMap = readonly [a: number, b: number, c: number, d: number, e: number, f: number];

/** Nearest-neighbour sampling at pixel centres; output pixels whose source lies outside are black. */
export function affine(image: Image, map: AffineMap): Image {
  const data = pixels(image);
  const { width, height } = image;
  const result = blank(width, height);
  const out = result.data;
  const [a, b, c, d, e, f] = map;
  // Pillow steps through sheared and rotated images in 16.16 fixed point where that can hold all four corners, and
  // through others in floating point. Multiples of 2^-16 add up exactly here, so one loop serves both.
  const fix = isFixedPoint(map, width, height) ? (v: number) => Math.floor(v * 65536 + 0.5) / 65536 : (v: number) => v;
  const [stepX, stepY, rowX, rowY] = [fix(a), fix(d), fix(b), fix(e)];
  let startX = fix(c + a * 0.5 + b * 0.5);
  let startY = fix(f + d * 0.5 + e * 0.5);
  let o = 0;
  for (let y = 0; y < height; y++) {
    let sourceX = startX;
    let sourceY = startY;
    for (let x = 0; x < width; x++) {
      if (sourceX >= 0 && sourceX < width && sourceY >= 0 && sourceY < height) {
        const i = ((sourceY | 0) * width + (sourceX | 0)) * 3;
        out[o] = data[i]!;
        out[o + 1] = data[i + 1]!;
        out[o + 2] = data[i + 2]!;
      }
      o += 3;
      sourceX += stepX;
      sourceY += stepY;
    }
    startX += rowX;
    startY += rowY;
  }
  return result;
}

function isFixedPoint([a, b, c, d, e, f]: AffineMap, width: number, height: number): boolean {
  if (b === 0 && d === 0) return false;
  return [0, width].every((x) =>
    [0, height].every((y) => Math.abs(x * a + y * b + c) < 32768 && Math.abs(x * d + y * e + f) < 32768),
  );
}

/** The image turned about its centre, counter-clockwise in degrees; the size stays. */
export function rotate(image: Image, degrees: number): Image {
  const turn = ((degrees % 360) + 360) % 360;
  const angle = -turn * (Math.PI / 180);
  // Rounding to 15 digits makes quarter turns exact.
  const cos = Number(Math.cos(angle).toFixed(15));
  const sin = Number(Math.sin(angle).toFixed(15));
  const centerX = image.width / 2;
  const centerY = image.height / 2;
  const c = cos * -centerX + sin * -centerY + centerX;
  const f = -sin * -centerX + cos * -centerY + centerY;
  return affine(image, [cos, sin, c, -sin, cos, f]);
}

/** Rows shifted in proportion to y: the source of (x, y) is (x + amount y, y). */
export const shearX = (image: Image, amount: number): Image => affine(image, [1, amount, 0, 0, 1, 0]);

/** Columns shifted in proportion to x: the source of (x, y) is (x, y + amount x). */
export const shearY = (image: Image, amount: number): Image => affine(image, [1, 0, 0, amount, 1, 0]);

/** The image moved left by a number of pixels (right when negative). */
export const translateX = (image: Image, distance: number): Image => affine(image, [1, 0, distance, 0, 1, 0]);

/** The image moved up by a number of pixels (down when negative). */
export const translateY = (image: Image, distance: number): Image => affine(image, [1, 0, 0, 0, 1, distance]);

/** A point as fractions of the width and the height, each in [0, 1]. */
export interface RelativePoint {
  readonly x: number;
  readonly y: number;
}

const cutoutColor = [125, 123, 114] as const;

/**
 * A square of the mean colour, `size` pixels wide, around a point (CutoutAbs of pytorch-randaugment): the point lies
 * between pixel coordinate 1 and the far side, and the far edge is painted too, as Pillow's rectangles are.
 */
export function cutout(image: Image, size: number, at: RelativePoint = { x: 0.5, y: 0.5 }): Image {
  const data = pixels(image);
  const { width, height } = image;
  const result = { width, height, data: data.slice() };
  if (size < 0) return result;
  const left = Math.trunc(Math.max(0, 1 + at.x * (width - 1) - size / 2));
  const top = Math.trunc(Math.max(0, 1 + at.y * (height - 1) - size / 2));
  const right = Math.min(width - 1, Math.trunc(left + size));
  const bottom = Math.min(height - 1, Math.trunc(top + size));
  for (let y = top; y <= bottom; y++) {
    for (let x = left; x <= right; x++) result.data.set(cutoutColor, (y * width + x) * 3);
  }
  return result;
}
