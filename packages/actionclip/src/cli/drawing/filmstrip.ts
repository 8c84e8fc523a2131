/** Frames as small pictures of half blocks: every character shows two pixels, one above the other. */
import { type Image, pixels } from '../../data/image/image.ts';
import { resize } from '../../data/image/resample.ts';
import { type Canvas, type Color, colored } from './canvas.ts';

const UPPER_HALF = '▀';

/** Lines of `columns` characters; a character is twice as high as wide, so pixels come out square. */
export function drawThumbnail(canvas: Canvas, image: Image, columns: number): string[] {
  const lines = Math.max(1, Math.round((columns * image.height) / image.width / 2));
  const small = resize(image, columns, lines * 2, 'bilinear');
  const data = pixels(small);
  const pixel = (x: number, y: number): Color => {
    const at = (y * columns + x) * 3;
    return [data[at] ?? 0, data[at + 1] ?? 0, data[at + 2] ?? 0];
  };
  return Array.from({ length: lines }, (_, line) =>
    Array.from({ length: columns }, (_, x) =>
      colored(canvas, UPPER_HALF, pixel(x, line * 2), pixel(x, line * 2 + 1)),
    ).join(''),
  );
}

/** Pictures of equal size side by side, a column between them. */
export function drawFilmstrip(canvas: Canvas, images: readonly Image[], columns: number): string[] {
  const pictures = images.map((image) => drawThumbnail(canvas, image, columns));
  const height = Math.max(...pictures.map(({ length }) => length));
  return Array.from({ length: height }, (_, line) =>
    pictures.map((picture) => picture[line] ?? ' '.repeat(columns)).join(' '),
  );
}
