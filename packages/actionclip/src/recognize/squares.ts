/** Frames as the model sees them: squares of its input size, cut as in evaluation or three along the longer side. */

import { evaluationFrame, evaluationShortSide } from '../data/augment/pipelines.ts';
import { crop, resizeShortSide } from '../data/image/crop.ts';
import type { Image } from '../data/image/image.ts';

/** One frame to its squares, each S x S. */
export type Squares = (frame: Image) => readonly Image[];

/**
 * The squares of a frame.
 * @param shortSide Shorter side before the centre crop; as released if absent. Three crops resize it to S.
 */
export function squaresOf(crops: 1 | 3, inputSize: number, shortSide = evaluationShortSide(inputSize)): Squares {
  if (crops === 1) {
    const centre = evaluationFrame(inputSize, shortSide);
    return (frame) => [centre(frame)];
  }
  return (frame) => {
    const resized = resizeShortSide(frame, inputSize, 'bicubic');
    const rest = { left: resized.width - inputSize, top: resized.height - inputSize };
    return [0, 0.5, 1].map((part) =>
      crop(resized, {
        left: Math.round(rest.left * part),
        top: Math.round(rest.top * part),
        width: inputSize,
        height: inputSize,
      }),
    );
  };
}
