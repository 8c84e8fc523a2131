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
  /** Releases what the source holds. Nothing may be read afterwards. */
  close(): Promise<void>;
}

/** What to do about a video that the decoder complains of: `error`, or `tolerate` and take the frames that come out. */
export type DamageHandling = 'error' | 'tolerate';
