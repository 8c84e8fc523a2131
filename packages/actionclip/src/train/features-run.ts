/**
 * Training on features: where the image tower is frozen and every clip has a fixed number of views, frames go through
 * it once, and what is left of a step is the temporal head and the match with texts. The features are kept on disk.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { type Captured, compile, type Tensor, tensor } from '@actionclip/tensor';
import { unit } from '@actionclip/transformer';
import { formatBytes } from '../byte-size.ts';
import { cacheFolder } from '../cache-folder.ts';
import { removeAbandonedWrites } from '../checkpoints/atomic-file.ts';
import type { ClipLoader } from '../data/loader.ts';
import {
  type ClipFeatures,
  concatenated,
  evaluateRows,
  FeatureEncoder,
  type PromptFeatures,
} from '../evaluate/features.ts';
import type { PromptTokens } from '../evaluate/prompt-tokens.ts';
import { cachedPrompts, textSpace } from '../evaluate/text-cache.ts';
import { nodeDigest, openFileTextCache } from '../evaluate/text-cache-files.ts';
import { InterruptedError } from '../interrupted.ts';
import { FrameFeatures } from './features-cache.ts';
import { FeatureLoader } from './features-loader.ts';
import type { TrainingRun } from './training-run.ts';

const gigabyte = 2 ** 30;
/** What a run may hold in memory. */
const memoryLimit = 4 * gigabyte;
/** What all runs together may keep on disk; what was not used for longest goes first. */
const diskLimit = 16 * gigabyte;

export const featureFolder = (): string => join(cacheFolder(), 'features');

export type FeatureRun = Pick<TrainingRun, 'config' | 'data' | 'opened' | 'signal' | 'progress'>;

/** Why a run with a frozen image tower has to encode its frames in every epoch; undefined where it need not. */
function obstacle({ config: { network, data }, data: clips, opened: { model } }: FeatureRun): string | undefined {
  if (data.featureViews === undefined) {
    return 'every epoch draws its own frames and augmentation; data.feature_views: K keeps K views of each clip';
  }
  if (network.dropout > 0 || network.embeddingDropout > 0) {
    return 'dropout changes its features at random; set network.drop_out and network.emb_dropout to 0';
  }
  const rows = model.joint ? 1 : model.frames;
  const bytes =
    (clips.train.length * data.featureViews + clips.validation.length) * rows * model.clip.sizes.embedding * 4;
  return bytes > memoryLimit
    ? `their features take ${formatBytes(bytes)}, more than the ${formatBytes(memoryLimit)} held in memory; lower data.feature_views`
    : undefined;
}

/** Features in place of frames for a run; undefined, with the reason told, where the run needs the frames. */
export function featuresOf(run: FeatureRun): FrozenFeatures | undefined {
  const { config } = run;
  if (config.evaluateOnly || !config.network.freezeImage) return undefined;
  const reason = obstacle(run);
  if (reason === undefined) return new FrozenFeatures(run);
  run.progress?.message(`Frames go through the frozen image tower in every epoch, since ${reason}`);
  return undefined;
}

const stoppedAfter = (views: number): string =>
  `Stopped after ${views} clip views were encoded; the same command goes on from there`;

export class FrozenFeatures {
  /** Whether the text tower is frozen too, so that steps take features of prompts in place of tokens. */
  readonly hasTexts: boolean;
  readonly #run: FeatureRun;
  readonly #frames: FrameFeatures;
  readonly #fused: Captured<[Tensor], Tensor>;
  readonly #told = new Set<string>();
  #validation: FeatureLoader | undefined;

  constructor(run: FeatureRun) {
    const { config, opened } = run;
    const { model } = opened;
    const folder = featureFolder();
    this.#run = run;
    this.hasTexts = config.network.freezeText;
    const cache = openFileTextCache({
      folder,
      what: 'Features of frames',
      limitBytes: diskLimit,
      limitFiles: 65536,
      onProblem: (message) => this.#tell(message),
    });
    this.#frames = new FrameFeatures(model, { cache, folder });
    this.#fused = compile((features: Tensor) => unit(model.fusion.forward(features)));
  }

  /**
   * Batches of features for those of the loader. The model has the weights that its frozen towers keep.
   * @throws DataError for a clip that cannot be read, InterruptedError where the run's signal was set off.
   */
  async training(loader: ClipLoader): Promise<FeatureLoader> {
    const { config, progress } = this.#run;
    const { featureViews: views = 1 } = config.data;
    const each = views === 1 ? 'one augmented view' : `${views} augmented views`;
    progress?.message(
      `The image tower is frozen: the features of ${each} of each clip are computed once and kept in ${featureFolder()} ` +
        `(${formatBytes(diskLimit)} at most; it may be deleted at any time)`,
    );
    await removeAbandonedWrites(featureFolder());
    return this.#loader(loader, views, 'clip views');
  }

  /**
   * Features of all prompts by the frozen text tower, kept on disk as those of this very list: what is encoded together
   * chooses the kernels and with them the rounding.
   */
  async prompts(prompts: PromptTokens): Promise<PromptFeatures> {
    const { opened, signal } = this.#run;
    const { tokens } = prompts;
    const bytes = new Uint8Array(tokens.buffer, tokens.byteOffset, tokens.byteLength);
    const hash = createHash('sha256')
      .update(await textSpace(opened.model, nodeDigest))
      .update(bytes);
    const cache = openFileTextCache({ onProblem: (message) => this.#tell(message) });
    const encoder = new FeatureEncoder(opened.model);
    try {
      const texts = { cache, space: hash.digest('hex') };
      return await cachedPrompts(encoder, prompts, { texts, ...(signal === undefined ? {} : { signal }) });
    } finally {
      await encoder.close();
    }
  }

  /**
   * Features of held-out clips, of unit length, by the temporal head as it is now.
   * @param batchSize Clips in a batch of the loader.
   */
  async clips(loader: ClipLoader, batchSize: number): Promise<ClipFeatures> {
    const { model } = this.#run.opened;
    this.#validation ??= await this.#loader(loader, 1, 'held-out clips');
    const width = model.clip.sizes.embedding;
    const parts: Float32Array[] = [];
    const labels: number[] = [];
    const indices: number[] = [];
    for await (const batch of this.#validation.batches({ epoch: 0, batchIndex: 0 })) {
      const [count, rows] = batch.shape;
      const filled = new Float32Array(batchSize * rows * width);
      filled.set(batch.frames);
      const input = tensor(filled, { shape: [batchSize, rows, width] });
      parts.push((await evaluateRows(model, this.#fused, input)).subarray(0, count * width));
      labels.push(...batch.labels);
      indices.push(...batch.indices);
    }
    await this.#fused.trim();
    const places = { labels: Int32Array.from(labels), indices: Int32Array.from(indices) };
    return { rows: concatenated(parts), width, views: 1, ...places };
  }

  async #loader(loader: ClipLoader, views: number, what: string): Promise<FeatureLoader> {
    const { opened, signal, progress } = this.#run;
    const started = performance.now();
    const seconds = (): number => (performance.now() - started) / 1000;
    // A sentence tells of the end, and of what takes but a moment.
    const show = (what: string, done: number, total: number, after: number): void => {
      if (done < total && seconds() > 1) progress?.preparation({ what, done, total, perSecond: done / after });
    };
    let readAfter = 0;
    let encoded = 0;
    const work = this.#frames.table(loader, {
      views,
      ...(signal === undefined ? {} : { signal }),
      onRead: ({ clips, totalClips }) => {
        show('clips read', clips, totalClips, seconds());
        readAfter = seconds();
      },
      onEncoded: ({ views: done, totalViews }) => {
        encoded = done;
        show(`${what} encoded`, done, totalViews, seconds() - readAfter);
      },
    });
    const table = await work
      .finally(() => progress?.done())
      .catch((error: unknown) => {
        throw error instanceof InterruptedError ? new InterruptedError(stoppedAfter(encoded)) : error;
      });
    await this.#frames.trim();
    const bytes = table.flat().reduce((sum, clip) => sum + (clip?.rows.byteLength ?? 0), 0);
    const total = views * loader.dataset.entries.length;
    progress?.message(
      `Features of ${total} ${what} (${formatBytes(bytes)}) in ${seconds().toFixed(1)} s, ${total - encoded} of them kept from before`,
    );
    return new FeatureLoader(loader, table, opened.model.clip.sizes.embedding);
  }

  /** Says what went wrong with the store, once. */
  #tell(message: string): void {
    if (!this.#told.has(message)) this.#run.progress?.message(message);
    this.#told.add(message);
  }

  /** Gives back what encoding keeps on the device. */
  async close(): Promise<void> {
    await this.#frames.close();
    await this.#fused.dispose();
  }
}
