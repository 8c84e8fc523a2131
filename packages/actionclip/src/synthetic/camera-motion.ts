/** Cameras that move: pans, zooms and shaking, within bounds that keep the view on what was painted. */
import { blank } from '../data/image/image.ts';
import type { Random } from '../data/random.ts';
import type { Camera } from './appearance.ts';
import type { Canvas } from './canvas.ts';

/** Where a moved camera looks at one moment. */
export interface View {
  /** Shift of the picture, in fractions of its side. */
  readonly x: number;
  readonly y: number;
  /** Magnification about the picture's middle. */
  readonly zoom: number;
}

/** What no view exceeds: shift to each side, and magnification. */
export const viewBounds = { shift: 0.12, leastZoom: 0.85, mostZoom: 1.2 } as const;

/** The part of the shift that shaking takes. */
const shakeShare = 0.02;

/** Side of the painted background in sides of the picture: (1/2 + shift) / leastZoom to each side of the middle, and more. */
export const backgroundSide = 1.5;

/** The view of every frame of a clip. */
export function drawViews(random: Random, frames: number): View[] {
  const far = viewBounds.shift - shakeShare;
  const pans = random.chance(0.6);
  const panX = pans ? random.uniform(-far, far) : 0;
  const panY = pans ? random.uniform(-far, far) / 3 : 0;
  const zooms = random.chance(0.5);
  const [from, to] = [0, 1].map(() => random.uniform(viewBounds.leastZoom, viewBounds.mostZoom)) as [number, number];
  const shake = random.chance(0.5) ? shakeShare : 0;
  const jitter = random.fork('shake');
  return Array.from({ length: frames }, (_, frame) => {
    const time = frames > 1 ? frame / (frames - 1) : 0;
    const eased = time * time * (3 - 2 * time);
    return {
      x: panX * (2 * eased - 1) + jitter.uniform(-shake, shake),
      y: panY * (2 * eased - 1) + jitter.uniform(-shake, shake),
      zoom: zooms ? from + (to - from) * eased : 1,
    };
  });
}

/** The camera that shows the figures where the view has them, in a picture of `size` pixels. */
export function movedCamera(camera: Camera, { x, y, zoom }: View, size: number): Camera {
  const middle = size / 2;
  return {
    ...camera,
    scale: camera.scale * zoom,
    centreX: middle + (camera.centreX - middle) * zoom + x * size,
    centreY: middle + (camera.centreY - middle) * zoom + y * size,
  };
}

/** The camera that paints the wider background of which views are parts. */
export function backgroundCamera(camera: Camera, size: number): Camera {
  const margin = ((backgroundSide - 1) / 2) * size;
  return { ...camera, centreX: camera.centreX + margin, centreY: camera.centreY + margin };
}

/** A picture of `size` pixels a side: the part of the background that a view shows, between pixels linearly. */
export function viewOf(background: Canvas, { x, y, zoom }: View, size: number): Canvas {
  const canvas = blank(size, size);
  const { width, height, data } = background;
  const place = (pixel: number, shift: number, side: number): number =>
    Math.min(Math.max((pixel + 0.5 - size / 2 - shift * size) / zoom + side / 2 - 0.5, 0), side - 1.001);
  for (let row = 0; row < size; row++) {
    const v = place(row, y, height);
    const [top, down] = [Math.floor(v), v - Math.floor(v)];
    for (let column = 0; column < size; column++) {
      const u = place(column, x, width);
      const [left, across] = [Math.floor(u), u - Math.floor(u)];
      const from = (top * width + left) * 3;
      for (let channel = from; channel < from + 3; channel++) {
        const upper = (data[channel] ?? 0) * (1 - across) + (data[channel + 3] ?? 0) * across;
        const lower = (data[channel + width * 3] ?? 0) * (1 - across) + (data[channel + width * 3 + 3] ?? 0) * across;
        canvas.data[(row * size + column) * 3 + channel - from] = upper * (1 - down) + lower * down;
      }
    }
  }
  return canvas;
}
