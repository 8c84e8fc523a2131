/**
 * Recognition of actions in videos with any label set at run time: labels and videos are encoded apart, so that a
 * change of the one does not touch the other. Runs in browsers.
 */
import { type BytePairTokenizer, loadCharacterReferences } from '@actionclip/tokenizer';
import { DataError } from '../data/errors.ts';
import type { FrameSource } from '../data/frame-source.ts';
import { ImageError } from '../data/image/image.ts';
import { FeatureEncoder, type PromptFeatures } from '../evaluate/features.ts';
import { type LongLabel, longLabels, promptTokens } from '../evaluate/prompt-tokens.ts';
import { cachedPrompts, type TextCacheSpace } from '../evaluate/text-cache.ts';
import { throwIfInterrupted } from '../interrupted.ts';
import type { ActionCLIP } from '../model/action-clip.ts';
import { TEMPLATE_SETS } from '../prompts/template-sets.ts';
import { embedVideo } from './embed.ts';
import { scoreViews } from './score.ts';
import { type FrameStream, TowerStream } from './stream.ts';
import { VideoTowers } from './towers.ts';
import type {
  Classification,
  ClassifyOptions,
  EmbeddingOutcome,
  LabelOptions,
  VideoEmbedding,
  VideoOutcome,
  ViewOptions,
} from './types.ts';

export interface RecognizerOptions {
  /** Shorter side of a frame, in pixels, before the centre crop of the model's input size; as released if absent. */
  readonly shortSide?: number;
  /**
   * Mixed: matrix products of the image tower take factors of half precision, which devices with such units multiply
   * faster; f32 unless told.
   */
  readonly precision?: 'f32' | 'mixed';
  /** Texts around the labels where none are asked for; the sixteen of ActionCLIP unless told. */
  readonly templates?: readonly string[];
  /** Where text features are kept that were computed before; asked for when labels are first encoded. */
  readonly texts?: () => Promise<TextCacheSpace>;
}

/** A video that is opened when its turn comes. */
export interface NamedVideo {
  readonly path: string;
  readonly open: () => Promise<FrameSource>;
}

export class Recognizer {
  readonly model: ActionCLIP;
  readonly tokenizer: BytePairTokenizer;
  readonly #options: RecognizerOptions;
  readonly #towers: VideoTowers;
  readonly #texts: FeatureEncoder;
  #space: Promise<TextCacheSpace> | undefined;

  constructor(model: ActionCLIP, tokenizer: BytePairTokenizer, options: RecognizerOptions = {}) {
    this.model = model;
    this.tokenizer = tokenizer;
    this.#options = options;
    this.#towers = new VideoTowers(model, options.precision);
    this.#texts = new FeatureEncoder(model);
  }

  /** Texts around the labels where none are asked for. */
  get templates(): readonly string[] {
    return this.#options.templates ?? TEMPLATE_SETS.actionclip.templates;
  }

  /**
   * Unit features of every label in every template.
   * @throws PromptError for an empty label or a template without its place, TextTooLongError for a prompt beyond the context.
   */
  async embedLabels(
    labels: readonly string[],
    { templates = this.templates, signal }: LabelOptions = {},
  ): Promise<PromptFeatures> {
    throwIfInterrupted(signal);
    await loadCharacterReferences([...labels, ...templates]);
    const { context } = this.model.clip.sizes.text;
    const tokens = promptTokens(labels, this.tokenizer, context, templates);
    this.#space ??= this.#options.texts?.();
    const texts = await this.#space;
    return cachedPrompts(this.#texts, tokens, {
      ...(texts === undefined ? {} : { texts }),
      ...(signal === undefined ? {} : { signal }),
    });
  }

  /**
   * The labels that `embedLabels` would refuse as too long: to be left out, or shortened, before it is called.
   * @throws PromptError for an empty label or a template without its place.
   */
  async longLabels(
    labels: readonly string[],
    { templates = this.templates }: Pick<LabelOptions, 'templates'> = {},
  ): Promise<LongLabel[]> {
    await loadCharacterReferences([...labels, ...templates]);
    return longLabels(labels, this.tokenizer, this.model.clip.sizes.text.context, templates);
  }

  /**
   * Unit features of a video's views. Frames are encoded as they are decoded, so that hours of video fit in memory.
   * @throws RecognitionError for an option that makes no sense, DataError for a video that cannot be read.
   */
  embedVideo(source: FrameSource, options: ViewOptions = {}): Promise<VideoEmbedding> {
    return embedVideo(this.#towers, source, options, this.#options.shortSide);
  }

  /**
   * Features of the last seconds of frames that go on and on, such as those of a webcam.
   * @throws RecognitionError for a span that is not above 0.
   */
  stream(seconds: number): FrameStream {
    return new TowerStream(this.#towers, seconds, this.#options.shortSide);
  }

  /** Probabilities of labels in a video, from its frames on. */
  async classify(
    source: FrameSource,
    labels: readonly string[],
    options: ClassifyOptions = {},
  ): Promise<Classification> {
    const prompts = await this.embedLabels(labels, options);
    return scoreViews(await this.embedVideo(source, options), prompts, labels);
  }

  /** The same for many videos, in their order. One that cannot be read is an error of its own, and the others go on. */
  async *classifyAll(
    videos: Iterable<NamedVideo> | AsyncIterable<NamedVideo>,
    labels: readonly string[],
    options: ClassifyOptions = {},
  ): AsyncGenerator<VideoOutcome> {
    const prompts = await this.embedLabels(labels, options);
    for await (const video of videos) {
      const outcome = await this.embed(video, options);
      yield 'error' in outcome
        ? outcome
        : { path: video.path, classification: scoreViews(outcome.embedding, prompts, labels) };
    }
  }

  /** Features of one of many videos; one that cannot be read is an answer, not an error. */
  async embed({ path, open }: NamedVideo, options: ViewOptions = {}): Promise<EmbeddingOutcome> {
    throwIfInterrupted(options.signal);
    try {
      const source = await open();
      try {
        return { path, embedding: await this.embedVideo(source, options) };
      } finally {
        await source.close();
      }
    } catch (error) {
      if (options.signal?.aborted || !(error instanceof DataError || error instanceof ImageError)) throw error;
      return { path, error };
    }
  }

  /** Gives back what recognition keeps on the device; the model stays. */
  async close(): Promise<void> {
    await this.#towers.close();
    await this.#texts.close();
  }
}
