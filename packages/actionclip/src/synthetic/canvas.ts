/** A small software rasteriser: anti-aliased groups of tapered capsules with outlines, and soft shadows, on RGB bytes. */
import type { Image } from '../data/image/image.ts';

/** An image to draw on; its clamped bytes round whatever is written. */
export interface Canvas extends Image {
  readonly data: Uint8ClampedArray;
}

/** Red, green and blue, 0 to 255. */
export type Colour = readonly [number, number, number];

/** A capsule from (ax, ay) with radius ra to (bx, by) with radius rb, in pixels; a circle where the ends coincide. */
export interface Capsule {
  readonly ax: number;
  readonly ay: number;
  readonly ra: number;
  readonly bx: number;
  readonly by: number;
  readonly rb: number;
  readonly colour: Colour;
}

/** Light from above, the same from both sides, so that mirrored clips are lit alike. */
const shadeFromAbove = 0.2;

function blend(data: Uint8ClampedArray, offset: number, colour: Colour, brightness: number, alpha: number): void {
  for (let channel = 0; channel < 3; channel++) {
    const target = Math.min(255, colour[channel as 0 | 1 | 2] * brightness);
    const under = data[offset + channel] ?? 0;
    data[offset + channel] = under + (target - under) * alpha;
  }
}

/**
 * Draws the union of capsules with one common outline, so that the parts of a limb join without seams. Where capsules
 * overlap, a pixel takes the colour of the one that it lies deepest in.
 * @param outline width in pixels
 */
export function drawGroup(canvas: Canvas, group: readonly Capsule[], outline: number, outlineColour: Colour): void {
  const margin = outline + 1;
  let [left, right, top, bottom] = [Infinity, -Infinity, Infinity, -Infinity];
  for (const { ax, ay, ra, bx, by, rb } of group) {
    left = Math.min(left, ax - ra, bx - rb);
    right = Math.max(right, ax + ra, bx + rb);
    top = Math.min(top, ay - ra, by - rb);
    bottom = Math.max(bottom, ay + ra, by + rb);
  }
  const x0 = Math.max(0, Math.floor(left - margin));
  const x1 = Math.min(canvas.width - 1, Math.ceil(right + margin));
  const y0 = Math.max(0, Math.floor(top - margin));
  const y1 = Math.min(canvas.height - 1, Math.ceil(bottom + margin));
  for (let y = y0; y <= y1; y++) {
    for (let x = x0; x <= x1; x++) {
      let nearest = Infinity;
      let colour = outlineColour;
      let brightness = 1;
      for (const { ax, ay, ra, bx, by, rb, colour: own } of group) {
        const dx = bx - ax;
        const dy = by - ay;
        const px = x + 0.5 - ax;
        const py = y + 0.5 - ay;
        const lengthSquared = dx * dx + dy * dy;
        const t = lengthSquared > 0 ? Math.min(Math.max((px * dx + py * dy) / lengthSquared, 0), 1) : 0;
        const offX = px - dx * t;
        const offY = py - dy * t;
        const radius = ra + (rb - ra) * t;
        const distance = Math.sqrt(offX * offX + offY * offY) - radius;
        if (distance < nearest) {
          nearest = distance;
          colour = own;
          brightness = 1 - shadeFromAbove * Math.min(Math.max(offY / radius, -1), 1);
        }
      }
      if (nearest >= outline + 0.5) continue;
      const offset = (y * canvas.width + x) * 3;
      const outer = Math.min(1, outline + 0.5 - nearest);
      const inner = Math.min(Math.max(0.5 - nearest, 0), 1);
      if (inner < 1 && outline > 0) blend(canvas.data, offset, outlineColour, 1, outer);
      if (inner > 0) blend(canvas.data, offset, colour, brightness, inner);
    }
  }
}

/** Darkens a soft-edged ellipse by up to `strength` (0 to 1) at its middle. */
export function drawShadow(
  canvas: Canvas,
  centre: { readonly x: number; readonly y: number },
  radii: { readonly x: number; readonly y: number },
  strength: number,
): void {
  const y1 = Math.min(canvas.height - 1, Math.ceil(centre.y + radii.y));
  const x1 = Math.min(canvas.width - 1, Math.ceil(centre.x + radii.x));
  for (let y = Math.max(0, Math.floor(centre.y - radii.y)); y <= y1; y++) {
    for (let x = Math.max(0, Math.floor(centre.x - radii.x)); x <= x1; x++) {
      const squared = ((x + 0.5 - centre.x) / radii.x) ** 2 + ((y + 0.5 - centre.y) / radii.y) ** 2;
      if (squared >= 1) continue;
      const keep = 1 - strength * (1 - squared);
      const offset = (y * canvas.width + x) * 3;
      for (let channel = 0; channel < 3; channel++) {
        canvas.data[offset + channel] = (canvas.data[offset + channel] ?? 0) * keep;
      }
    }
  }
}
