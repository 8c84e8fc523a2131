/**
 * A data set of clips: which clips, which frames of each, and what is done to them, as plain data; and the object that
 * carries it out for one clip at a time, in the main thread or in a worker.
 */

import type { ClipPipeline } from './augment/clip.ts';
import { evaluationPipeline, type TrainingPipelineOptions, trainingPipeline } from './augment/pipelines.ts';
import { type DatasetViews, viewFrames, viewPipeline } from './dataset-views.ts';
import { DataError } from './errors.ts';
import { FrameCache } from './frame-cache.ts';
import type { FrameSource } from './frame-source.ts';
import type { Image } from './image/image.ts';
import type { ClipEntry } from './lists.ts';
import { type FrameSourceOptions, openFrameSource } from './open-source.ts';
import { Random } from './random.ts';
import { type FrameSampling, sampleFrames } from './sampling.ts';

/** The chain from decoded frames to planar bytes, by name and options. */
export type PipelineDescription =
  | ({ readonly kind: 'training' } & TrainingPipelineOptions)
  | { readonly kind: 'evaluation'; readonly inputSize: number; readonly shortSide?: number };

/** Everything about a data set as plain data, so that it can be sent to worker threads. */
export interface ClipDatasetDescription {
  readonly entries: readonly ClipEntry[];
  readonly sampling: FrameSampling;
  readonly pipeline: PipelineDescription;
  /** only with the evaluation pipeline; one look unless told */
  readonly views?: DatasetViews;
  readonly source?: FrameSourceOptions;
  /** seed of sampling and augmentation; default 0 */
  readonly seed?: number;
  /** how many draws of its frames and augmentation a clip has: epochs take them in turn; each has its own if absent */
  readonly draws?: number;
  /** bytes of decoded frames kept in memory, shared out among the workers; default 0 */
  readonly cacheBytes?: number;
}

/** One clip ready for the model. */
export interface LoadedClip {
  /** [T, 3, S, S], of several views [clips, crops, T, 3, S, S] */
  readonly frames: Uint8Array;
  /** class index */
  readonly label: number;
}

/** Loads the clips of a data set. Equal seed, index and epoch give equal bytes, wherever and whenever they are loaded. */
export class ClipDataset {
  readonly description: ClipDatasetDescription;
  readonly #pipeline: ClipPipeline;
  readonly #random: Random;
  readonly #cache: FrameCache;
  readonly #frameCounts = new Map<number, number>();

  /** @throws DataError or ImageError for a description that makes no sense */
  constructor(description: ClipDatasetDescription) {
    if (description.entries.length === 0) throw new DataError('the data set has no clips', 'expected at least one');
    this.description = description;
    this.#pipeline = pipelineOf(description);
    this.#random = new Random(description.seed ?? 0);
    this.#cache = new FrameCache(description.cacheBytes ?? 0);
  }

  get length(): number {
    return this.description.entries.length;
  }

  /**
   * Loads the clip at `index` with the randomness of `epoch`.
   * @throws DataError or ImageError that names the file if it cannot be read
   */
  async load(index: number, epoch: number): Promise<LoadedClip> {
    const entry = this.description.entries[index];
    if (entry === undefined) throw new DataError(`there is no clip ${index}`, `expected 0 to ${this.length - 1}`);
    const { draws = Number.POSITIVE_INFINITY } = this.description;
    const random = this.#random.fork('clip', epoch % draws, index);
    const choose = (frameCount: number): number[] => this.#sampled(frameCount, random.fork('frames'));
    const opened = once(() => openFrameSource(entry.path, this.description.source));
    try {
      const clip = await this.#chosenFrames(index, entry, choose, opened.get);
      return { frames: this.#pipeline(clip, random.fork('pipeline')), label: entry.label };
    } finally {
      await opened.close();
    }
  }

  /** Indices of the frames of a clip, or of all clips one after the other where there are views. */
  #sampled(frameCount: number, random: Random): number[] {
    const { sampling, views } = this.description;
    if (views !== undefined) return viewFrames(frameCount, sampling.segments, views);
    return sampleFrames(frameCount, sampling, random).map((number) => number - 1);
  }

  /** The frames that `choose` names. How many there are is taken from the list, or learnt once and kept. */
  async #chosenFrames(
    index: number,
    entry: ClipEntry,
    choose: (frameCount: number) => number[],
    open: () => Promise<FrameSource>,
  ): Promise<Image[]> {
    const known = entry.frames ?? this.#frameCounts.get(index);
    if (known !== undefined) return this.#frames(index, choose(known), known, open);
    const source = await open();
    if (this.#cache.mayGrow(index)) {
      const frameCount = await source.frameCount();
      this.#frameCounts.set(index, frameCount);
      return this.#frames(index, choose(frameCount), frameCount, open);
    }
    const { frameCount, images } = await source.readChosen(choose);
    this.#frameCounts.set(index, frameCount);
    return images;
  }

  /** Frames from the cache where it has them. A sequential source is cached whole or not at all, as it is decoded whole. */
  async #frames(
    index: number,
    indices: readonly number[],
    frameCount: number,
    open: () => Promise<FrameSource>,
  ): Promise<Image[]> {
    const cached = this.#cache.get(index, indices);
    if (cached !== undefined) return cached;
    const source = await open();
    if (this.#cache.mayGrow(index) && source.access === 'sequential') {
      const [first] = await source.read([0]);
      if (first !== undefined && this.#cache.reserve(index, frameCount * first.data.byteLength)) {
        const all = Array.from({ length: frameCount }, (_, frame) => frame);
        this.#cache.put(index, all, await source.read(all));
        return this.#cache.get(index, indices) ?? [];
      }
    }
    if (source.access === 'sequential') return source.read(indices);
    const missing = [...new Set(indices)].filter((frame) => !this.#cache.has(index, frame));
    const read = new Map((await source.read(missing)).map((image, at) => [missing[at], image]));
    for (const [frame, image] of read) {
      if (frame !== undefined && this.#cache.reserve(index, image.data.byteLength))
        this.#cache.put(index, [frame], [image]);
    }
    return indices.flatMap((frame) => read.get(frame) ?? this.#cache.get(index, [frame]) ?? []);
  }
}

function pipelineOf({ pipeline, sampling, views }: ClipDatasetDescription): ClipPipeline {
  if (views === undefined) {
    return pipeline.kind === 'training'
      ? trainingPipeline(pipeline)
      : evaluationPipeline(pipeline.inputSize, pipeline.shortSide);
  }
  if (pipeline.kind === 'training' || sampling.randomShift) {
    throw new DataError('the data set has views and is for training', 'views are of evaluation');
  }
  return viewPipeline(pipeline.inputSize, sampling.segments, views, pipeline.shortSide);
}

/** A source that is opened when first asked for, and closed if it was. */
function once(open: () => Promise<FrameSource>): { get: () => Promise<FrameSource>; close: () => Promise<void> } {
  let opened: Promise<FrameSource> | undefined;
  return {
    get: () => {
      opened ??= open();
      return opened;
    },
    close: async () => {
      const source = await opened?.catch(() => undefined);
      await source?.close();
    },
  };
}
