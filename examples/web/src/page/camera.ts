/**
 * The webcam: asked for, shown, and handed over frame by frame. A frame is made when it is wanted and closed when whoever
 * took it is done with it, so there is never more than one.
 */
import { element } from './dom.ts';

/** Pixels across that are asked for. */
const widestFrame = 640;
/** The browser shows a camera's frames when it draws, some milliseconds early or late: that much of a period. */
const leeway = 0.25;

/** Why there is no webcam, in a sentence for a person. */
export class CameraError extends Error {
  override readonly name = 'CameraError';
}

/** By the names of what `getUserMedia` throws. */
const reasons: Readonly<Record<string, string>> = {
  NotAllowedError: 'The webcam was refused: allow it for this page in the browser, and try again.',
  SecurityError: 'The webcam is not allowed in this page by the browser or by whoever serves it.',
  NotFoundError: 'There is no webcam here.',
  OverconstrainedError: 'There is no webcam here with pictures of a fitting size.',
  NotReadableError: 'The webcam cannot be read: another program may be using it.',
  AbortError: 'The webcam stopped before it gave a picture: another program may be using it.',
};
const insecure = 'Browsers give the webcam only to pages that were loaded over https or from localhost.';
const gone = 'The webcam was unplugged or taken away.';

/** A frame as the camera stores it, or a bitmap where the browser has no WebCodecs. */
export type CameraFrame = VideoFrame | ImageBitmap;

/** Takes a frame over until its promise is settled, which does not reject; it may hand the frame on by transfer. */
export type TakeFrame = (frame: CameraFrame, seconds: number) => Promise<void>;

/**
 * Asks for the webcam and starts it.
 * @param ended Told when the webcam goes away by itself, which stops it here too.
 * @throws CameraError where there is none.
 */
export async function openCamera(ended: (error: CameraError) => void): Promise<Camera> {
  // Pages that are not secure do not have it, whatever the types say.
  const devices: MediaDevices | undefined = navigator.mediaDevices;
  if (devices === undefined) throw new CameraError(insecure);
  const size = { width: { ideal: widestFrame }, height: { ideal: (3 * widestFrame) / 4 } };
  let stream: MediaStream | undefined;
  try {
    stream = await devices.getUserMedia({ video: { ...size, frameRate: { ideal: 30 } }, audio: false });
    return await Camera.of(stream, ended);
  } catch (error) {
    stopTracks(stream);
    const { name, message } = error instanceof Error ? error : { name: '', message: String(error) };
    throw new CameraError(reasons[name] ?? `The webcam cannot be opened: ${message}`, { cause: error });
  }
}

function stopTracks(stream: MediaStream | undefined): void {
  for (const track of stream?.getTracks() ?? []) track.stop();
}

export class Camera {
  /** What the webcam sees, live, for the page to show. */
  readonly preview: HTMLVideoElement;
  readonly #stream: MediaStream;
  #delivery: Delivery | undefined;

  /** Starts a stream's preview. */
  static async of(stream: MediaStream, ended: (error: CameraError) => void): Promise<Camera> {
    const preview = element('video', { attributes: { playsinline: '', 'aria-label': 'What the webcam sees' } });
    preview.muted = true;
    preview.srcObject = stream;
    const camera = new Camera(stream, preview);
    for (const track of stream.getVideoTracks()) {
      track.addEventListener('ended', () => {
        camera.stop();
        ended(new CameraError(gone));
      });
    }
    await preview.play();
    return camera;
  }

  private constructor(stream: MediaStream, preview: HTMLVideoElement) {
    this.#stream = stream;
    this.preview = preview;
  }

  /**
   * Hands over frames from now on, and no longer to whoever had them before. While the page is hidden there are none; a
   * frame that comes while the last one is still taken is passed over.
   * @param framesPerSecond At most so many, evenly.
   */
  deliver(framesPerSecond: number, take: TakeFrame): void {
    this.pause();
    this.#delivery = new Delivery(this.preview, 1000 / framesPerSecond, take);
  }

  /** Hands over no more frames; the webcam goes on. */
  pause(): void {
    this.#delivery?.end();
    this.#delivery = undefined;
  }

  /** Switches the webcam off. */
  stop(): void {
    this.pause();
    stopTracks(this.#stream);
    this.preview.srcObject = null;
  }
}

class Delivery {
  readonly #video: HTMLVideoElement;
  readonly #period: number;
  readonly #take: TakeFrame;
  /** Milliseconds from which on the next frame is wanted. */
  #due = 0;
  #hasEnded = false;

  constructor(video: HTMLVideoElement, period: number, take: TakeFrame) {
    this.#video = video;
    this.#period = period;
    this.#take = take;
    this.#await();
  }

  end(): void {
    this.#hasEnded = true;
  }

  /** Waits for the next frame that is shown; where the browser does not tell, for the next time that it draws. */
  #await(): void {
    const shown = (now: number): void => void this.#shown(now);
    if ('requestVideoFrameCallback' in this.#video) this.#video.requestVideoFrameCallback(shown);
    else requestAnimationFrame(shown);
  }

  async #shown(now: number): Promise<void> {
    if (this.#hasEnded) return;
    if (now >= this.#due - leeway * this.#period) {
      // By the period, so that frames stay even; what was missed is not caught up with.
      this.#due = Math.max(this.#due + this.#period, now);
      await this.#handOver(now / 1000);
    }
    if (!this.#hasEnded) this.#await();
  }

  async #handOver(seconds: number): Promise<void> {
    // There is no picture before the first one, nor after the last.
    const frame = await pictureOf(this.#video).catch(() => undefined);
    if (frame === undefined) return;
    try {
      if (!this.#hasEnded) await this.#take(frame, seconds);
    } finally {
      frame.close();
    }
  }
}

/** What the video shows. Bitmaps of every frame would fill hundreds of megabytes of the browser's cache of pictures. */
async function pictureOf(video: HTMLVideoElement): Promise<CameraFrame> {
  if ('VideoFrame' in globalThis) return new VideoFrame(video);
  if (video.videoWidth <= widestFrame) return createImageBitmap(video);
  return createImageBitmap(video, { resizeWidth: widestFrame, resizeQuality: 'high' });
}
