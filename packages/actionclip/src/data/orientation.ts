/** Turning stored frames upright: the quarter turns and mirrorings of a container's display matrix. */

import { DataError } from './errors.ts';
import type { Image } from './image/image.ts';

/** A stored pixel (x, y) is shown at (a x + c y, b x + d y), shifted into view; all four are -1, 0 or 1. */
export interface Orientation {
  readonly a: number;
  readonly b: number;
  readonly c: number;
  readonly d: number;
}

/**
 * The orientation in a display matrix: nine integers, row by row, of which the first two of the first two rows
 * are the rotation and scale in 16.16 fixed point (libavutil's display.h; ISO/IEC 14496-12, 6.2.2).
 * @throws DataError for a turn that is no multiple of 90 degrees
 */
export function orientationOf(matrix: ArrayLike<number>, file: string): Orientation | undefined {
  const [a, b, c, d] = [matrix[0] ?? 0, matrix[1] ?? 0, matrix[3] ?? 0, matrix[4] ?? 0];
  const largest = Math.max(Math.abs(a), Math.abs(b), Math.abs(c), Math.abs(d));
  if (largest === 0) return undefined;
  // scale is left aside: a frame keeps its stored pixels
  const [ra, rb, rc, rd] = [a, b, c, d].map((value) => Math.round(value / largest) + 0) as [
    number,
    number,
    number,
    number,
  ];
  const quarterTurn = Math.abs(ra * rd - rb * rc) === 1 && ra * rb === 0 && rc * rd === 0;
  if (!quarterTurn) {
    const degrees = Math.round((Math.atan2(b, a) * 180) / Math.PI);
    throw new DataError(
      `${file}: the display matrix turns the picture by ${degrees} degrees`,
      'only multiples of 90 degrees can be shown; re-encode the video',
    );
  }
  return ra === 1 && rd === 1 ? undefined : { a: ra, b: rb, c: rc, d: rd };
}

/** Orientations by the clockwise turn in degrees, as containers are read in a browser. */
const turns: Readonly<Record<number, Orientation>> = {
  0: { a: 1, b: 0, c: 0, d: 1 },
  90: { a: 0, b: 1, c: -1, d: 0 },
  180: { a: -1, b: 0, c: 0, d: -1 },
  270: { a: 0, b: -1, c: 1, d: 0 },
};

/** The orientation of a clockwise turn by `degrees` (0, 90, 180 or 270), mirrored left to right afterwards or not. */
export function orientationOfTurn(degrees: number, mirrored: boolean): Orientation | undefined {
  const turn = turns[degrees];
  if (turn === undefined || (degrees === 0 && !mirrored)) return undefined;
  return mirrored ? { a: 0 - turn.a, b: turn.b, c: 0 - turn.c, d: turn.d } : turn;
}

/** The image as it is to be shown. Without an orientation it is the same object. */
export function upright(image: Image, orientation: Orientation | undefined): Image {
  if (orientation === undefined) return image;
  const { a, b, c, d } = orientation;
  const { width, height, data } = image;
  const swapped = a === 0;
  const shownWidth = swapped ? height : width;
  const shownHeight = swapped ? width : height;
  const left = a + c < 0 ? shownWidth - 1 : 0;
  const top = b + d < 0 ? shownHeight - 1 : 0;
  const shown = new Uint8Array(data.length);
  let from = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++, from += 3) {
      const to = 3 * ((b * x + d * y + top) * shownWidth + a * x + c * y + left);
      shown[to] = data[from] as number;
      shown[to + 1] = data[from + 1] as number;
      shown[to + 2] = data[from + 2] as number;
    }
  }
  return { width: shownWidth, height: shownHeight, data: shown };
}
