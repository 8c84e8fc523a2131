/** A part of a longer clip as a clip of its own, for lists of untrimmed videos. */

import { DataError } from './errors.ts';
import { type FrameChoice, type FrameSource, readChosenFrames } from './frame-source.ts';

export interface TimeRange {
  /** seconds from the first frame; default 0 */
  readonly start?: number;
  /** seconds from the first frame, itself outside; default to the end */
  readonly end?: number;
}

/**
 * The frames of `source` that are shown from `start` on and before `end`, counted from 0, with times from 0. A pass
 * over it is one pass over the source; closing it closes the source.
 * @param name what messages call the clip
 * @throws DataError for a range without length, and, once frames are asked for, for one without any frame in it
 */
export function trimmed(
  source: FrameSource,
  { start = 0, end = Number.POSITIVE_INFINITY }: TimeRange,
  name: string,
): FrameSource {
  if (!(start >= 0 && end > start)) {
    throw new DataError(
      `${name}: a part from ${start} to ${end} seconds was asked for`,
      'expected a start from 0 and an end after it',
    );
  }

  /** Index of the first frame of the part, and the times of its frames. */
  const partOf = (times: readonly number[]): { first: number; inside: readonly number[] } => {
    const first = times.findIndex((time) => time >= start);
    const after = times.findIndex((time) => time >= end);
    const inside = first < 0 ? [] : times.slice(first, after < 0 ? times.length : after);
    if (inside.length === 0) {
      throw new DataError(
        `${name}: there is no frame from ${start} to ${end} seconds, the last is shown at ${times.at(-1) ?? 0} seconds`,
        'check the range in the list',
      );
    }
    return { first, inside: inside.map((time) => time - (inside[0] ?? 0)) };
  };
  const part = async (): Promise<ReturnType<typeof partOf>> => partOf(await source.frameTimes());
  /** Refuses what lies outside of the part, where the source has frames that are not its own. */
  const shifted = (indices: readonly number[], first: number, frames: number): number[] =>
    indices.map((index) => {
      if (index >= 0 && index < frames) return index + first;
      throw new DataError(`${name}: frame ${index + 1} of a part of ${frames} was asked for`, 'check the range');
    });

  const view: FrameSource = {
    access: source.access,
    frameCount: async () => (await part()).inside.length,
    frameTimes: async () => (await part()).inside,
    read: async (indices) => {
      const { first, inside } = await part();
      return source.read(shifted(indices, first, inside.length));
    },
    readChosen: (choose) => readChosenFrames(view, choose, name),
    readEach: async (choose, visit) => {
      let offset = 0;
      const chooseInside: FrameChoice = (_, times) => {
        const { first, inside } = partOf(times);
        offset = first;
        return shifted(choose(inside.length, inside), first, inside.length);
      };
      await source.readEach(chooseInside, (index, image) => visit(index - offset, image));
      return view.frameCount();
    },
    close: () => source.close(),
  };
  return view;
}
