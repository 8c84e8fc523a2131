/** Pictures that a browser can draw, as RGB. */
import { DataError } from './errors.ts';
import type { Image } from './image/image.ts';

/** Draws pictures on one canvas, which takes their size, and reads their pixels; what is transparent becomes white. */
export class CanvasReader {
  readonly #context: OffscreenCanvasRenderingContext2D;

  /** @throws DataError where the browser has no canvas left. */
  constructor() {
    const context = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
    if (context === null) throw new DataError('there is no canvas to draw a picture on', 'close other pages');
    this.#context = context;
  }

  /** The pixels of a picture of width x height. */
  read(picture: CanvasImageSource, width: number, height: number): Image {
    const { canvas } = this.#context;
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width;
      canvas.height = height;
    }
    this.#context.fillStyle = 'white';
    this.#context.fillRect(0, 0, width, height);
    this.#context.drawImage(picture, 0, 0);
    const pixels = this.#context.getImageData(0, 0, width, height).data;
    const data = new Uint8Array(3 * width * height);
    for (let from = 0, to = 0; to < data.length; from += 4, to += 3) {
      data[to] = pixels[from] as number;
      data[to + 1] = pixels[from + 1] as number;
      data[to + 2] = pixels[from + 2] as number;
    }
    return { width, height, data };
  }
}
