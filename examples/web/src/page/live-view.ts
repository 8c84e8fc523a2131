/** What is shown of live recognition: bars, a filmstrip that passes by, the pace, and now and then a word for the ear. */
import type { LookReport, Picture } from '../protocol.ts';
import type { Bars } from './bars.ts';
import { byId, percent } from './dom.ts';
import type { Frames } from './frames.ts';
import type { Pace } from './live.ts';

/** Milliseconds between two announcements of a best label. */
const calm = 3000;

export class LiveView {
  readonly #bars: Bars;
  readonly #frames: Frames;
  readonly #extent = byId('extent', HTMLElement);
  readonly #status = byId('status', HTMLElement);
  /** Frames that a window to come may have. */
  readonly #pictures = new Map<number, Picture>();
  #announced: { readonly label: string; readonly at: number } | undefined;

  constructor(bars: Bars, frames: Frames) {
    this.#bars = bars;
    this.#frames = frames;
  }

  /** Forgets the frames. */
  clear(): void {
    this.#pictures.clear();
    this.#announced = undefined;
  }

  /**
   * Shows what came of a frame.
   * @param seconds Of a window.
   * @returns Whether there is a result already.
   */
  show({ pictures, scores }: LookReport, { latency, framesPerSecond }: Pace, seconds: number): boolean {
    for (const picture of pictures) this.#pictures.set(picture.index, picture);
    if (scores === undefined) return false;
    const [oldest = 0] = scores.frames;
    for (const index of this.#pictures.keys()) if (index < oldest) this.#pictures.delete(index);
    this.#bars.show(scores);
    this.#frames.filmLive(
      scores.frames.flatMap((index) => this.#pictures.get(index) ?? []),
      seconds,
    );
    this.#frames.score(scores);
    const pace = `${latency.toFixed(0)} ms a frame, ${framesPerSecond.toFixed(1)} frames a second`;
    this.#extent.textContent = `The last ${seconds} s in ${scores.frames.length} frames; ${pace}`;
    const best = scores.probabilities.indexOf(Math.max(...scores.probabilities));
    this.#announce(scores.labels[best] ?? '', scores.probabilities[best] ?? 0);
    return true;
  }

  #announce(label: string, probability: number): void {
    const now = performance.now();
    if (this.#announced?.label === label || now - (this.#announced?.at ?? Number.NEGATIVE_INFINITY) < calm) return;
    this.#announced = { label, at: now };
    this.#status.textContent = `${label}, ${percent(probability)}`;
  }
}
