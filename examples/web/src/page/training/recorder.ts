/** Recording with the webcam: its picture, a countdown over it, and the frames of some seconds. */
import { framesOfClip } from '../../training-protocol.ts';
import { type Camera, CameraError, type CameraFrame, openCamera, type TakeFrame } from '../camera.ts';
import { byId } from '../dom.ts';

/** Seconds in which a webcam that is open must give a picture. */
const patience = 5;

/** The recording was given up by whoever asked for it. */
export class RecordingStopped extends Error {
  override readonly name = 'RecordingStopped';
}

export interface Recording {
  readonly label: string;
  readonly seconds: number;
  /** Seconds before it begins. */
  readonly countdown: number;
  /** Takes a frame; what it throws ends the recording. */
  readonly take: (frame: CameraFrame, isFirst: boolean) => Promise<void>;
}

export class Recorder {
  readonly #place = byId('train-camera', HTMLElement);
  readonly #preview = byId('train-preview', HTMLElement);
  readonly #overlay = byId('train-overlay', HTMLElement);
  readonly #status = byId('train-status', HTMLElement);
  readonly #off = byId('train-camera-off', HTMLButtonElement);
  readonly #lost: (problem: string) => void;
  #camera: Camera | undefined;
  #wanted = new AbortController();

  /** @param lost Told when the webcam goes away while nothing is recorded. */
  constructor(lost: (problem: string) => void) {
    this.#lost = lost;
    this.#off.addEventListener('click', () => this.stop());
    document.addEventListener('visibilitychange', () => {
      if (document.hidden) this.giveUp();
    });
  }

  /**
   * Records once.
   * @throws CameraError where there is no webcam, RecordingStopped where it was given up, and what `take` throws.
   */
  async record({ label, seconds, countdown, take }: Recording): Promise<void> {
    const wanted = new AbortController();
    this.#wanted = wanted;
    const { signal } = wanted;
    try {
      const camera = await this.#opened(signal);
      this.#place.scrollIntoView({ block: 'nearest' });
      for (let left = countdown; left > 0; left--) {
        this.#say(`“${label}” in ${left}`, String(left));
        await after(1, signal);
      }
      this.#say(`Recording “${label}”`, '');
      await this.#frames(camera, { seconds, take, signal });
    } finally {
      this.#place.classList.remove('recording');
      this.#say('', '');
    }
  }

  /** Gives up what is recorded; the webcam stays on. */
  giveUp(): void {
    this.#wanted.abort(new RecordingStopped());
  }

  /** Switches the webcam off, and gives up what is recorded. */
  stop(): void {
    this.giveUp();
    this.#camera?.stop();
    this.#camera = undefined;
    this.#preview.replaceChildren();
    this.#place.hidden = true;
    this.#off.hidden = true;
  }

  async #opened(signal: AbortSignal): Promise<Camera> {
    if (this.#camera !== undefined) return this.#camera;
    const camera = await openCamera((error) => this.#gone(error));
    if (signal.aborted) {
      camera.stop();
      throw signal.reason;
    }
    this.#camera = camera;
    this.#preview.replaceChildren(camera.preview);
    this.#place.hidden = false;
    this.#off.hidden = false;
    return camera;
  }

  #gone(error: CameraError): void {
    this.#wanted.abort(error);
    this.stop();
    this.#lost(error.message);
  }

  /** Frames from the first one on, for so many seconds. */
  #frames(
    camera: Camera,
    { seconds, take, signal }: Pick<Recording, 'seconds' | 'take'> & { signal: AbortSignal },
  ): Promise<void> {
    let unanswered: ReturnType<typeof setTimeout> | undefined;
    let start: number | undefined;
    const result = new Promise<void>((resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      unanswered = setTimeout(() => reject(new CameraError('The webcam gives no picture.')), 1000 * patience);
      const frame: TakeFrame = async (picture, moment) => {
        clearTimeout(unanswered);
        const isFirst = start === undefined;
        start ??= moment;
        this.#place.classList.add('recording');
        this.#place.style.setProperty('--share', String(Math.min(1, (moment - start) / seconds)));
        if (moment - start >= seconds) {
          resolve();
          return;
        }
        await take(picture, isFirst).catch(reject);
      };
      camera.deliver(framesOfClip / seconds, frame);
    });
    return result.finally(() => {
      clearTimeout(unanswered);
      camera.pause();
    });
  }

  #say(sentence: string, large: string): void {
    this.#overlay.textContent = large;
    this.#status.textContent = sentence;
  }
}

/** Resolves after some seconds; rejects with the signal's reason. */
function after(seconds: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, 1000 * seconds);
    signal.addEventListener(
      'abort',
      () => {
        clearTimeout(timer);
        reject(signal.reason);
      },
      { once: true },
    );
  });
}
