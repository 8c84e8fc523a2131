/** What every way of reading frames offers: a number of frames, their times, and the frames asked for as RGB images. */

import { DataError } from './errors.ts';
import type { Image } from './image/image.ts';

/** A clip whose frames can be read: a folder of images, a picture or a video file. */
export interface FrameSource {
  /** `sequential`: to reach a frame, all frames before it are decoded too. */
  readonly access: 'random' | 'sequential';
  /** Number of frames, counted as `read` counts them. */
  frameCount(): Promise<number>;
  /**
   * When each frame is shown, in seconds from the first: `frameCount()` times that begin at 0 and never go back. They
   * are known, at no further cost, once the frames were counted or all were gone through.
   */
  frameTimes(): Promise<readonly number[]>;
  /**
   * The frames at `indices` (from 0, in any order, repeats allowed), in that order and upright. A frame asked for twice
   * is the same image twice: treat images as read-only.
   * @throws DataError that names the file if a frame is missing or damaged
   */
  read(indices: readonly number[]): Promise<Image[]>;
  /**
   * Frames chosen by the number of frames there are: `choose(frameCount)` gives indices as `read` takes them. It may be
   * called more than once and must give the same indices for the same number. A video is decoded once for both.
   */
  readChosen(choose: FrameChoice): Promise<ChosenFrames>;
  /**
   * Hands over each chosen frame as soon as it is decoded, once, and then forgets it, so that memory does not grow with
   * the clip. The pass goes on when `visit` is done. Resolves to the number of frames.
   *
   * A video is decoded once, its frames chosen by the number and the times that its container gives. Rarely are these
   * wrong, which is known at the end of the pass alone; then `choose` is asked again, and what was not handed over yet
   * is, in a second pass. So what counts is `choose` of the number returned: other frames were handed over in vain.
   * @throws DataError that names the file if a frame is missing or damaged, maybe after some frames were handed over
   */
  readEach(choose: FrameChoice, visit: FrameVisit): Promise<number>;
  /** Releases what the source holds. Nothing may be read afterwards. */
  close(): Promise<void>;
}

/** Indices of frames, from 0, by the number of frames and by when each is shown (seconds, as `frameTimes` gives them). */
export type FrameChoice = (frameCount: number, times: readonly number[]) => readonly number[];

/** What is done with a frame; frames come in ascending order, except for those of a second pass. */
export type FrameVisit = (index: number, image: Image) => void | Promise<void>;

export interface ChosenFrames {
  readonly frameCount: number;
  readonly images: Image[];
}

/** The frames that `choose` names for the number of frames there are, all at once. */
export async function readChosenFrames(
  source: Pick<FrameSource, 'frameTimes' | 'readEach'>,
  choose: FrameChoice,
  name: string,
): Promise<ChosenFrames> {
  const images = new Map<number, Image>();
  const frameCount = await source.readEach(choose, (index, image) => {
    images.set(index, image);
  });
  const indices = choose(frameCount, await source.frameTimes());
  return { frameCount, images: imagesAt(images, indices, name) };
}

/**
 * The images at `indices`, in that order.
 * @throws DataError if one was not read
 */
export function imagesAt(images: ReadonlyMap<number, Image>, indices: readonly number[], name: string): Image[] {
  return indices.map((index) => {
    const image = images.get(index);
    if (image === undefined) throw missingFrame(name, index, images.size);
    return image;
  });
}

/** The error for a frame that was asked for and is not there. */
export function missingFrame(name: string, index: number, frames: number): DataError {
  return new DataError(
    `${name}: frame ${index + 1} was asked for, but only ${frames} can be decoded`,
    'the video is cut off, or the list gives too many frames for it',
  );
}

/** What to do about a video that the decoder complains of: `error`, or `tolerate` and take the frames that come out. */
export type DamageHandling = 'error' | 'tolerate';
