/** A video to unit features of its views, in one pass over its frames and in memory for what is shown. */
import type { FrameSource } from '../data/frame-source.ts';
import type { Image } from '../data/image/image.ts';
import { throwIfInterrupted } from '../interrupted.ts';
import { collectorOf, type FrameCollector } from './collect.ts';
import { RecognitionError } from './errors.ts';
import { type Squares, squaresOf } from './squares.ts';
import { unitRow, type VideoTowers } from './towers.ts';
import type { EmbeddedWindow, VideoEmbedding, ViewOptions } from './types.ts';
import {
  chooseViews,
  clipFrames,
  durationOf,
  evenly,
  type Span,
  slidingWindows,
  type View,
  type ViewChoice,
  viewsOf,
  windowFrames,
} from './views.ts';

/** What is looked at in a video of so many frames. */
interface Plan {
  /** Frames of the video. */
  readonly count: number;
  /** Without a window there is one, over the whole video. */
  readonly spans: readonly Span[] | undefined;
  readonly views: readonly View[];
  /** Every frame that a view has, ascending. */
  readonly frames: readonly number[];
  /** Those of them whose pictures are kept. */
  readonly shown: ReadonlySet<number>;
}

/**
 * Encodes a video.
 * @param shortSide Shorter side of a frame before the centre crop; as released if absent.
 * @throws RecognitionError for an option that makes no sense, DataError for a video that cannot be read.
 */
export async function embedVideo(
  towers: VideoTowers,
  source: FrameSource,
  options: ViewOptions,
  shortSide?: number,
): Promise<VideoEmbedding> {
  const choice = chooseViews(options);
  const side = towers.model.clip.sizes.vision.resolution;
  const squares = squaresOf(choice.crops, side, shortSide);
  // A container may be wrong about its frames; after a pass the source knows better, and is read again.
  for (let attempt = 0; attempt < 2; attempt++) {
    const pass = new Pass(towers, choice, squares, options);
    const count = await source.readEach(
      (frames, times) => pass.choose(frames, times),
      (index, image) => pass.visit(index, image),
    );
    if (pass.plan?.count === count) return pass.end(await source.frameTimes());
  }
  throw new RecognitionError('the video has another number of frames each time it is read', 'replace the video');
}

/** One pass over the frames, which are chosen by the first number of frames that the source gives. */
class Pass {
  readonly #towers: VideoTowers;
  readonly #choice: ViewChoice;
  readonly #squares: Squares;
  readonly #options: ViewOptions;
  readonly #shownCrop: number;
  /** What is looked at, once it was chosen. */
  plan: Plan | undefined;
  #collector: FrameCollector | undefined;
  readonly #images = new Map<number, Image>();

  constructor(towers: VideoTowers, choice: ViewChoice, squares: Squares, options: ViewOptions) {
    this.#towers = towers;
    this.#choice = choice;
    this.#squares = squares;
    this.#options = options;
    this.#shownCrop = choice.crops === 1 ? 0 : 1;
  }

  choose(count: number, times: readonly number[]): readonly number[] {
    if (this.plan !== undefined) return this.plan.count === count ? this.plan.frames : [];
    const plan = planViews(this.#choice, this.#towers.model.frames, count, times);
    this.plan = plan;
    let pictures = 0;
    const { model } = this.#towers;
    const totalPictures = model.perFrame ? plan.frames.length * this.#choice.crops : plan.views.length * model.frames;
    this.#collector = collectorOf({
      towers: this.#towers,
      views: plan.views,
      shownCrop: this.#shownCrop,
      beforeBatch: () => throwIfInterrupted(this.#options.signal),
      afterBatch: (some) => {
        pictures += some;
        this.#options.onEncoded?.({ pictures, totalPictures });
      },
    });
    return plan.frames;
  }

  async visit(index: number, image: Image): Promise<void> {
    throwIfInterrupted(this.#options.signal);
    const { plan, collector } = this.#begun();
    if (!collector.wants(index)) return;
    const squares = this.#squares(image);
    const shown = squares[this.#shownCrop];
    if (shown !== undefined && plan.shown.has(index)) this.#images.set(index, shown);
    await collector.visit(index, squares);
  }

  async end(times: readonly number[]): Promise<VideoEmbedding> {
    const { plan, collector } = this.#begun();
    await collector.finish();
    const width = this.#towers.model.clip.sizes.embedding;
    const rows = await this.#towers.fuse(plan.views.map((_, at) => collector.ofView(at)));
    const duration = durationOf(times);
    const spans = plan.spans ?? [{ start: 0, end: duration }];
    const perWindow = (plan.views.length / spans.length) * width;
    const windows = spans.map(
      (span, at): EmbeddedWindow => ({
        ...span,
        views: { rows: rows.subarray(at * perWindow, (at + 1) * perWindow), width },
      }),
    );
    const sampled = [...this.#images]
      .sort(([a], [b]) => a - b)
      .map(([index, image]) => ({
        index,
        time: times[index] ?? 0,
        image,
        feature: unitRow(collector.ofFrame(index)),
      }));
    return { frames: plan.count, duration, sampled, windows };
  }

  #begun(): { readonly plan: Plan; readonly collector: FrameCollector } {
    if (this.plan === undefined || this.#collector === undefined)
      throw new RangeError('frames were read before any were chosen');
    return { plan: this.plan, collector: this.#collector };
  }
}

/** Windows and views for a video of so many frames, shown at these times. */
function planViews(
  { clips, crops, window, stride, pictures }: ViewChoice,
  length: number,
  count: number,
  times: readonly number[],
): Plan {
  const spans =
    window === undefined || stride === undefined ? undefined : slidingWindows(durationOf(times), window, stride);
  const views =
    spans === undefined
      ? viewsOf(0, clipFrames(count, length, clips), crops)
      : spans.flatMap((span, at) => viewsOf(at, windowFrames(times, span, length, clips), crops));
  const frames = [...new Set(views.flatMap((view) => view.frames))].sort((a, b) => a - b);
  return { count, spans, views, frames, shown: new Set(evenly(frames, pictures)) };
}
