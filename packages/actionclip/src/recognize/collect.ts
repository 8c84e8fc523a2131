/**
 * Features of the frames of a video as they are decoded, in batches of one shape: of every picture by itself where the
 * model sees it so, else of every view as soon as its last frame is there. No more pictures are held than a batch, or
 * than the views under way need.
 */
import type { Image } from '../data/image/image.ts';
import type { VideoTowers } from './towers.ts';
import type { View } from './views.ts';

/** Takes the frames of a video in any order, and has the features of its views in the end. */
export interface FrameCollector {
  /** Takes a frame; one that is known or not looked at is passed over. Resolves when the next may come. */
  visit(index: number, squares: readonly Image[]): Promise<void>;
  /** Whether a frame is still needed. */
  wants(index: number): boolean;
  /** Encodes what is left over. */
  finish(): Promise<void>;
  /** Feature rows of a view, by its place: [T or 1, embedding]. */
  ofView(at: number): Float32Array;
  /** The feature of a frame in the square that is shown. */
  ofFrame(index: number): Float32Array;
}

export interface CollectorOptions {
  readonly towers: VideoTowers;
  readonly views: readonly View[];
  /** The square that is shown. */
  readonly shownCrop: number;
  /** Called before each batch; may throw to stop the work. */
  readonly beforeBatch: () => void;
  /** Called after each batch with the number of its pictures. */
  readonly afterBatch: (pictures: number) => void;
}

export const collectorOf = (options: CollectorOptions): FrameCollector =>
  options.towers.model.perFrame ? new PictureCollector(options) : new ViewCollector(options);

/** One feature a picture, whichever views have it. */
class PictureCollector implements FrameCollector {
  readonly #options: CollectorOptions;
  readonly #wanted: Set<number>;
  readonly #features = new Map<string, Float32Array>();
  readonly #waiting: { readonly key: string; readonly picture: Image }[] = [];

  constructor(options: CollectorOptions) {
    this.#options = options;
    this.#wanted = new Set(options.views.flatMap(({ frames }) => frames));
  }

  wants(index: number): boolean {
    return this.#wanted.has(index);
  }

  async visit(index: number, squares: readonly Image[]): Promise<void> {
    if (!this.#wanted.delete(index)) return;
    for (const [crop, picture] of squares.entries()) {
      this.#waiting.push({ key: keyOf(index, crop), picture });
      if (this.#waiting.length === this.#options.towers.batch) await this.finish();
    }
  }

  async finish(): Promise<void> {
    const batch = this.#waiting.splice(0);
    if (batch.length === 0) return;
    const { towers, beforeBatch, afterBatch } = this.#options;
    beforeBatch();
    const rows = await towers.encode(batch.map(({ picture }) => picture));
    const width = rows.length / batch.length;
    batch.forEach(({ key }, at) => {
      this.#features.set(key, rows.subarray(at * width, (at + 1) * width));
    });
    afterBatch(batch.length);
  }

  ofView(at: number): Float32Array {
    const { frames, crop } = viewAt(this.#options.views, at);
    const width = this.#options.towers.model.clip.sizes.embedding;
    const rows = new Float32Array(frames.length * width);
    frames.forEach((index, place) => {
      rows.set(this.#feature(index, crop), place * width);
    });
    return rows;
  }

  ofFrame(index: number): Float32Array {
    return this.#feature(index, this.#options.shownCrop);
  }

  #feature(index: number, crop: number): Float32Array {
    return found(this.#features.get(keyOf(index, crop)), index);
  }
}

const keyOf = (index: number, crop: number): string => `${index} ${crop}`;

/** The features of a view together, once all of its frames are there. */
class ViewCollector implements FrameCollector {
  readonly #options: CollectorOptions;
  /** Squares of frames that a view under way needs. */
  readonly #held = new Map<number, readonly Image[]>();
  /** Views that need a frame, by its index. */
  readonly #needs = new Map<number, Set<number>>();
  /** Frames that a view lacks, by its place. */
  readonly #lacks: Set<number>[];
  readonly #features: (Float32Array | undefined)[];

  constructor(options: CollectorOptions) {
    this.#options = options;
    this.#features = options.views.map(() => undefined);
    this.#lacks = options.views.map(({ frames }) => new Set(frames));
    for (const [at, { frames }] of options.views.entries()) {
      for (const index of frames) this.#needs.set(index, (this.#needs.get(index) ?? new Set()).add(at));
    }
  }

  wants(index: number): boolean {
    return this.#needs.has(index) && !this.#held.has(index);
  }

  async visit(index: number, squares: readonly Image[]): Promise<void> {
    if (!this.wants(index)) return;
    this.#held.set(index, squares);
    for (const at of [...(this.#needs.get(index) ?? [])]) {
      this.#lacks[at]?.delete(index);
      if (this.#lacks[at]?.size === 0) await this.#encode(at);
    }
  }

  async finish(): Promise<void> {}

  async #encode(at: number): Promise<void> {
    const { towers, views, beforeBatch, afterBatch } = this.#options;
    const { frames, crop } = viewAt(views, at);
    beforeBatch();
    const pictures = frames.map((index) => found(this.#held.get(index)?.[crop], index));
    this.#features[at] = await towers.encode(pictures);
    for (const index of new Set(frames)) this.#release(index, at);
    afterBatch(pictures.length);
  }

  #release(index: number, view: number): void {
    const needs = this.#needs.get(index);
    needs?.delete(view);
    if (needs?.size !== 0) return;
    this.#needs.delete(index);
    this.#held.delete(index);
  }

  ofView(at: number): Float32Array {
    return found(this.#features[at], viewAt(this.#options.views, at).frames[0] ?? 0);
  }

  ofFrame(index: number): Float32Array {
    const { views, shownCrop, towers } = this.#options;
    const at = views.findIndex(({ frames, crop }) => crop === shownCrop && frames.includes(index));
    const rows = this.ofView(at);
    const width = towers.model.clip.sizes.embedding;
    const row = towers.rows === 1 ? 0 : viewAt(views, at).frames.indexOf(index);
    return rows.subarray(row * width, (row + 1) * width);
  }
}

function viewAt(views: readonly View[], at: number): View {
  return found(views[at], at);
}

/** A collector is asked only for what it was given: the source hands over every chosen frame or throws. */
function found<T>(value: T | undefined, index: number): T {
  if (value === undefined) throw new RangeError(`frame or view ${index} was not encoded`);
  return value;
}
