/** Features of a trained model over whole data sets: clips and prompts, batch by batch in programs of one shape. */
import { type Captured, compile, type Tensor, tensor } from '@actionclip/tensor';
import { unit } from '@actionclip/transformer';
import { viewCount } from '../data/dataset-views.ts';
import type { ClipBatch, ClipLoader } from '../data/loader.ts';
import { Random } from '../data/random.ts';
import { throwIfInterrupted } from '../interrupted.ts';
import type { ActionCLIP } from '../model/action-clip.ts';
import type { PromptTokens } from './prompt-tokens.ts';

/** Rows of unit length, row-major. */
export interface FeatureRows {
  readonly rows: Float32Array;
  readonly width: number;
}

/** Rows [clips, views, width]. */
export interface ClipFeatures extends FeatureRows {
  /** Views of each clip, one row each: times and crops whose probabilities are averaged; 1 if absent. */
  readonly views?: number;
  /** Class of each clip. */
  readonly labels: Int32Array;
  /** Place of each clip in the data set. */
  readonly indices: Int32Array;
}

export interface PromptFeatures extends FeatureRows {
  readonly templates: number;
  readonly classes: number;
}

export interface ClipFeatureOptions {
  /** Puts the frames of every clip in a random order, drawn from this seed and the clip's place in the data set. */
  readonly shuffleFrames?: number;
  readonly signal?: AbortSignal;
  readonly onBatch?: (progress: { readonly clips: number; readonly totalClips: number }) => void;
}

/** Most prompts that are encoded at once. */
const promptBatch = 64;

/**
 * Encodes clips and prompts with a model in evaluation mode. Each kind is captured once: a batch that is not full is
 * filled up with zeros, whose rows are dropped.
 */
export class FeatureEncoder {
  readonly #model: ActionCLIP;
  readonly #video: Captured<[Tensor], Tensor>;
  readonly #text: Captured<[Tensor], Tensor>;

  constructor(model: ActionCLIP) {
    this.#model = model;
    this.#video = compile((frames: Tensor) => unit(model.encodeVideo(frames)));
    this.#text = compile((tokens: Tensor) => unit(model.encodeText(tokens)));
  }

  /** Columns of the features. */
  get width(): number {
    return this.#model.clip.sizes.embedding;
  }

  /**
   * Features of all clips of a loader, in its order.
   * @param batchSize Views that are encoded at once: clips, where each has one.
   * @throws InterruptedError where the signal was set off.
   */
  async clips(loader: ClipLoader, batchSize: number, options: ClipFeatureOptions = {}): Promise<ClipFeatures> {
    const { width } = this;
    const views = viewCount(loader.dataset);
    const parts: Float32Array[] = [];
    const labels: number[] = [];
    const indices: number[] = [];
    const totalClips = loader.dataset.entries.length;
    for await (const batch of loader.batches({ epoch: 0, batchIndex: 0 })) {
      const each = eachView(batch, views);
      for (let first = 0; first < each.shape[0]; first += batchSize) {
        throwIfInterrupted(options.signal);
        const part = slicedViews(each, first, batchSize);
        const [count, ...clipShape] = part.shape;
        const frames = fullFrames(part, batchSize, options.shuffleFrames);
        const input = tensor(frames, { shape: [batchSize, ...clipShape] });
        const features = await evaluateRows(this.#model, this.#video, input);
        parts.push(features.subarray(0, count * width));
      }
      labels.push(...batch.labels);
      indices.push(...batch.indices);
      options.onBatch?.({ clips: labels.length, totalClips });
    }
    return {
      rows: concatenated(parts),
      width,
      views,
      labels: Int32Array.from(labels),
      indices: Int32Array.from(indices),
    };
  }

  /** Features of all prompts of a label set, template-major. */
  async prompts({ tokens, length, templates, classes }: PromptTokens): Promise<PromptFeatures> {
    const { width } = this;
    const count = templates * classes;
    const rows = evenBatch(count, promptBatch);
    const parts: Float32Array[] = [];
    for (let first = 0; first < count; first += rows) {
      const chunk = new Int32Array(rows * length);
      chunk.set(tokens.subarray(first * length, (first + rows) * length));
      const features = await evaluateRows(this.#model, this.#text, tensor(chunk, { shape: [rows, length] }));
      parts.push(features.subarray(0, Math.min(rows, count - first) * width));
    }
    return { rows: concatenated(parts), width, templates, classes };
  }

  /** Gives back the memory that encoding keeps on the device until it is used again. */
  async trim(): Promise<void> {
    await this.#video.trim();
    await this.#text.trim();
  }

  /** Gives back all that encoding keeps on the device. */
  async close(): Promise<void> {
    await this.#video.dispose();
    await this.#text.dispose();
  }
}

/** Runs a captured function on an input of its own with dropout off; the mode of the model is left as it was. */
export async function evaluateRows(
  model: ActionCLIP,
  encode: (input: Tensor) => Promise<Tensor>,
  input: Tensor,
): Promise<Float32Array> {
  const { training } = model;
  model.eval();
  try {
    const output = await encode(input);
    const rows = Float32Array.from(await output.data());
    output.dispose();
    return rows;
  } finally {
    input.dispose();
    model.train(training);
  }
}

/**
 * Rows of each batch when `count` rows are taken at most `limit` at a time in batches of one size: as few batches, and
 * as few empty rows in the last, as can be.
 */
export function evenBatch(count: number, limit: number): number {
  return Math.max(1, Math.ceil(count / Math.max(1, Math.ceil(count / limit))));
}

type Views = Pick<ClipBatch, 'frames' | 'shape' | 'indices'>;

/** The views of a batch's clips as clips of their own. */
function eachView({ frames, shape, indices }: ClipBatch, views: number): Views {
  const [clips, length, ...picture] = shape;
  return {
    frames,
    shape: [clips * views, length / views, ...picture],
    indices: Int32Array.from({ length: clips * views }, (_, view) => indices[Math.floor(view / views)] ?? 0),
  };
}

/** At most `count` of them. */
function slicedViews({ frames, shape, indices }: Views, first: number, count: number): Views {
  const [views, ...rest] = shape;
  const bytes = frames.length / views;
  const last = Math.min(views, first + count);
  return {
    frames: frames.subarray(first * bytes, last * bytes),
    shape: [last - first, ...rest],
    indices: indices.subarray(first, last),
  };
}

/** The frames of a batch, filled up to `batchSize` clips, each clip's frames permuted where a seed is given. */
function fullFrames(batch: Views, batchSize: number, seed: number | undefined): Uint8Array {
  const [clips, frames, channels, height, width] = batch.shape;
  const frameBytes = channels * height * width;
  if (seed === undefined && clips === batchSize) return batch.frames;
  const filled = new Uint8Array(batchSize * frames * frameBytes);
  if (seed === undefined) {
    filled.set(batch.frames);
    return filled;
  }
  const random = new Random(seed);
  for (let clip = 0; clip < clips; clip++) {
    const order = Array.from({ length: frames }, (_, frame) => frame);
    random.fork('frame order', batch.indices[clip] ?? clip).shuffle(order);
    order.forEach((from, to) => {
      const start = (clip * frames + from) * frameBytes;
      filled.set(batch.frames.subarray(start, start + frameBytes), (clip * frames + to) * frameBytes);
    });
  }
  return filled;
}

/** The parts one after the other. */
export function concatenated(parts: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
