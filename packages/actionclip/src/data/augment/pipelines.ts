// The two chains of ActionCLIP from decoded frames to planar bytes: the augmentations of training and the fixed crop
// of evaluation (datasets/transforms_ss.py and utils/Augmentation.py of the released code).
import { grayscale } from '../image/colour.ts';
import { flipHorizontally, resizeShortSideAndCenterCrop } from '../image/crop.ts';
import { checkSize, type Image } from '../image/image.ts';
import { solarize } from '../image/levels.ts';
import type { ClipPipeline } from './clip.ts';
import { compose, everyFrame, stackFrames, withChance } from './clip.ts';
import type { ColourJitterAmounts } from './colour-jitter.ts';
import { colourJitter, colourJitterAmounts, randomBlur } from './colour-jitter.ts';
import { multiScaleCrop } from './multi-scale-crop.ts';
import type { RandAugmentOptions } from './rand-augment.ts';
import { randAugment, referenceInputSize } from './rand-augment.ts';

/** What the training chain does; every default is the released code's. */
export interface TrainingPipelineOptions {
  /** S: the side of the model's square input, in pixels. */
  readonly inputSize: number;
  /** Sides of the random crop as parts of the frame's shorter side, largest first. */
  readonly cropScales?: readonly number[];
  /** RandAugment's N and M; none when left out. */
  readonly randAugment?: Omit<RandAugmentOptions, 'inputSize'>;
  /** Probability of mirroring the clip. See `flipChance`. */
  readonly flip?: number;
  readonly colourJitter?: number;
  readonly colourJitterAmounts?: ColourJitterAmounts;
  readonly grayscale?: number;
  readonly blur?: number;
  readonly solarize?: number;
}

/** Probabilities with which a clip undergoes each step. */
export const trainingChances = { flip: 0.5, colourJitter: 0.8, grayscale: 0.2, blur: 0, solarize: 0 } as const;

/**
 * The probability of mirroring for a data set: 0 when its name contains "some" (Something-Something's classes tell
 * left from right), else 1/2.
 */
export const flipChance = (dataset: string): number =>
  dataset.toLowerCase().includes('some') ? 0 : trainingChances.flip;

/** Bounds of the blur's deviation in pixels at an input of 224; in proportion at other input sizes. */
const blurBounds = [0.1, 2] as const;

/**
 * The training chain: RandAugment on full frames, multi-scale crop to S x S, mirroring, colour jitter, grayscale,
 * blur, solarisation. Lengths in pixels that the released code chose for an input of 224 (RandAugment's cutout and
 * translations, the snapping of crop sizes, the blur) are scaled by S / 224, so that a small model sees the same
 * augmentations on small frames.
 * @returns frames of one size to bytes [T, 3, S, S]; equal streams give equal bytes
 * @throws {ImageError} for a size or an option that makes no sense
 */
export function trainingPipeline(options: TrainingPipelineOptions): ClipPipeline {
  const { inputSize } = options;
  checkSize("the model's input", inputSize, inputSize);
  const scale = inputSize / referenceInputSize;
  const chance = { ...trainingChances, ...options };
  const transform = compose(
    randAugment({ operations: 0, magnitude: 0, ...options.randAugment, inputSize }),
    multiScaleCrop(inputSize, options.cropScales),
    withChance(chance.flip, everyFrame(flipHorizontally)),
    withChance(chance.colourJitter, colourJitter(options.colourJitterAmounts ?? colourJitterAmounts)),
    withChance(chance.grayscale, everyFrame(grayscale)),
    withChance(chance.blur, randomBlur(blurBounds[0] * scale, blurBounds[1] * scale)),
    withChance(
      chance.solarize,
      everyFrame((frame) => solarize(frame)),
    ),
  );
  return (clip, random) => stackFrames(transform(clip, random), inputSize);
}

/** The shorter side before the centre crop: the input size times 256 / 224, rounded down. */
export const evaluationShortSide = (inputSize: number): number => Math.floor((inputSize * 256) / referenceInputSize);

/**
 * One frame as evaluation shows it: shorter side to `shortSide` with Pillow's bicubic filter, then the centre S x S.
 * @param shortSide at least S; floor(S * 256 / 224) if absent, as released
 * @throws {ImageError} for a size that makes no sense
 */
export function evaluationFrame(
  inputSize: number,
  shortSide: number = evaluationShortSide(inputSize),
): (frame: Image) => Image {
  checkSize("the model's input", inputSize, inputSize);
  return (frame) => resizeShortSideAndCenterCrop(frame, shortSide, inputSize, 'bicubic');
}

/**
 * The evaluation chain: every frame as `evaluationFrame` makes it.
 * @returns frames of any size to bytes [T, 3, S, S]; nothing is random
 * @throws {ImageError} for a size that makes no sense
 */
export function evaluationPipeline(
  inputSize: number,
  shortSide: number = evaluationShortSide(inputSize),
): (clip: Parameters<ClipPipeline>[0]) => Uint8Array {
  const square = evaluationFrame(inputSize, shortSide);
  return (clip) => stackFrames(clip.map(square), inputSize);
}
