// RandAugment (Cubuk et al., 2019) as ActionCLIP uses it, through pytorch-randaugment: N operations drawn with
// replacement from sixteen, all of one magnitude M between 0 and 30.
import { ImageError } from '../image/image.ts';
import type { DecidedOperation, RandAugmentName } from '../image/operations.ts';
import { applyOperations } from '../image/operations.ts';
import type { Random } from '../random.ts';
import type { ClipTransform } from './clip.ts';

/** One operation's range: its value is `minimum` at magnitude 0 and `maximum` at 30. */
export interface RandAugmentRange {
  readonly name: RandAugmentName;
  readonly minimum: number;
  readonly maximum: number;
  /** The value's sign is drawn, either with probability 1/2. */
  readonly signed?: true;
  /** The value is a length in pixels, meant for an input of 224 pixels. */
  readonly pixels?: true;
  /** The value is a whole number, cut off, and at least 1. */
  readonly whole?: true;
}

/** The magnitude at which an operation's value is its maximum. */
export const maximumMagnitude = 30;

/** The input size for which lengths in pixels were chosen. */
export const referenceInputSize = 224;

/** The sixteen operations and their ranges. */
export const randAugmentRanges: readonly RandAugmentRange[] = [
  { name: 'AutoContrast', minimum: 0, maximum: 1 },
  { name: 'Equalize', minimum: 0, maximum: 1 },
  { name: 'Invert', minimum: 0, maximum: 1 },
  { name: 'Rotate', minimum: 0, maximum: 30, signed: true },
  { name: 'Posterize', minimum: 0, maximum: 4, whole: true },
  { name: 'Solarize', minimum: 0, maximum: 256 },
  { name: 'SolarizeAdd', minimum: 0, maximum: 110 },
  { name: 'Color', minimum: 0.1, maximum: 1.9 },
  { name: 'Contrast', minimum: 0.1, maximum: 1.9 },
  { name: 'Brightness', minimum: 0.1, maximum: 1.9 },
  { name: 'Sharpness', minimum: 0.1, maximum: 1.9 },
  { name: 'ShearX', minimum: 0, maximum: 0.3, signed: true },
  { name: 'ShearY', minimum: 0, maximum: 0.3, signed: true },
  { name: 'CutoutAbs', minimum: 0, maximum: 40, pixels: true },
  { name: 'TranslateXabs', minimum: 0, maximum: 100, signed: true, pixels: true },
  { name: 'TranslateYabs', minimum: 0, maximum: 100, signed: true, pixels: true },
];

/** The value (without its sign) of an operation at a magnitude, for an input of `inputSize` pixels. */
export function randAugmentValue(
  range: RandAugmentRange,
  magnitude: number,
  inputSize: number = referenceInputSize,
): number {
  const value = (magnitude / maximumMagnitude) * (range.maximum - range.minimum) + range.minimum;
  if (range.whole) return Math.max(1, Math.trunc(value));
  return range.pixels ? (value * inputSize) / referenceInputSize : value;
}

export interface RandAugmentOptions {
  /** N: how many operations follow each other; 0 for none. */
  readonly operations: number;
  /** M: from 0 to 30. */
  readonly magnitude: number;
  /** Lengths in pixels (cutout, translations) are scaled by this over 224, the size they were chosen for. */
  readonly inputSize?: number;
  /** `frame` (the released code) draws anew for every frame, `clip` once for all of them. */
  readonly per?: 'frame' | 'clip';
}

/**
 * RandAugment on the frames as they come, before any crop.
 * @throws {ImageError} for a number of operations or a magnitude out of range
 */
export function randAugment(options: RandAugmentOptions): ClipTransform {
  const { operations, magnitude, inputSize = referenceInputSize, per = 'frame' } = options;
  if (!(Number.isInteger(operations) && operations >= 0)) {
    throw new ImageError(`RandAugment has N = ${operations}`, 'expected a whole number of operations, 0 for none');
  }
  if (!(magnitude >= 0 && magnitude <= maximumMagnitude)) {
    throw new ImageError(`RandAugment has M = ${magnitude}`, `expected a magnitude from 0 to ${maximumMagnitude}`);
  }
  const decideOne = (random: Random): DecidedOperation => {
    const range = random.choice(randAugmentRanges);
    const value = randAugmentValue(range, magnitude, inputSize);
    const sign = range.signed && random.chance(0.5) ? -1 : 1;
    return { name: range.name, value: sign * value, at: { x: random.uniform(), y: random.uniform() } };
  };
  const decide = (random: Random) => Array.from({ length: operations }, () => decideOne(random));
  return (clip, random) => {
    if (per === 'frame') return clip.map((frame) => applyOperations(frame, decide(random)));
    const decided = decide(random);
    return clip.map((frame) => applyOperations(frame, decided));
  };
}
