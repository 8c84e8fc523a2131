/** Batches of features of frames in the place of frames: the same clips in the same order. */
import type { ClipBatch, ClipLoader, LoaderPosition } from '../data/loader.ts';
import type { ClipFeature, FeatureTable } from './features-cache.ts';

/** What a batch of clips and one of their features have in common. */
export type BatchPlace = Omit<ClipBatch, 'frames' | 'shape'>;

export interface FeatureBatch extends BatchPlace {
  /** Features of frames, [B, T, D]. */
  readonly frames: Float32Array<ArrayBuffer>;
  readonly shape: readonly [batch: number, frames: number, embedding: number];
}

/** Whether a batch is one of frames, not of their features. */
export const hasFrames = (batch: ClipBatch | FeatureBatch): batch is ClipBatch => batch.frames instanceof Uint8Array;

export class FeatureLoader {
  readonly #clips: ClipLoader;
  readonly #table: FeatureTable;
  readonly #embedding: number;

  /** @param table Its views take turns from epoch to epoch. */
  constructor(clips: ClipLoader, table: FeatureTable, embedding: number) {
    this.#clips = clips;
    this.#table = table;
    this.#embedding = embedding;
  }

  /** Batches from a position to the end of epoch `lastEpoch`; clips that are left out make a batch smaller. */
  async *batches(from: LoaderPosition, lastEpoch = from.epoch): AsyncGenerator<FeatureBatch, void, undefined> {
    for (let epoch = from.epoch; epoch <= lastEpoch; epoch++) {
      const view = this.#table[epoch % this.#table.length] ?? [];
      const first = epoch === from.epoch ? from.batchIndex : 0;
      for (const { batchIndex, indices } of this.#clips.places(epoch, first)) {
        const clips = [...indices].flatMap((place) => view[place] ?? []);
        if (clips.length > 0) yield { epoch, batchIndex, waitMilliseconds: 0, ...this.#joined(clips) };
      }
    }
  }

  #joined(clips: readonly ClipFeature[]): Pick<FeatureBatch, 'frames' | 'shape' | 'labels' | 'indices'> {
    const length = clips[0]?.rows.length ?? 0;
    const frames = new Float32Array(clips.length * length);
    for (const [at, { rows }] of clips.entries()) frames.set(rows, at * length);
    return {
      frames,
      shape: [clips.length, length / this.#embedding, this.#embedding],
      labels: Int32Array.from(clips, ({ label }) => label),
      indices: Int32Array.from(clips, ({ index }) => index),
    };
  }
}
