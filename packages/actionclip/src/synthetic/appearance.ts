/** Who and where: actors (proportions, clothes), cameras and settings, drawn at random; difficulty widens the ranges. */
import type { Random } from '../data/random.ts';
import type { Colour } from './canvas.ts';
import type { Proportions } from './skeleton.ts';

/** How an actor looks; lengths in body heights. */
export interface Actor {
  readonly proportions: Proportions;
  /** Factor on all limb and trunk radii. */
  readonly girth: number;
  readonly skin: Colour;
  readonly hair: Colour;
  readonly shirt: Colour;
  readonly trousers: Colour;
  readonly shoes: Colour;
  readonly longSleeves: boolean;
  readonly longTrousers: boolean;
  readonly longHair: boolean;
}

/** A camera in front of the figure; angles in radians. */
export interface Camera {
  readonly yaw: number;
  readonly pitch: number;
  readonly tilt: number;
  /** Pixels per body height at the figure. */
  readonly scale: number;
  /** Pixel at which the figure's waist stands. */
  readonly centreX: number;
  readonly centreY: number;
}

export type Texture = 'plain' | 'stripes' | 'bricks' | 'dots' | 'clouds';

/** A rectangle or disc on the wall, in fractions of the picture's side. */
export interface Ornament {
  readonly round: boolean;
  readonly x: number;
  readonly y: number;
  readonly halfWidth: number;
  readonly halfHeight: number;
  readonly colour: Colour;
}

export interface Setting {
  readonly wallTop: Colour;
  readonly wallBottom: Colour;
  readonly floor: Colour;
  readonly texture: Texture;
  readonly textureContrast: number;
  /** Size of the texture's pattern, in fractions of the picture's side. */
  readonly textureScale: number;
  readonly ornaments: readonly Ornament[];
  /** Where a stool stands that has no part in the action: in body heights, sideways and ahead; absent in most settings. */
  readonly idleStool?: readonly [number, number];
}

const skins: readonly Colour[] = [
  [255, 219, 186],
  [241, 194, 152],
  [224, 172, 125],
  [198, 134, 88],
  [141, 88, 54],
  [96, 60, 40],
];
const hairs: readonly Colour[] = [
  [36, 28, 26],
  [84, 54, 34],
  [150, 98, 48],
  [214, 176, 98],
  [150, 62, 34],
  [176, 176, 180],
];
const textures: readonly Texture[] = ['plain', 'stripes', 'bricks', 'dots', 'clouds'];

/** Hue 0 to 6, saturation and value 0 to 1. */
function colourOf(hue: number, saturation: number, value: number): Colour {
  const channel = (shift: number): number => {
    const k = (shift + hue) % 6;
    return 255 * value * (1 - saturation * Math.max(0, Math.min(k, 4 - k, 1)));
  };
  return [channel(5), channel(3), channel(1)];
}

function colourDistance(a: Colour, b: Colour): number {
  return Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]);
}

/** A colour of clothing at least `apart` from the colours behind it, as far as 20 draws find one. */
function clothing(random: Random, behind: readonly Colour[], apart: number, brightest: number): Colour {
  let best: Colour = [128, 128, 128];
  let bestDistance = -1;
  for (let draw = 0; draw < 20 && bestDistance < apart; draw++) {
    const colour = colourOf(random.uniform(0, 6), random.uniform(0.2, 0.95), random.uniform(0.15, brightest));
    const distance = Math.min(...behind.map((other) => colourDistance(colour, other)));
    if (distance > bestDistance) [best, bestDistance] = [colour, distance];
  }
  return best;
}

export function drawActor(random: Random, setting: Setting, difficulty: number): Actor {
  const spread = 0.04 + 0.06 * difficulty;
  const length = (mean: number): number => mean * Math.max(0.75, random.normal(1, spread));
  const apart = 130 - 100 * difficulty;
  // Easy clips show dark clothes before bright walls; in hard ones either may be the brighter.
  const brightest = 0.5 + 0.5 * difficulty;
  const walls = [setting.wallTop, setting.wallBottom];
  const skin = random.choice(skins);
  return {
    proportions: {
      thigh: length(0.245),
      shin: length(0.245),
      torso: length(0.275),
      neck: length(0.035),
      headRadius: length(0.082),
      upperArm: length(0.178),
      forearm: length(0.172),
      shoulderHalf: length(0.115),
      hipHalf: length(0.062),
    },
    girth: random.uniform(1.1 - 0.3 * difficulty, 1.3),
    skin,
    hair: random.choice(hairs.filter((colour) => colourDistance(colour, skin) > 70)),
    shirt: clothing(random, walls, apart, brightest),
    trousers: clothing(random, [...walls, setting.floor], apart, brightest),
    shoes: random.chance(0.5) ? [40, 36, 36] : [225, 222, 215],
    longSleeves: random.chance(0.9 - 0.4 * difficulty),
    longTrousers: random.chance(0.9 - 0.3 * difficulty),
    longHair: random.chance(0.35),
  };
}

/** @param size side of the picture in pixels */
export function drawCamera(random: Random, size: number, difficulty: number): Camera {
  const half = (angle: number): number => random.uniform(-angle, angle);
  const yaw = random.uniform(0.45 - 0.3 * difficulty, 0.65 + 0.45 * difficulty);
  return {
    yaw: random.chance(0.5) ? yaw : -yaw,
    pitch: random.uniform(0.04, 0.1 + 0.2 * difficulty),
    tilt: half(0.02 + 0.1 * difficulty),
    scale: size * 0.7 * random.uniform(1 - 0.25 * difficulty, 1.02 + 0.08 * difficulty),
    centreX: size * (0.5 + half(0.03 + 0.07 * difficulty)),
    centreY: size * (0.56 + half(0.02 + 0.04 * difficulty)),
  };
}

export function drawSetting(random: Random, difficulty: number): Setting {
  const hue = random.uniform(0, 6);
  const pastel = (value: number): Colour => colourOf(hue, random.uniform(0.05, 0.3), value * random.uniform(0.92, 1));
  const brightness = random.uniform(0.86 - 0.4 * difficulty, 0.98);
  const ornament = (): Ornament => ({
    round: random.chance(0.3),
    x: random.uniform(),
    y: random.uniform(0, 0.6),
    halfWidth: random.uniform(0.03, 0.12),
    halfHeight: random.uniform(0.03, 0.15),
    colour: colourOf(random.uniform(0, 6), random.uniform(0.1, 0.35 + 0.5 * difficulty), random.uniform(0.4, 0.95)),
  });
  const ornaments = Array.from({ length: random.integer(1 + Math.round(6 * difficulty)) }, ornament);
  const hasIdleStool = random.chance(0.1 + 0.2 * difficulty);
  const idleStool = [random.uniform(0.25, 0.6) * (random.chance(0.5) ? 1 : -1), random.uniform(-0.6, -0.25)] as const;
  return {
    wallTop: pastel(brightness),
    wallBottom: pastel(brightness * random.uniform(0.92 - 0.2 * difficulty, 1)),
    floor: colourOf(random.uniform(0.2, 1.2), random.uniform(0.1, 0.5), random.uniform(0.7 - 0.4 * difficulty, 0.85)),
    texture: random.choice(textures),
    textureContrast: random.uniform(0.01, 0.04 + 0.24 * difficulty),
    textureScale: random.uniform(0.07, 0.2),
    ornaments,
    ...(hasIdleStool && { idleStool }),
  };
}
