/** Frames of a webcam against labels: what the worker holds of them, and what it makes of each. */
import { type FrameStream, LiveFrameReader, type Recognizer, scoreViews } from 'actionclip/browser';
import type { Answer, Ask } from '../protocol.ts';
import { type ReadLabels, readLabels } from './labels.ts';
import type { Turn } from './turn.ts';
import { pictureOf } from './video.ts';

interface Following extends ReadLabels {
  readonly recognizer: Recognizer;
  readonly seconds: number;
  readonly stream: FrameStream;
}

export class Live {
  #following: Following | undefined;
  readonly #reader = new LiveFrameReader();

  /** Reads the labels. Frames that were seen with the same model over as many seconds stay known. */
  async follow(recognizer: Recognizer, { labels, seconds }: Ask<'follow'>, turn: Turn): Promise<Answer<'follow'>> {
    const read = await readLabels(recognizer, labels, turn);
    const before = this.#following;
    const isSame = before?.recognizer === recognizer && before.seconds === seconds;
    const stream = isSame ? before.stream : recognizer.stream(seconds);
    this.#following = { ...read, recognizer, seconds, stream };
    return { frames: recognizer.model.frames, seconds, tooLong: read.tooLong };
  }

  /** @throws Error where nothing was asked to be followed. */
  async look({ frame, time, restart }: Ask<'look'>, turn: Turn): Promise<Omit<Answer<'look'>, 'liveBytes'>> {
    const following = this.#following;
    if (following === undefined) throw new Error('there are no labels yet');
    const { recognizer, labels, prompts, stream, seconds } = following;
    const started = performance.now();
    if (restart) stream.restart();
    const taken = await stream.push(await this.#reader.read(frame), time, () => turn.breathe());
    const milliseconds = performance.now() - started;
    const report = { pictures: [pictureOf(taken.frame)], filled: stream.filled, milliseconds };
    // Frames that came while a whole clip was encoded were missed: the next clip has none from before.
    if (!recognizer.model.perFrame && milliseconds > (1000 * seconds) / recognizer.model.frames) stream.restart();
    if (taken.clip === undefined || prompts === undefined) return report;
    const { probabilities, sampled } = scoreViews(taken.clip, prompts, labels);
    return {
      ...report,
      scores: {
        labels,
        probabilities,
        similarities: sampled.map(({ similarities }) => similarities),
        frames: sampled.map(({ index }) => index),
      },
    };
  }

  forget(): void {
    this.#following = undefined;
  }
}
