/** Live recognition: the webcam's frames to the worker, one at a time, and what came of each to the page. */
import type { Ask, LookReport } from '../protocol.ts';
import { type Camera, CameraError, type CameraFrame, openCamera } from './camera.ts';
import { byId } from './dom.ts';

/** Of the time that a turn takes, and of the time from one to the next: the newest counts so much. */
const weightOfNewest = 0.2;

export interface LiveEvents {
  /** A person starts the webcam, or it is over; then with what went wrong, if anything. */
  readonly started: () => void;
  readonly ended: (problem: string | undefined) => void;
  /** There is a picture to show, until the end. */
  readonly opened: (preview: HTMLVideoElement) => void;
  /** The window was changed. */
  readonly changed: () => void;
  /** Has the worker look at a frame; undefined where it cannot now. */
  readonly look: (ask: Ask<'look'>, signal: AbortSignal) => Promise<LookReport | undefined>;
  readonly seen: (report: LookReport, pace: Pace) => void;
}

/** Means over the last turns. */
export interface Pace {
  /** Milliseconds from handing a frame over to the answer. */
  readonly latency: number;
  readonly framesPerSecond: number;
}

export class LiveRecognition {
  readonly #events: LiveEvents;
  readonly #button = byId('webcam', HTMLButtonElement);
  readonly #window = byId('live-window', HTMLSelectElement);
  readonly #fields = { live: byId('live-field', HTMLElement), video: byId('window-field', HTMLElement) };
  /** Whether a person wants it; it may not be there yet. */
  #isOn = false;
  #camera: Camera | undefined;
  /** Set off when the webcam is given up. */
  #wanted = new AbortController();
  #framesPerSecond = 1;
  #isFirst = true;
  #pace: { latency: number; interval: number; at: number } | undefined;

  constructor(events: LiveEvents) {
    this.#events = events;
    this.#button.addEventListener('click', () => {
      if (this.#isOn) this.stop();
      else void this.start();
    });
    this.#window.addEventListener('change', () => events.changed());
    document.addEventListener('visibilitychange', () => {
      if (document.hidden) this.#camera?.pause();
      else this.restart();
    });
  }

  get isOn(): boolean {
    return this.#isOn;
  }

  /** Seconds that are looked at. */
  get seconds(): number {
    return Number(this.#window.value);
  }

  /** Hands over as many frames as the model takes of a window. */
  set framesPerSecond(framesPerSecond: number) {
    if (framesPerSecond === this.#framesPerSecond) return;
    this.#framesPerSecond = framesPerSecond;
    this.restart();
  }

  /** Begins another window with the next frame, in the same webcam. */
  restart(): void {
    this.#isFirst = true;
    this.#pace = undefined;
    if (document.hidden) return;
    this.#camera?.deliver(this.#framesPerSecond, (frame, seconds) => this.#take(frame, seconds));
  }

  /** Switches the webcam off. */
  stop(problem?: string): void {
    if (!this.#isOn) return;
    this.#camera?.stop();
    this.#camera = undefined;
    this.#wanted.abort();
    this.#show(false);
    this.#events.ended(problem);
  }

  /** Asks for the webcam; what is wrong with it is said by `ended`. */
  async start(): Promise<void> {
    this.#wanted = new AbortController();
    this.#show(true);
    this.#events.started();
    try {
      const camera = await openCamera(({ message }) => this.stop(message));
      // Whoever asked may have given it up, and asked again, before the browser was done asking.
      if (!this.#isOn || this.#camera !== undefined) {
        camera.stop();
        return;
      }
      this.#camera = camera;
      this.#events.opened(camera.preview);
      this.restart();
    } catch (error) {
      if (!(error instanceof CameraError)) throw error;
      this.stop(error.message);
    }
  }

  async #take(frame: CameraFrame, time: number): Promise<void> {
    const { signal } = this.#wanted;
    const started = performance.now();
    const report = await this.#events.look({ frame, time, restart: this.#isFirst }, signal);
    if (report === undefined) this.#pace = undefined;
    if (report === undefined || signal.aborted) return;
    this.#isFirst = false;
    this.#events.seen(report, this.#paceWith(performance.now() - started, started));
  }

  #paceWith(latency: number, at: number): Pace {
    const last = this.#pace;
    const mean = (before: number, newest: number): number => before + weightOfNewest * (newest - before);
    this.#pace = {
      latency: last === undefined ? latency : mean(last.latency, latency),
      interval: last === undefined ? 1000 / this.#framesPerSecond : mean(last.interval, at - last.at),
      at,
    };
    return { latency: this.#pace.latency, framesPerSecond: 1000 / this.#pace.interval };
  }

  #show(isOn: boolean): void {
    this.#isOn = isOn;
    this.#button.textContent = isOn ? 'Stop the webcam' : 'Use the webcam';
    this.#fields.live.hidden = !isOn;
    this.#fields.video.hidden = isOn;
  }
}
