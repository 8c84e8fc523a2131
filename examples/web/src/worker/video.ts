/** Videos for the worker: read in turns, measured, and shown as pixels. */
import type { FrameSource, ViewOptions } from 'actionclip/browser';
import type { Picture } from '../protocol.ts';
import type { Turn } from './turn.ts';

/** The same frames; before each of them messages are let in, and what decoding takes is told from what is done with them. */
export class MeasuredSource implements FrameSource {
  readonly access: FrameSource['access'];
  readonly #source: FrameSource;
  readonly #turn: Turn;
  /** Milliseconds that were spent on frames that had been decoded. */
  visited = 0;

  constructor(source: FrameSource, turn: Turn) {
    this.access = source.access;
    this.#source = source;
    this.#turn = turn;
  }

  frameCount(): Promise<number> {
    return this.#source.frameCount();
  }

  frameTimes(): Promise<readonly number[]> {
    return this.#source.frameTimes();
  }

  read(...values: Parameters<FrameSource['read']>): ReturnType<FrameSource['read']> {
    return this.#source.read(...values);
  }

  readChosen(...values: Parameters<FrameSource['readChosen']>): ReturnType<FrameSource['readChosen']> {
    return this.#source.readChosen(...values);
  }

  async readEach(...[choose, visit]: Parameters<FrameSource['readEach']>): Promise<number> {
    let chosen: readonly number[] = [];
    return this.#source.readEach(
      (count, times) => {
        chosen = choose(count, times);
        return chosen;
      },
      async (index, image) => {
        await this.#turn.breathe();
        const progress = ['Looking at the frames', chosen.indexOf(index) + 1, chosen.length] as const;
        this.#turn.report(...progress);
        const started = performance.now();
        await visit(index, image);
        this.visited += performance.now() - started;
        this.#turn.reportReading(...progress);
      },
    );
  }

  close(): Promise<void> {
    return this.#source.close();
  }
}

/** Seconds from which a video is seen through a sliding window, and of the shortest one. */
const longVideo = 4;
const shortestWindow = 2;
/** Windows that a long video has at most unless a person asks for shorter ones, half of each in the next. */
const usualWindows = 60;

/**
 * The sliding window for a video of some seconds.
 * @param asked Seconds; 0 for none, and what suits the length if undefined.
 */
export function windowOf(duration: number, asked: number | undefined): Pick<ViewOptions, 'window'> {
  if (asked === 0 || (asked === undefined && duration < longVideo)) return {};
  return { window: asked ?? Math.max(shortestWindow, (2 * duration) / usualWindows) };
}

/** RGB as the RGBA that a canvas takes. */
export function pictureOf({ index, time, image }: { index: number; time: number; image: Rgb }): Picture {
  const { width, height, data } = image;
  const pixels = new Uint8ClampedArray(4 * width * height).fill(255);
  for (let from = 0, to = 0; from < data.length; from += 3, to += 4) {
    pixels[to] = data[from] as number;
    pixels[to + 1] = data[from + 1] as number;
    pixels[to + 2] = data[from + 2] as number;
  }
  return { index, time, width, height, pixels };
}

interface Rgb {
  readonly width: number;
  readonly height: number;
  readonly data: ArrayLike<number>;
}
