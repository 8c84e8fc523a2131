/** Frames that a page took of something that it shows, such as a webcam's, as RGB. */
import { CanvasReader } from './canvas-reader.ts';
import { colourSpaceOfMatrix, rgbOfPlanes } from './frame-planes.ts';
import type { Image } from './image/image.ts';
import { orientationOfTurn, upright } from './orientation.ts';

/** What the types of the standard library lack: how a frame has to be turned to be shown. */
interface Turned {
  readonly rotation?: number;
  readonly flip?: boolean;
}

export class LiveFrameReader {
  #canvas: CanvasReader | undefined;

  /**
   * The pixels of a frame, upright. Where it is stored in planes they take the way of a video's, else a canvas's. The frame
   * is not closed.
   */
  async read(frame: VideoFrame | ImageBitmap): Promise<Image> {
    if (frame instanceof ImageBitmap) return this.#drawn(frame, frame.width, frame.height);
    const { matrix, fullRange } = frame.colorSpace;
    const image = await rgbOfPlanes(frame, colourSpaceOfMatrix(matrix), fullRange === true);
    if (image === undefined) return this.#drawn(frame, frame.displayWidth, frame.displayHeight);
    const { rotation = 0, flip = false } = frame as VideoFrame & Turned;
    return upright(image, orientationOfTurn(rotation, flip));
  }

  #drawn(frame: VideoFrame | ImageBitmap, width: number, height: number): Image {
    this.#canvas ??= new CanvasReader();
    return this.#canvas.read(frame, width, height);
  }
}
