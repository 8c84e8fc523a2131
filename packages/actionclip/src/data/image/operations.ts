// The table of image operations by name, each with one number: RandAugment's sixteen (pytorch-randaugment's names)
// and those of the rest of the augmentation chain (torchvision's ColorJitter, Grayscale, blur, mirroring).
import type { RelativePoint } from './affine.ts';
import { cutout, rotate, shearX, shearY, translateX, translateY } from './affine.ts';
import { adjustContrast, adjustHue, adjustSaturation, grayscale } from './colour.ts';
import { flipHorizontally } from './crop.ts';
import { adjustSharpness, gaussianBlur } from './filter.ts';
import type { Image } from './image.ts';
import { adjustBrightness, autoContrast, equalize, invert, posterize, solarize, solarizeAdd } from './levels.ts';

/**
 * An operation on one image. `value` is its strength (degrees, pixels, bits, level or factor; not read where there is
 * none), `at` the place of the one that has a place (CutoutAbs), the middle when left out.
 */
export type ImageOperation = (image: Image, value: number, at?: RelativePoint) => Image;

/** The sixteen operations of RandAugment. */
export type RandAugmentName =
  | 'AutoContrast'
  | 'Equalize'
  | 'Invert'
  | 'Rotate'
  | 'Posterize'
  | 'Solarize'
  | 'SolarizeAdd'
  | 'Color'
  | 'Contrast'
  | 'Brightness'
  | 'Sharpness'
  | 'ShearX'
  | 'ShearY'
  | 'CutoutAbs'
  | 'TranslateXabs'
  | 'TranslateYabs';

/** The name of an operation in the table. */
export type ImageOperationName =
  | RandAugmentName
  | 'JitterBrightness'
  | 'JitterContrast'
  | 'JitterSaturation'
  | 'JitterHue'
  | 'Grayscale'
  | 'GaussianBlur'
  | 'HorizontalFlip';

export const imageOperations: Readonly<Record<ImageOperationName, ImageOperation>> = {
  AutoContrast: autoContrast,
  Equalize: equalize,
  Invert: invert,
  Rotate: rotate,
  Posterize: posterize,
  Solarize: solarize,
  SolarizeAdd: solarizeAdd,
  Color: adjustSaturation,
  Contrast: adjustContrast,
  Brightness: adjustBrightness,
  Sharpness: adjustSharpness,
  ShearX: shearX,
  ShearY: shearY,
  CutoutAbs: cutout,
  TranslateXabs: translateX,
  TranslateYabs: translateY,
  JitterBrightness: adjustBrightness,
  JitterContrast: adjustContrast,
  JitterSaturation: adjustSaturation,
  JitterHue: adjustHue,
  Grayscale: grayscale,
  GaussianBlur: gaussianBlur,
  HorizontalFlip: flipHorizontally,
};

/** One operation with its number and place decided: what a random choice comes to. */
export interface DecidedOperation {
  readonly name: ImageOperationName;
  readonly value: number;
  readonly at?: RelativePoint;
}

/** The operations applied one after the other. */
export function applyOperations(image: Image, operations: readonly DecidedOperation[]): Image {
  let result = image;
  for (const { name, value, at } of operations) {
    result = imageOperations[name](result, value, at);
  }
  return result;
}
