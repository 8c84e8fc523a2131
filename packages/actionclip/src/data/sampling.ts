/** Which frames of a clip are shown: one from each of T equal segments (TSN, Wang et al. 2016, as released with ActionCLIP). */

import { DataError } from './errors.ts';
import type { Random } from './random.ts';

export interface FrameSampling {
  /** number of frames taken from a clip, T */
  readonly segments: number;
  /** draw within each segment (training) instead of taking its middle (evaluation) */
  readonly randomShift: boolean;
}

/**
 * Frame numbers of a clip, from 1, ascending, T of them.
 * @param frames number of frames of the clip, n
 * @param random the clip's own stream; used only with `randomShift`
 * @throws DataError unless both n and T are whole numbers from 1
 */
export function sampleFrames(frames: number, sampling: FrameSampling, random: Random): number[] {
  checkCount('the number of frames', frames);
  checkCount('the number of segments', sampling.segments);
  const indices = sampling.randomShift
    ? trainingIndices(frames, sampling.segments, random)
    : evaluationIndices(frames, sampling.segments);
  return indices.map((index) => index + 1);
}

function checkCount(what: string, value: number): void {
  if (!Number.isSafeInteger(value) || value < 1) {
    throw new DataError(`${what} is ${value}`, 'expected a whole number from 1');
  }
}

/** n > T: one frame at random from each segment [floor(i n / T), floor((i + 1) n / T)). Else every frame, and random repeats. */
function trainingIndices(frames: number, segments: number, random: Random): number[] {
  if (frames > segments) {
    return Array.from({ length: segments }, (_, segment) => {
      const start = Math.floor((segment * frames) / segments);
      const end = Math.floor(((segment + 1) * frames) / segments);
      return start + random.integer(end - start);
    });
  }
  const indices = Array.from({ length: segments }, (_, index) => (index < frames ? index : random.integer(frames)));
  return indices.sort((a, b) => a - b);
}

/** The middle of each segment; the arithmetic is the released code's, in doubles, so that it rounds alike. */
function evaluationIndices(frames: number, segments: number): number[] {
  if (segments === 1) return [Math.floor(frames / 2)];
  if (frames <= segments) {
    return Array.from({ length: segments }, (_, index) => Math.floor((index * frames) / segments));
  }
  const offset = (frames / segments - 1) / 2;
  return Array.from({ length: segments }, (_, index) => Math.trunc((index * frames) / segments + offset));
}
