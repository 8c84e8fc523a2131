/** Things that stand about in the hard form: behind the figure as clutter, or before it as posts and rails. */
import type { Random } from '../data/random.ts';
import type { Camera } from './appearance.ts';
import type { View } from './camera-motion.ts';
import { type Canvas, type Capsule, type Colour, drawGroup } from './canvas.ts';
import { capsule } from './figure.ts';
import type { Vector } from './skeleton.ts';

const outlineColour: Colour = [36, 32, 36];

function anyColour(random: Random): Colour {
  return [random.uniform(40, 235), random.uniform(40, 235), random.uniform(40, 235)];
}

/** A shape in body heights about a point on the ground: ends, radii, and which of the thing's two colours. */
type Part = readonly [from: Vector, fromRadius: number, to: Vector, toRadius: number, colour: 0 | 1];

const things: readonly (readonly Part[])[] = [
  // A plant in a pot.
  [
    [[0, 0.05, 0], 0.05, [0, 0.14, 0], 0.07, 1],
    [[0, 0.18, 0], 0.02, [-0.12, 0.42, 0], 0.03, 0],
    [[0, 0.18, 0], 0.02, [0.13, 0.38, 0], 0.03, 0],
    [[0, 0.18, 0], 0.02, [0.02, 0.5, 0], 0.03, 0],
  ],
  // A lamp on a pole.
  [
    [[0, 0.02, 0], 0.05, [0, 0.03, 0], 0.05, 1],
    [[0, 0.03, 0], 0.012, [0, 0.78, 0], 0.012, 1],
    [[0, 0.78, 0], 0.1, [0, 0.86, 0], 0.06, 0],
  ],
  // A low cupboard.
  [
    [[-0.14, 0.08, 0], 0.07, [0.14, 0.08, 0], 0.07, 0],
    [[-0.14, 0.21, 0], 0.07, [0.14, 0.21, 0], 0.07, 0],
    [[-0.05, 0.15, 0.05], 0.014, [0.05, 0.15, 0.05], 0.014, 1],
  ],
  // A ball.
  [[[0, 0.08, 0], 0.08, [0, 0.08, 0], 0.08, 0]],
];

/** Draws some things before the wall. */
export function drawClutter(canvas: Canvas, camera: Camera, random: Random): void {
  const count = 1 + random.integer(4);
  for (let thing = 0; thing < count; thing++) {
    const parts = random.choice(things);
    const [across, behind] = [random.uniform(-0.95, 0.95), random.uniform(-0.8, -0.55)];
    const colours = [anyColour(random), anyColour(random)] as const;
    const at = ([x, y, z]: Vector): Vector => inView(camera, across + x, y, behind + z);
    const capsules = parts.map(([from, fromRadius, to, toRadius, colour]) =>
      capsule(camera, at(from), fromRadius, at(to), toRadius, colours[colour]),
    );
    drawGroup(canvas, capsules, 0.01 * camera.scale, outlineColour);
  }
}

/** The point that lies `across` to the camera's right, `up`, and `towards` it, from where the actor stands. */
export function inView({ yaw }: Camera, across: number, up: number, towards: number): Vector {
  const [cosine, sine] = [Math.cos(yaw), Math.sin(yaw)];
  return [across * cosine - towards * sine, up, across * sine + towards * cosine];
}

/** A bar across the whole picture, upright or level; lengths in fractions of the picture's side. */
export interface Bar {
  readonly upright: boolean;
  readonly place: number;
  readonly halfWidth: number;
  readonly colour: Colour;
}

/** Half of the width of the widest bar; there are at most two. */
export const widestBar = 0.04;

export function drawBars(random: Random): Bar[] {
  const bar = (upright: boolean): Bar => ({
    upright,
    place: upright ? random.uniform(0.15, 0.85) : random.uniform(0.62, 0.85),
    halfWidth: upright ? random.uniform(0.02, widestBar) : random.uniform(0.012, 0.024),
    colour: anyColour(random),
  });
  return [...(random.chance(0.4) ? [bar(true)] : []), ...(random.chance(0.2) ? [bar(false)] : [])];
}

/** Bars are nearer than the figures, so that a pan moves them farther. */
const parallax = 1.6;

/** Draws bars over everything that a view shows. */
export function paintBars(canvas: Canvas, bars: readonly Bar[], view: View): void {
  const size = canvas.width;
  for (const { upright, place, halfWidth, colour } of bars) {
    const shift = upright ? view.x : view.y;
    const middle = (0.5 + (place - 0.5) * view.zoom + shift * parallax) * size;
    const radius = halfWidth * view.zoom * size;
    const [start, end] = [-2 * radius, size + 2 * radius];
    const whole: Capsule = upright
      ? { ax: middle, ay: start, ra: radius, bx: middle, by: end, rb: radius, colour }
      : { ax: start, ay: middle, ra: radius, bx: end, by: middle, rb: radius, colour };
    drawGroup(canvas, [whole], 0.008 * size, outlineColour);
  }
}
