/** What every way of reading frames offers: a number of frames, and the frames asked for as RGB images. */

import type { Image } from './image/image.ts';

/** A clip whose frames can be read: a folder of images or a video file. */
export interface FrameSource {
  /** `sequential`: to reach a frame, all frames before it are decoded too. */
  readonly access: 'random' | 'sequential';
  /** Number of frames, counted as `read` counts them. */
  frameCount(): Promise<number>;
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
  /** Releases what the source holds. Nothing may be read afterwards. */
  close(): Promise<void>;
}

export type FrameChoice = (frameCount: number) => readonly number[];

export interface ChosenFrames {
  readonly frameCount: number;
  readonly images: Image[];
}

/** Counts first and reads then: for sources where counting is cheap or there is no other way. */
export async function countThenRead(
  source: Pick<FrameSource, 'frameCount' | 'read'>,
  choose: FrameChoice,
): Promise<ChosenFrames> {
  const frameCount = await source.frameCount();
  return { frameCount, images: await source.read(choose(frameCount)) };
}

/** What to do about a video that the decoder complains of: `error`, or `tolerate` and take the frames that come out. */
export type DamageHandling = 'error' | 'tolerate';
