// Multi-scale cropping with fixed positions (TSN, Wang et al. 2016), as in ActionCLIP's GroupMultiScaleCrop: one crop
// for all frames of a clip, resized to the input size.
import type { Rectangle } from '../image/image.ts';
import { ImageError } from '../image/image.ts';
import { resize } from '../image/resample.ts';
import type { ClipTransform } from './clip.ts';
import { referenceInputSize } from './rand-augment.ts';

/** Sides of the crop as parts of the frame's shorter side. */
export const cropScales = [1, 0.875, 0.75, 0.66] as const;

/** Scales of width and height may lie this many places apart in the list. */
const largestDistortion = 1;

/** A crop side this close to an input of 224 becomes the input size, which saves the resampling. */
const snapDistance = 3;

/** Positions as fourths of the room left: corners, centre, edge mid-points, inner quarters. */
export const cropPositions = [
  [0, 0],
  [4, 0],
  [0, 4],
  [4, 4],
  [2, 2],
  [0, 2],
  [4, 2],
  [2, 4],
  [2, 0],
  [1, 1],
  [3, 1],
  [1, 3],
  [3, 3],
] as const;

/**
 * The sizes that a crop may have: ten with the released scales. Sides near the input size snap to it (closer than 3 pixels at 224, and in
 * proportion at other input sizes), but never beyond the frame, where the released code would pad with black;
 * no side is below 1.
 */
export function cropSizes(
  width: number,
  height: number,
  inputSize: number,
  scales: readonly number[] = cropScales,
): readonly { readonly width: number; readonly height: number }[] {
  const base = Math.min(width, height);
  const near = (snapDistance * inputSize) / referenceInputSize;
  const sides = scales.map((scale) => {
    const side = Math.max(1, Math.trunc(base * scale));
    return inputSize <= base && Math.abs(side - inputSize) < near ? inputSize : side;
  });
  return sides.flatMap((cropHeight, i) =>
    sides
      .filter((_, j) => Math.abs(i - j) <= largestDistortion)
      .map((cropWidth) => ({ width: cropWidth, height: cropHeight })),
  );
}

/** The thirteen places where a crop of that size may lie; some coincide when there is little room. */
export function cropRectangles(
  width: number,
  height: number,
  cropWidth: number,
  cropHeight: number,
): readonly Rectangle[] {
  const stepX = Math.floor((width - cropWidth) / 4);
  const stepY = Math.floor((height - cropHeight) / 4);
  return cropPositions.map(([x, y]) => ({ left: x * stepX, top: y * stepY, width: cropWidth, height: cropHeight }));
}

/**
 * One of the sizes and one of thirteen positions, each equally likely and the same for all frames, resized to
 * inputSize x inputSize with Pillow's bilinear filter.
 * @param scales sides of the crop as parts of the frame's shorter side, largest first; the released four if absent
 * @throws {ImageError} when the frames of a clip differ in size, or a scale is not in (0, 1]
 */
export function multiScaleCrop(inputSize: number, scales: readonly number[] = cropScales): ClipTransform {
  if (scales.length === 0 || scales.some((scale) => !(scale > 0 && scale <= 1))) {
    throw new ImageError(`crop scales [${scales.join(', ')}]`, 'expected at least one number above 0 and at most 1');
  }
  return (clip, random) => {
    const [first] = clip;
    if (first === undefined) return clip;
    const size = random.choice(cropSizes(first.width, first.height, inputSize, scales));
    const source = random.choice(cropRectangles(first.width, first.height, size.width, size.height));
    return clip.map((frame, index) => {
      if (frame.width !== first.width || frame.height !== first.height) {
        throw new ImageError(
          `frame ${index} of the clip is ${frame.width} x ${frame.height} but frame 0 is ${first.width} x ${first.height}`,
          'expected one size in a clip, because all frames are cropped alike',
        );
      }
      return resize(frame, inputSize, inputSize, 'bilinear', { source });
    });
  };
}
