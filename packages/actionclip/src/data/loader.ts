/**
 * Batches of clips, loaded ahead of the trainer. Order and bytes depend on the seed, the epoch and the clip alone, never
 * on the number of threads or their timing, so that training can stop anywhere and go on with the same batches.
 */

import type { ClipDatasetDescription, LoadedClip } from './dataset.ts';
import { viewCount } from './dataset-views.ts';
import { DataError } from './errors.ts';
import { type ClipPool, openInlinePool, openWorkerPool } from './loader-pool.ts';
import { Random } from './random.ts';

/** What to do about a clip that cannot be read: stop, take another one drawn from the data set, or leave it out. */
export type CorruptClips = 'error' | 'replace' | 'skip';

/** A clip that could not be read and was replaced or left out. */
export interface CorruptClipReport {
  readonly index: number;
  readonly path: string;
  readonly error: DataError;
  readonly epoch: number;
}

export interface ClipLoaderOptions {
  readonly batchSize: number;
  /** a new order every epoch (training); default false */
  readonly shuffle?: boolean;
  /** leave out the last batch if it is not full (training); default false, so that every clip counts */
  readonly dropLast?: boolean;
  /** worker threads; 0 loads in the calling thread when a batch is asked for; default 0 */
  readonly workers?: number;
  /** batches that are loaded ahead, with workers; default 2 */
  readonly prefetch?: number;
  /** default `error`; `replace` suits training, `skip` evaluation */
  readonly corruptClips?: CorruptClips;
  readonly onCorruptClip?: (report: CorruptClipReport) => void;
}

/** A place between two batches. */
export interface LoaderPosition {
  /** from 0 */
  readonly epoch: number;
  /** from 0 to `batchesPerEpoch` */
  readonly batchIndex: number;
}

export interface ClipBatch extends LoaderPosition {
  /** [B, T, 3, S, S] in bytes; where clips have several views, T counts the frames of all of them */
  readonly frames: Uint8Array<ArrayBuffer>;
  readonly shape: readonly [batch: number, frames: number, channels: 3, height: number, width: number];
  /** class indices [B] */
  readonly labels: Int32Array<ArrayBuffer>;
  /** places of the clips in the data set's entries [B]; of the replacement, where a clip was replaced */
  readonly indices: Int32Array<ArrayBuffer>;
  /** how long the caller waited for this batch */
  readonly waitMilliseconds: number;
}

/** The clip for one place of a batch: its own, or the one that replaces it. */
export interface LoadedPlace {
  readonly index: number;
  readonly clip: LoadedClip;
}

/** Draws for one place before the data set is held to be unreadable. */
const replacementAttempts = 10;
/** Different clips in a row that cannot be read, before the data set is; all of a smaller one. */
const unreadableInRow = 20;

/** Loads batches of a data set. Close it when done; an idle loader does not keep the process alive. */
export class ClipLoader {
  readonly dataset: ClipDatasetDescription;
  readonly batchesPerEpoch: number;
  readonly #options: Required<Omit<ClipLoaderOptions, 'onCorruptClip'>>;
  readonly #onCorruptClip: (report: CorruptClipReport) => void;
  readonly #pool: ClipPool;
  readonly #random: Random;
  #corruptClipCount = 0;
  /** Those that could not be read since the last one that could. */
  readonly #inRow = new Set<number>();

  /** @throws DataError or ImageError for a description or options that make no sense */
  constructor(dataset: ClipDatasetDescription, options: ClipLoaderOptions) {
    const { onCorruptClip = () => {}, ...rest } = options;
    const defaults = { shuffle: false, dropLast: false, workers: 0, prefetch: 2, corruptClips: 'error' } as const;
    this.#options = { ...defaults, ...rest };
    const { batchSize, workers, prefetch, dropLast } = this.#options;
    checkWhole('the batch size', batchSize, 1);
    checkWhole('the number of workers', workers, 0);
    checkWhole('the number of prefetched batches', prefetch, 1);
    const clips = dataset.entries.length;
    this.batchesPerEpoch = dropLast ? Math.floor(clips / batchSize) : Math.ceil(clips / batchSize);
    if (clips > 0 && this.batchesPerEpoch === 0) {
      throw new DataError(
        `${clips} clips do not fill one batch of ${batchSize}, and partial batches are dropped`,
        'make the batch smaller or keep the last batch',
      );
    }
    this.dataset = dataset;
    this.#onCorruptClip = onCorruptClip;
    this.#random = new Random(dataset.seed ?? 0);
    this.#pool = workers === 0 ? openInlinePool(dataset) : openWorkerPool(dataset, workers);
  }

  /** How many times a clip was replaced or left out so far. */
  get corruptClipCount(): number {
    return this.#corruptClipCount;
  }

  /** The clips of an epoch in the order in which they are loaded, before the last ones are dropped. */
  order(epoch: number): Int32Array {
    const indices = Array.from({ length: this.dataset.entries.length }, (_, index) => index);
    if (this.#options.shuffle) this.#random.fork('order', epoch).shuffle(indices);
    return Int32Array.from(indices);
  }

  /** The clips of each batch of an epoch from batch `first` on, before any is replaced or left out. */
  *places(epoch: number, first: number): Generator<{ batchIndex: number; indices: Int32Array }, void, undefined> {
    const { batchSize } = this.#options;
    const order = this.order(epoch);
    for (let batchIndex = first; batchIndex < this.batchesPerEpoch; batchIndex++) {
      yield { batchIndex, indices: order.subarray(batchIndex * batchSize, (batchIndex + 1) * batchSize) };
    }
  }

  /**
   * Batches from a position to the end of epoch `lastEpoch` (by default of the position's own). Loading ahead goes on
   * across the end of an epoch. Under `skip` a batch may have fewer clips, and one without any is left out.
   * @throws DataError, from the iteration, for a clip that cannot be read where `corruptClips` is `error`
   */
  async *batches(from: LoaderPosition, lastEpoch: number = from.epoch): AsyncGenerator<ClipBatch, void, undefined> {
    checkWhole('the epoch', from.epoch, 0);
    checkWhole('the batch index', from.batchIndex, 0);
    const ahead = this.#options.workers > 0;
    const queueLength = ahead ? this.#options.prefetch : 1;
    const positions = this.#positions(from, lastEpoch);
    const queue: Promise<Omit<ClipBatch, 'waitMilliseconds'>>[] = [];
    const fill = (): void => {
      while (queue.length < queueLength) {
        const next = positions.next();
        if (next.done) return;
        const batch = this.#load(next.value.position, next.value.indices);
        batch.catch(() => {}); // reported when its turn comes, or not at all if the caller has left
        queue.push(batch);
      }
    };
    for (;;) {
      const asked = performance.now();
      fill();
      const batch = await queue.shift();
      if (batch === undefined) return;
      const waitMilliseconds = performance.now() - asked;
      if (ahead) fill();
      if (batch.indices.length > 0) yield { ...batch, waitMilliseconds };
    }
  }

  /** Ends the worker threads. Batches not yet given out are lost. */
  async close(): Promise<void> {
    await this.#pool.close();
  }

  *#positions(
    from: LoaderPosition,
    lastEpoch: number,
  ): Generator<{ position: LoaderPosition; indices: Int32Array }, void, undefined> {
    for (let epoch = from.epoch; epoch <= lastEpoch; epoch++) {
      const first = epoch === from.epoch ? from.batchIndex : 0;
      for (const { batchIndex, indices } of this.places(epoch, first)) {
        yield { position: { epoch, batchIndex }, indices };
      }
    }
  }

  async #load(position: LoaderPosition, order: Int32Array): Promise<Omit<ClipBatch, 'waitMilliseconds'>> {
    const places = await Promise.all([...order].map((index) => this.loadPlace(index, position.epoch)));
    const clips = places.filter((place) => place !== undefined);
    const segments = this.dataset.sampling.segments * viewCount(this.dataset);
    const side = this.dataset.pipeline.inputSize;
    const clipBytes = segments * 3 * side * side;
    const frames = new Uint8Array(clips.length * clipBytes);
    for (const [at, { clip }] of clips.entries()) frames.set(clip.frames, at * clipBytes);
    return {
      ...position,
      frames,
      shape: [clips.length, segments, 3, side, side],
      labels: Int32Array.from(clips, ({ clip }) => clip.label),
      indices: Int32Array.from(clips, ({ index }) => index),
    };
  }

  /**
   * The clip for one place of a batch, or its replacement, or undefined if it is left out.
   * @throws DataError for a clip that cannot be read where `corruptClips` is `error`
   */
  async loadPlace(wanted: number, epoch: number): Promise<LoadedPlace | undefined> {
    const { corruptClips } = this.#options;
    const replacements = this.#random.fork('replacement', epoch, wanted);
    let index = wanted;
    for (let attempt = 1; ; attempt++) {
      try {
        const clip = await this.#pool.load(index, epoch);
        this.#inRow.clear();
        return { index, clip };
      } catch (error) {
        if (corruptClips === 'error' || !(error instanceof DataError)) throw error;
        this.#corruptClipCount += 1;
        this.#inRow.add(index);
        this.#onCorruptClip({ index, path: this.dataset.entries[index]?.path ?? '', error, epoch });
        const { length } = this.dataset.entries;
        if (this.#inRow.size >= Math.min(unreadableInRow, length)) throw unreadable(this.#inRow.size, length, error);
        if (corruptClips === 'skip') return undefined;
        if (attempt === replacementAttempts) throw unreadable(attempt, length, error);
        index = replacements.integer(this.dataset.entries.length);
      }
    }
  }
}

function unreadable(count: number, all: number, cause: DataError): DataError {
  const none = all === 1 ? 'The only clip cannot be read' : `None of the ${all} clips can be read`;
  const clips = count === all ? none : `${count} clips in a row cannot be read`;
  return new DataError(
    `${clips}, ${all === 1 ? '' : 'the last '}because of ${cause.message}`,
    'check that the folder of the clips is there, and take clips that are not from the list',
    { cause },
  );
}

function checkWhole(what: string, value: number, least: number): void {
  if (!Number.isSafeInteger(value) || value < least) {
    throw new DataError(`${what} is ${value}`, `expected a whole number from ${least}`);
  }
}
