/**
 * The last seconds of frames that go on and on, such as those of a webcam, as the embedding of a clip. Where the image
 * tower sees each frame by itself, each is encoded once; else the whole clip is, for every one of its last frames. Runs in
 * browsers.
 */
import type { Image } from '../data/image/image.ts';
import { concatenated } from '../evaluate/features.ts';
import { RecognitionError } from './errors.ts';
import { type Squares, squaresOf } from './squares.ts';
import { unitRow, type VideoTowers } from './towers.ts';
import type { EmbeddedFrame, VideoEmbedding } from './types.ts';

/** Called before each batch: may wait, and may throw to stop the work. */
export type BeforeBatch = () => void | Promise<void>;

/** What came of a frame. */
export interface StreamedFrame {
  /** The frame as the model sees it. */
  readonly frame: Omit<EmbeddedFrame, 'feature'>;
  /** The clip that ends with it, of one window and T sampled frames, once there are frames of all its span. */
  readonly clip: VideoEmbedding | undefined;
}

/** Frames that go on and on, of which the last seconds are a clip. */
export interface FrameStream {
  /** How much of the first clip is there: 0 to 1. */
  readonly filled: number;
  /** Forgets the frames so far: what comes next has nothing to do with them. */
  restart(): void;
  /**
   * Takes the next frame. The clip that ends with it takes the frame nearest to each of T moments in equal steps, as
   * frames may come unevenly, or too slowly, and then more than once.
   * @param time Seconds, later than those of the frame before.
   */
  push(frame: Image, time: number, beforeBatch?: BeforeBatch): Promise<StreamedFrame>;
}

/** A frame that a clip to come may need. */
interface HeldFrame {
  readonly index: number;
  readonly time: number;
  readonly image: Image;
  /** Not normalised; absent where the image tower sees whole clips. */
  readonly feature: Float32Array | undefined;
}

export class TowerStream implements FrameStream {
  readonly #towers: VideoTowers;
  readonly #seconds: number;
  readonly #squares: Squares;
  /** Ascending in time; none older than the first moment of the latest clip, but for the nearest before it. */
  #held: HeldFrame[] = [];
  #count = 0;
  #start: number | undefined;

  /**
   * @param seconds Of a clip of T frames.
   * @throws RecognitionError for a span that is not above 0.
   */
  constructor(towers: VideoTowers, seconds: number, shortSide?: number) {
    if (!(seconds > 0 && seconds < Number.POSITIVE_INFINITY))
      throw new RecognitionError(`a clip spans ${seconds} seconds`, 'expected a number above 0');
    this.#towers = towers;
    this.#seconds = seconds;
    this.#squares = squaresOf(1, towers.model.clip.sizes.vision.resolution, shortSide);
  }

  get filled(): number {
    const newest = this.#held.at(-1);
    if (newest === undefined || this.#start === undefined) return 0;
    return Math.min(1, (newest.time - this.#start + this.#segment) / this.#seconds);
  }

  /** Seconds from one frame of a clip to the next. */
  get #segment(): number {
    return this.#seconds / this.#towers.model.frames;
  }

  restart(): void {
    this.#held = [];
    this.#start = undefined;
  }

  async push(frame: Image, time: number, beforeBatch: BeforeBatch = () => {}): Promise<StreamedFrame> {
    const [image = frame] = this.#squares(frame);
    await beforeBatch();
    const feature = this.#towers.model.perFrame ? await this.#towers.encode([image], 1) : undefined;
    const taken = { index: this.#count++, time, image };
    this.#start ??= time;
    this.#held.push({ ...taken, feature });
    this.#forgetPassed(time);
    // Frames come a little early or late: half a step is near enough.
    const isFull = this.filled * this.#seconds >= this.#seconds - this.#segment / 2;
    return { frame: taken, clip: isFull ? await this.#embedded(this.#clip(time), beforeBatch) : undefined };
  }

  /** When the frames of the clip are due that ends at a moment. */
  #moments(end: number): number[] {
    const { frames } = this.#towers.model;
    return Array.from({ length: frames }, (_, at) => end - (frames - 1 - at) * this.#segment);
  }

  #forgetPassed(end: number): void {
    const [first = end] = this.#moments(end);
    const passed = this.#held.findIndex((_, at) => (this.#held[at + 1]?.time ?? Number.POSITIVE_INFINITY) > first);
    this.#held.splice(0, passed);
  }

  #clip(end: number): HeldFrame[] {
    return this.#moments(end).map((moment) =>
      this.#held.reduce((best, held) => (Math.abs(held.time - moment) < Math.abs(best.time - moment) ? held : best)),
    );
  }

  async #embedded(clip: readonly HeldFrame[], beforeBatch: BeforeBatch): Promise<VideoEmbedding> {
    const width = this.#towers.model.clip.sizes.embedding;
    await beforeBatch();
    const known = clip.flatMap(({ feature }) => (feature === undefined ? [] : [feature]));
    const features = this.#towers.model.perFrame
      ? concatenated(known) // [T, embedding]
      : await this.#towers.encode(clip.map(({ image }) => image)); // [T or 1, embedding]
    await beforeBatch();
    const rows = await this.#towers.fuse([features]);
    const [start, end] = [clip[0]?.time ?? 0, clip.at(-1)?.time ?? 0];
    return {
      frames: clip.length,
      duration: end - start,
      sampled: clip.map(({ index, time, image }, at) => {
        const row = this.#towers.rows === 1 ? 0 : at;
        return { index, time, image, feature: unitRow(features.subarray(row * width, (row + 1) * width)) };
      }),
      windows: [{ start, end, views: { rows, width } }],
    };
  }
}
