/** Drawing: the camera's projection, the wall and floor, the stool, and the figure with its limbs sorted by depth. */

import type { Actor, Camera, Setting } from './appearance.ts';
import { type Canvas, type Capsule, type Colour, drawGroup, drawShadow } from './canvas.ts';
import { add, type Joints, type LimbJoints, type Vector } from './skeleton.ts';

/** A point on the picture; `depth` grows towards the viewer, `scale` is pixels per body height there. */
interface Projected {
  readonly x: number;
  readonly y: number;
  readonly depth: number;
  readonly scale: number;
}

/** Distance of the camera and height that it looks at, in body heights. */
const cameraDistance = 5;
const waist = 0.55;
const wallDistance = 0.9;

export function project(camera: Camera, [x, y, z]: Vector): Projected {
  const side = x * Math.cos(camera.yaw) + z * Math.sin(camera.yaw);
  const towards = z * Math.cos(camera.yaw) - x * Math.sin(camera.yaw);
  return projectTurned(camera, side, y - waist, towards);
}

function projectTurned(camera: Camera, side: number, height: number, towards: number): Projected {
  const up = height * Math.cos(camera.pitch) - towards * Math.sin(camera.pitch);
  const depth = towards * Math.cos(camera.pitch) + height * Math.sin(camera.pitch);
  const scale = (camera.scale * cameraDistance) / (cameraDistance - depth);
  const [dx, dy] = [side * scale, -up * scale];
  const [cosine, sine] = [Math.cos(camera.tilt), Math.sin(camera.tilt)];
  return { x: camera.centreX + dx * cosine - dy * sine, y: camera.centreY + dx * sine + dy * cosine, depth, scale };
}

/** A hash of two integers in [0, 1), for textures. */
function speckle(x: number, y: number): number {
  const bits = Math.imul(Math.imul(x, 374761393) + Math.imul(y, 668265263), 1274126177);
  return ((bits ^ (bits >>> 15)) >>> 8) / 16777216;
}

function smoothSpeckle(x: number, y: number): number {
  const [x0, y0] = [Math.floor(x), Math.floor(y)];
  const [u, v] = [x - x0, y - y0];
  const top = speckle(x0, y0) * (1 - u) + speckle(x0 + 1, y0) * u;
  const bottom = speckle(x0, y0 + 1) * (1 - u) + speckle(x0 + 1, y0 + 1) * u;
  return top * (1 - v) + bottom * v;
}

/** Each texture as brightness -1 to 1 at a point measured in pattern sizes. */
const texturePatterns: Readonly<Record<Setting['texture'], (x: number, y: number) => number>> = {
  plain: () => 0,
  stripes: (x) => Math.sin(x * Math.PI * 2),
  bricks: (x, y) => {
    const row = Math.floor(y * 2);
    const [alongX, alongY] = [(x + row / 2) % 1, (y * 2) % 1];
    return alongX < 0.12 || alongY < 0.2 ? -1 : speckle(Math.floor(x + row / 2), row) * 0.6;
  },
  dots: (x, y) => (Math.hypot((x % 1) - 0.5, (y % 1) - 0.5) < 0.28 ? 1 : 0),
  clouds: (x, y) => 2 * smoothSpeckle(x * 1.5, y * 1.5) - 1,
};

function wallColour(setting: Setting, x: number, y: number): Colour {
  const { wallTop, wallBottom, textureScale } = setting;
  let colour: Colour = mixColours(wallTop, wallBottom, Math.min(Math.max(y / 0.8, 0), 1));
  for (const ornament of setting.ornaments) {
    const [dx, dy] = [(x - ornament.x) / ornament.halfWidth, (y - ornament.y) / ornament.halfHeight];
    if (ornament.round ? dx * dx + dy * dy < 1 : Math.max(Math.abs(dx), Math.abs(dy)) < 1) colour = ornament.colour;
  }
  // The pattern starts well left of and above the picture, where coordinates of a tilted wall stay positive.
  const pattern = texturePatterns[setting.texture]((x + 4) / textureScale, (y + 4) / textureScale);
  return scaleColour(colour, 1 + setting.textureContrast * pattern);
}

function mixColours(a: Colour, b: Colour, share: number): Colour {
  return [a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share, a[2] + (b[2] - a[2]) * share];
}

function scaleColour([red, green, blue]: Colour, factor: number): Colour {
  return [red * factor, green * factor, blue * factor];
}

/** Paints wall and floor, with four samples per pixel. */
export function paintSetting(canvas: Canvas, setting: Setting, camera: Camera): void {
  const size = canvas.width;
  const skirting = projectTurned({ ...camera, tilt: 0 }, 0, -waist, -wallDistance).y;
  const [cosine, sine] = [Math.cos(camera.tilt), Math.sin(camera.tilt)];
  for (let y = 0; y < canvas.height; y++) {
    for (let x = 0; x < size; x++) {
      let [red, green, blue] = [0, 0, 0];
      for (let sample = 0; sample < 4; sample++) {
        const [dx, dy] = [x + 0.25 + (sample & 1) / 2 - camera.centreX, y + 0.25 + (sample >> 1) / 2 - camera.centreY];
        const levelX = camera.centreX + dx * cosine + dy * sine;
        const levelY = camera.centreY + dy * cosine - dx * sine;
        const below = (levelY - skirting) / size;
        const colour =
          below > 0
            ? scaleColour(setting.floor, below < 0.015 ? 0.6 : 0.85 + below)
            : wallColour(setting, levelX / size, levelY / size);
        red += colour[0] / 4;
        green += colour[1] / 4;
        blue += colour[2] / 4;
      }
      canvas.data.set([red, green, blue], (y * size + x) * 3);
    }
  }
}

/** A capsule between two points in space, with radii in body heights. */
export function capsule(camera: Camera, a: Vector, ra: number, b: Vector, rb: number, colour: Colour): Capsule {
  const [from, to] = [project(camera, a), project(camera, b)];
  return { ax: from.x, ay: from.y, ra: ra * from.scale, bx: to.x, by: to.y, rb: rb * to.scale, colour };
}

const outlineColour: Colour = [34, 28, 32];
/** Width of outlines, in body heights. */
const outlineWidth = 0.013;

/** Draws a stool with its seat's middle at (x, height, z). */
export function drawStool(canvas: Canvas, camera: Camera, [x, height, z]: Vector): void {
  const wood: Colour = [138, 92, 52];
  const legs = [
    [-0.11, -0.08],
    [0.11, -0.08],
    [-0.11, 0.08],
    [0.11, 0.08],
  ].map(([dx = 0, dz = 0]) =>
    capsule(camera, [x + dx, height, z + dz], 0.016, [x + dx * 1.2, 0.01, z + dz * 1.2], 0.014, scaleColour(wood, 0.8)),
  );
  const seat = [-0.07, 0, 0.07].map((dz) =>
    capsule(camera, [x - 0.1, height, z + dz], 0.03, [x + 0.1, height, z + dz], 0.03, wood),
  );
  drawGroup(canvas, legs, outlineWidth * camera.scale, outlineColour);
  drawGroup(canvas, seat, outlineWidth * camera.scale, outlineColour);
}

interface Layer {
  readonly depth: number;
  /** Outlined as a whole. */
  readonly capsules: readonly Capsule[];
  /** Drawn on top without outlines, one after the other. */
  readonly details?: readonly Capsule[];
}

function armLayer(camera: Camera, actor: Actor, { root, middle, end }: LimbJoints): Layer {
  const g = actor.girth;
  const handAt = add(end, [(end[0] - middle[0]) * 0.12, (end[1] - middle[1]) * 0.12, (end[2] - middle[2]) * 0.12]);
  return {
    depth: (project(camera, middle).depth + project(camera, end).depth) / 2,
    capsules: [
      capsule(camera, root, 0.04 * g, middle, 0.034 * g, actor.shirt),
      capsule(camera, middle, 0.033 * g, end, 0.026 * g, actor.longSleeves ? actor.shirt : actor.skin),
      capsule(camera, handAt, 0.04, handAt, 0.04, actor.skin),
    ],
  };
}

function legLayer(camera: Camera, actor: Actor, { root, middle, end }: LimbJoints): Layer {
  const g = actor.girth;
  const heel: Vector = [end[0], end[1] + 0.025, end[2]];
  // The foot points ahead and, where the shin is lifted, along it.
  const shin: Vector = [end[0] - middle[0], end[1] - middle[1], end[2] - middle[2]];
  const lifted = Math.max(0, 1 + shin[1] / 0.24);
  const toe: Vector = add(heel, [shin[0] * 0.2, 0.05 * lifted, 0.085 - 0.04 * lifted]);
  return {
    depth: (project(camera, root).depth + project(camera, middle).depth) / 2,
    capsules: [
      capsule(camera, root, 0.062 * g, middle, 0.046 * g, actor.trousers),
      capsule(camera, middle, 0.044 * g, heel, 0.032 * g, actor.longTrousers ? actor.trousers : actor.skin),
      capsule(camera, heel, 0.034, toe, 0.028, actor.shoes),
    ],
  };
}

function trunkLayer(camera: Camera, actor: Actor, joints: Joints): Layer {
  const g = actor.girth;
  const { pelvis, chest } = joints;
  const along = (share: number): Vector =>
    add(pelvis, [chest[0] - pelvis[0], chest[1] - pelvis[1], chest[2] - pelvis[2]], share);
  const shoulders = [joints.activeArm.root, joints.otherArm.root] as const;
  const hips = [joints.activeLeg.root, joints.otherLeg.root] as const;
  return {
    depth: project(camera, along(0.5)).depth,
    capsules: [
      capsule(camera, chest, 0.045, add(chest, joints.crown, 0.07), 0.04, actor.skin),
      capsule(camera, hips[0], 0.06 * g, hips[1], 0.06 * g, actor.trousers),
      capsule(camera, along(0.16), 0.098 * g, along(0.82), 0.108 * g, actor.shirt),
      capsule(camera, shoulders[0], 0.045 * g, shoulders[1], 0.045 * g, actor.shirt),
    ],
  };
}

function headLayer(camera: Camera, actor: Actor, joints: Joints): Layer {
  const radius = actor.proportions.headRadius;
  const { head, face, crown } = joints;
  const facing = project(camera, add(head, face, radius)).depth - project(camera, head).depth;
  const across: Vector = [
    crown[1] * face[2] - crown[2] * face[1],
    crown[2] * face[0] - crown[0] * face[2],
    crown[0] * face[1] - crown[1] * face[0],
  ];
  const disc = (at: Vector, size: number, colour: Colour): Capsule => capsule(camera, at, size, at, size, colour);
  const faceAt = add(add(head, face, radius * 0.36), crown, -radius * 0.14);
  const eye = (side: number): Capsule =>
    disc(add(add(faceAt, face, radius * 0.45), across, radius * side), radius * 0.16, [30, 24, 24]);
  const details = facing > -radius * 0.5 ? [disc(faceAt, radius * 0.76, actor.skin)] : [];
  if (facing > 0) details.push(eye(-0.32), eye(0.32));
  return { depth: project(camera, head).depth, capsules: [disc(head, radius, actor.hair)], details };
}

function longHairLayer(camera: Camera, actor: Actor, { head, face, crown }: Joints): Layer {
  const radius = actor.proportions.headRadius;
  const top = add(head, face, -radius * 0.35);
  const ends = add(add(head, face, -radius * 0.75), crown, -radius * 1.7);
  return {
    depth: project(camera, ends).depth,
    capsules: [capsule(camera, top, radius * 0.9, ends, radius * 0.75, actor.hair)],
  };
}

/**
 * Draws the figure: layers from the farthest to the nearest, each outlined as a whole.
 * @param stand Where on the ground its feet are
 */
export function drawFigure(
  canvas: Canvas,
  camera: Camera,
  actor: Actor,
  joints: Joints,
  stand: Vector = [0, 0, 0],
): void {
  const ground = project(camera, [(joints.pelvis[0] + stand[0]) / 2, 0, (joints.pelvis[2] + stand[2]) / 2]);
  drawShadow(canvas, ground, { x: 0.26 * ground.scale, y: 0.07 * ground.scale }, 0.45);
  const layers = [
    armLayer(camera, actor, joints.activeArm),
    armLayer(camera, actor, joints.otherArm),
    legLayer(camera, actor, joints.activeLeg),
    legLayer(camera, actor, joints.otherLeg),
    trunkLayer(camera, actor, joints),
    headLayer(camera, actor, joints),
    ...(actor.longHair ? [longHairLayer(camera, actor, joints)] : []),
  ].sort((a, b) => a.depth - b.depth);
  for (const { capsules, details = [] } of layers) {
    drawGroup(canvas, capsules, outlineWidth * camera.scale, outlineColour);
    for (const detail of details) drawGroup(canvas, [detail], 0, outlineColour);
  }
}
