// A clip is the frames sampled from one video. Transforms take a clip and a random stream and give another clip; at
// the end of a chain the frames are laid out planar for the model.
import type { Image } from '../image/image.ts';
import { ImageError, pixels } from '../image/image.ts';
import type { Random } from '../random.ts';

/** The sampled frames of one video, in order. */
export type Clip = readonly Image[];

/** One step of a chain. It draws from the stream what it needs and leaves its input as it is. */
export type ClipTransform = (clip: Clip, random: Random) => Clip;

/** A whole chain: frames of any size to planar bytes [T, 3, S, S]. */
export type ClipPipeline = (clip: Clip, random: Random) => Uint8Array;

/** The transforms one after the other, all drawing from one stream. */
export const compose =
  (...transforms: readonly ClipTransform[]): ClipTransform =>
  (clip, random) =>
    transforms.reduce((frames, transform) => transform(frames, random), clip);

/** With the given probability the transform, else the clip as it is: one draw for the whole clip. */
export const withChance =
  (probability: number, transform: ClipTransform): ClipTransform =>
  (clip, random) =>
    random.chance(probability) ? transform(clip, random) : clip;

/** The same operation on every frame. */
export const everyFrame =
  (operation: (image: Image) => Image): ClipTransform =>
  (clip) =>
    clip.map(operation);

/**
 * Square frames of one size as planar bytes, [T, 3, S, S] in row-major order.
 * @throws {ImageError} for an empty clip or a frame of another size
 */
export function stackFrames(clip: Clip, size: number): Uint8Array {
  if (clip.length === 0) throw new ImageError('the clip has no frames', 'expected at least one; check the sampling');
  const plane = size * size;
  const stacked = new Uint8Array(clip.length * 3 * plane); // [T, 3, S, S]
  clip.forEach((frame, index) => {
    if (frame.width !== size || frame.height !== size) {
      throw new ImageError(
        `frame ${index} of the clip is ${frame.width} x ${frame.height}`,
        `expected ${size} x ${size}; end the chain with a resize or a crop to the input size`,
      );
    }
    deinterleave(pixels(frame), stacked, index * 3 * plane, plane);
  });
  return stacked;
}

function deinterleave(data: Uint8ClampedArray, target: Uint8Array, begin: number, plane: number): void {
  for (let channel = 0; channel < 3; channel++) {
    const end = begin + (channel + 1) * plane;
    for (let o = end - plane, i = channel; o < end; o++, i += 3) target[o] = data[i] as number;
  }
}

/** Mean of each channel, as a part of full brightness, of CLIP's training images (RGB). */
export const channelMean = [0.48145466, 0.4578275, 0.40821073] as const;

/** Standard deviation of each channel, as a part of full brightness, of CLIP's training images (RGB). */
export const channelDeviation = [0.26862954, 0.26130258, 0.27577711] as const;

const fround = Math.fround;

/** The normalised value of each level, per channel, in single precision as torchvision computes it. */
const normalised = channelMean.map((mean, channel) => {
  const deviation = fround(channelDeviation[channel] ?? 1);
  return Float32Array.from({ length: 256 }, (_, level) => fround(fround(level / 255) - fround(mean)) / deviation);
});

/**
 * Planar bytes as the model's input: (level / 255 - mean) / deviation of the channel.
 * @param frames [T, 3, S, S]
 * @param size S, which tells where a channel ends
 * @returns [T, 3, S, S]
 * @throws {ImageError} when the length is no multiple of 3 S S
 */
export function normalise(frames: Uint8Array, size: number): Float32Array<ArrayBuffer> {
  const plane = size * size;
  if (!(plane > 0) || frames.length % (3 * plane) !== 0) {
    throw new ImageError(
      `${frames.length} bytes are no whole frames of 3 x ${size} x ${size}`,
      'expected planar frames [T, 3, S, S] of the input size',
    );
  }
  const result = new Float32Array(frames.length);
  for (let begin = 0, index = 0; begin < frames.length; begin += plane, index++) {
    const levels = normalised[index % 3] as Float32Array;
    for (let i = begin; i < begin + plane; i++) result[i] = levels[frames[i] as number] as number;
  }
  return result;
}
