/**
 * Decoded frames kept in memory up to a bound. What came first stays: every epoch asks for every clip once, and
 * under such a cycle throwing out the longest unused frame would keep none until it is asked for again.
 */

import type { Image } from './image/image.ts';

export class FrameCache {
  readonly #clips = new Map<number, Map<number, Image>>();
  readonly #refused = new Set<number>();
  #room: number;

  /** @param bytes the most bytes of pixels that are kept */
  constructor(bytes: number) {
    this.#room = bytes;
  }

  has(clip: number, frame: number): boolean {
    return this.#clips.get(clip)?.has(frame) ?? false;
  }

  /** The frames in this order, or undefined unless all of them are there. */
  get(clip: number, frames: readonly number[]): Image[] | undefined {
    const known = this.#clips.get(clip);
    if (known === undefined) return undefined;
    const images = frames.flatMap((frame) => known.get(frame) ?? []);
    return images.length === frames.length ? images : undefined;
  }

  /** Whether anything of this clip might still be taken in. */
  mayGrow(clip: number): boolean {
    return this.#room > 0 && !this.#refused.has(clip);
  }

  /** Sets bytes aside for this clip; false, and for good, if there is no room. */
  reserve(clip: number, bytes: number): boolean {
    if (!this.mayGrow(clip)) return false;
    if (bytes > this.#room) {
      this.#refused.add(clip);
      return false;
    }
    this.#room -= bytes;
    return true;
  }

  /** Keeps frames for which room was reserved. */
  put(clip: number, frames: readonly number[], images: readonly Image[]): void {
    const known = this.#clips.get(clip) ?? new Map<number, Image>();
    for (const [at, image] of images.entries()) known.set(frames[at] ?? 0, image);
    this.#clips.set(clip, known);
  }
}
