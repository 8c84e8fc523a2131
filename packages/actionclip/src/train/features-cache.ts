/** Features of the frames of clips, computed once by a frozen image tower: [T, D] for each view of each clip. */
import { type Captured, compile, type Tensor, tensor } from '@actionclip/tensor';
import type { ClipLoader, LoadedPlace } from '../data/loader.ts';
import { evaluateRows } from '../evaluate/features.ts';
import type { TextCache } from '../evaluate/text-cache.ts';
import { throwIfInterrupted } from '../interrupted.ts';
import type { ActionCLIP } from '../model/action-clip.ts';
import { clipContents } from './clip-contents.ts';
import { imageSpace, viewKey } from './features-keys.ts';

/** One view of the clip that stands at a place of the data set: its own, or the one that replaces it. */
export interface ClipFeature {
  readonly index: number;
  readonly label: number;
  /** [T, D]; [1, D] with the joint prompt. Not normalised. */
  readonly rows: Float32Array;
}

/** By view and by place in the data set; undefined where a clip is left out. */
export type FeatureTable = readonly (readonly (ClipFeature | undefined)[])[];

export interface FeatureTableOptions {
  /** Different draws of each clip: the first so many epochs of the data set. */
  readonly views: number;
  readonly signal?: AbortSignal;
  /** Clips whose content was looked at. */
  readonly onRead?: (progress: { readonly clips: number; readonly totalClips: number }) => void;
  /** Views that were encoded, of those that were not kept from before. */
  readonly onEncoded?: (progress: { readonly views: number; readonly totalViews: number }) => void;
}

/** Where features stay from run to run. */
export interface FeatureStore {
  readonly cache: TextCache;
  readonly folder: string;
}

interface Wanted {
  readonly view: number;
  readonly place: number;
  readonly key: string | undefined;
}

/**
 * Frames that are encoded at once, filled up with zeros: of the model alone, not of the batches of a run, as sizes choose
 * the kernels and with them the rounding.
 */
const framesAtOnce = 64;

/** Features are kept when so many bytes have come together, or so much time has passed. */
const portionBytes = 32 * 2 ** 20;
const portionMilliseconds = 5000;

/** Features of a model that keeps its image tower. */
export class FrameFeatures {
  readonly #model: ActionCLIP;
  readonly #store: FeatureStore;
  readonly #encode: Captured<[Tensor], Tensor>;
  readonly #clipsAtOnce: number;

  constructor(model: ActionCLIP, store: FeatureStore) {
    this.#model = model;
    this.#store = store;
    this.#encode = compile((frames: Tensor) => model.encodeFrames(frames));
    this.#clipsAtOnce = Math.max(1, Math.floor(framesAtOnce / model.frames));
  }

  /**
   * The features of all clips of a loader, of which only those are computed that are not kept. What was computed is kept
   * every few seconds, so that little is lost where the work is stopped.
   * @throws DataError as the loader does for clips that cannot be read; InterruptedError where the signal was set off.
   */
  async table(loader: ClipLoader, options: FeatureTableOptions): Promise<FeatureTable> {
    const { views, signal, onRead } = options;
    const { dataset } = loader;
    const space = await imageSpace(this.#model);
    const contents = await clipContents(dataset.entries, {
      folder: this.#store.folder,
      ...(signal === undefined ? {} : { signal }),
      ...(onRead === undefined ? {} : { onRead }),
    });
    const wanted = Array.from({ length: views }, (_, view) =>
      contents.map((content, place): Wanted => {
        return { view, place, key: content === undefined ? undefined : viewKey(dataset, content, place, view) };
      }),
    ).flat();
    const keys = wanted.flatMap(({ key }) => key ?? []);
    const found = await this.#store.cache.get(space, keys);
    const table = Array.from({ length: views }, () => new Array<ClipFeature | undefined>(dataset.entries.length));
    const missing: Wanted[] = [];
    for (const each of wanted) {
      const rows = each.key === undefined ? undefined : found.get(each.key);
      const label = dataset.entries[each.place]?.label;
      if (rows === undefined || label === undefined) missing.push(each);
      else (table[each.view] as (typeof table)[number])[each.place] = { index: each.place, label, rows };
    }
    for await (const { view, place, feature } of this.#computed(loader, missing, space, options)) {
      (table[view] as (typeof table)[number])[place] = feature;
    }
    return table;
  }

  /** What is missing, without clips that are left out. Clips are loaded while those before them are encoded. */
  async *#computed(
    loader: ClipLoader,
    missing: readonly Wanted[],
    space: string,
    { signal, onEncoded }: FeatureTableOptions,
  ): AsyncGenerator<{ readonly view: number; readonly place: number; readonly feature: ClipFeature }> {
    const { cache } = this.#store;
    const portion = new Portion((rows) => cache.put(space, rows));
    const load = (first: number): Promise<(LoadedPlace | undefined)[]> => {
      const part = missing.slice(first, first + this.#clipsAtOnce);
      const clips = Promise.all(part.map(({ place, view }) => loader.loadPlace(place, view)));
      clips.catch(() => undefined); // reported when its turn comes
      return clips;
    };
    let next = load(0);
    try {
      for (let first = 0; first < missing.length; first += this.#clipsAtOnce) {
        throwIfInterrupted(signal);
        const clips = await next;
        next = load(first + this.#clipsAtOnce);
        const encoded = await this.#encoded(clips, loader.dataset.pipeline.inputSize);
        for (const [at, clip] of clips.entries()) {
          const { view, place, key } = missing[first + at] as Wanted;
          const rows = encoded[at];
          if (clip === undefined || rows === undefined) continue;
          yield { view, place, feature: { index: clip.index, label: clip.clip.label, rows } };
          if (key !== undefined && clip.index === place) await portion.add(key, rows);
        }
        onEncoded?.({ views: first + clips.length, totalViews: missing.length });
      }
    } finally {
      await portion.flush();
    }
  }

  /** [T, D] of each place. */
  async #encoded(clips: readonly (LoadedPlace | undefined)[], side: number): Promise<Float32Array[]> {
    const { frames: count } = this.#model;
    const clipBytes = count * 3 * side * side;
    const frames = new Uint8Array(this.#clipsAtOnce * clipBytes);
    for (const [at, place] of clips.entries()) if (place) frames.set(place.clip.frames, at * clipBytes);
    const input = tensor(frames, { shape: [this.#clipsAtOnce, count, 3, side, side] });
    const rows = await evaluateRows(this.#model, this.#encode, input);
    const length = rows.length / this.#clipsAtOnce;
    return clips.map((_, at) => rows.slice(at * length, (at + 1) * length));
  }

  /** Gives back the memory that encoding keeps on the device until it is used again. */
  async trim(): Promise<void> {
    await this.#encode.trim();
  }

  /** Gives back all that encoding keeps on the device. */
  async close(): Promise<void> {
    await this.#encode.dispose();
  }
}

/** Rows that are kept together. */
class Portion {
  readonly #keep: (rows: ReadonlyMap<string, Float32Array>) => Promise<void>;
  #rows = new Map<string, Float32Array>();
  #bytes = 0;
  #since = performance.now();

  constructor(keep: (rows: ReadonlyMap<string, Float32Array>) => Promise<void>) {
    this.#keep = keep;
  }

  async add(key: string, rows: Float32Array): Promise<void> {
    this.#rows.set(key, rows);
    this.#bytes += rows.byteLength;
    if (this.#bytes >= portionBytes || performance.now() - this.#since >= portionMilliseconds) await this.flush();
  }

  async flush(): Promise<void> {
    const rows = this.#rows;
    this.#rows = new Map();
    this.#bytes = 0;
    await this.#keep(rows);
    this.#since = performance.now();
  }
}
