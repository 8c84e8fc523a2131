/** Times of frames, in seconds from the first: from the presentation timestamps that a container gives, or by the rate. */

/** Frames a second where neither the container nor the caller says it. */
export const defaultFramesPerSecond = 25;

/** When frames are shown, in seconds, in the decoder's order; and the rate of those without a timestamp (undefined). */
export interface FrameStamps {
  readonly stamps: readonly (number | undefined)[];
  readonly framesPerSecond: number;
}

/**
 * The times of a clip's frames: they begin at 0 and never go back. A frame without a timestamp is shown one frame's
 * time after the one before it; one that would go back is shown together with the one before it.
 */
export function frameTimesOf({ stamps, framesPerSecond }: FrameStamps): number[] {
  const known = stamps.findIndex((stamp) => stamp !== undefined);
  if (known < 0) return regularTimes(stamps.length, framesPerSecond);
  const start = (stamps[known] ?? 0) - known / framesPerSecond;
  const times: number[] = [];
  let previous = 0;
  for (const [index, stamp] of stamps.entries()) {
    const time = stamp === undefined ? previous + (index === 0 ? 0 : 1 / framesPerSecond) : stamp - start;
    previous = Math.max(previous, time);
    times.push(previous);
  }
  return times;
}

/** Times of `frames` frames at a constant rate. */
export function regularTimes(frames: number, framesPerSecond: number): number[] {
  return Array.from({ length: frames }, (_, index) => index / framesPerSecond);
}

/** A rate as the decoders give it, or the default where it is missing or makes no sense. */
export function rateOf(numerator: number, denominator: number): number {
  const rate = numerator / denominator;
  return Number.isFinite(rate) && rate > 0 ? rate : defaultFramesPerSecond;
}
