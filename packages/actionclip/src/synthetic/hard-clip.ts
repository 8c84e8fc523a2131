/**
 * A clip of the hard form: the actor, a partner, a bystander or somebody who passes in front, before a moving camera, with
 * clutter behind and bars ahead. Each of these comes in some of the clips.
 */
import { blank, type Image } from '../data/image/image.ts';
import { Random } from '../data/random.ts';
import { type Action, actionOf } from './actions.ts';
import { type Actor, type Camera, drawActor, drawCamera, drawSetting, type Setting } from './appearance.ts';
import { backgroundCamera, backgroundSide, drawViews, movedCamera, type View, viewOf } from './camera-motion.ts';
import { type Canvas, type Colour, drawGroup } from './canvas.ts';
import { type Bar, drawBars, drawClutter, inView, paintBars } from './clutter.ts';
import { capsule, drawFigure, drawStool, paintSetting, project } from './figure.ts';
import { posesOf } from './motion.ts';
import { type Pose, standing } from './pose.ts';
import { add, type Joints, jointsOf, type Placement, placeJoints, type Vector } from './skeleton.ts';

export interface HardClipOptions {
  readonly size: number;
  readonly frames: readonly [number, number];
  readonly difficulty: number;
}

/** Somebody in the picture: where they are and how they stand, frame by frame. */
interface Member {
  readonly actor: Actor;
  readonly side: number;
  readonly poses: readonly Pose[];
  readonly places: readonly Placement[];
}

/** All that a clip shows, before it is drawn. */
export interface Scene {
  readonly size: number;
  readonly setting: Setting;
  readonly camera: Camera;
  readonly views: readonly View[];
  readonly bars: readonly Bar[];
  /** Who acts: one, or two who face each other. */
  readonly cast: readonly Member[];
  readonly bystander?: Member;
  /** Walks through the picture before the others. */
  readonly passer?: Member;
  readonly action: Action;
  readonly seed: number;
}

/** How near to the camera somebody passes, in body heights from the actor. */
const passingDistance = 0.9;

/** What is on show in the clip of a label and a seed. For an action that reverses another, it is that action's scene. */
export function sceneOf(label: string, seed: number, { size, frames, difficulty }: HardClipOptions): Scene {
  const action = actionOf(label);
  if (action.reverseOf !== undefined) return sceneOf(action.reverseOf, seed, { size, frames, difficulty });
  const random = new Random(seed).fork('hard');
  const count = frames[0] + random.fork('frames').integer(frames[1] - frames[0] + 1);
  const setting = drawSetting(random.fork('setting'), difficulty);
  const camera = drawCamera(random.fork('camera'), size, difficulty);
  const person = (name: string): Actor => drawActor(random.fork('actor', name), setting, difficulty);
  const farSide = camera.yaw > 0 ? 1 : -1;
  const side = random.fork('side').chance(difficulty / 2) ? -farSide : farSide;
  const always = (place: Placement): Placement[] => Array<Placement>(count).fill(place);
  // The same stream for both: they move in the same time.
  const perform = (path: readonly Pose[]): Pose[] =>
    posesOf({ ...action, path }, count, random.fork('motion'), difficulty);
  const { partner } = action;
  const presence = random.fork('presence');
  const [hasBystander, hasPasser] = [presence.chance(0.4), presence.chance(0.3)];

  const cast: Member[] = [];
  if (partner === undefined) {
    cast.push({
      actor: person('first'),
      side,
      poses: perform(action.path),
      places: always({ x: 0, z: 0, turn: 0 }),
    });
  } else {
    const axis = camera.yaw + random.fork('axis').uniform(-0.45, 0.45);
    const mirrored = random.fork('order').chance(0.5) ? -1 : 1;
    const half = (partner.distance / 2) * mirrored;
    const [x, z] = [Math.cos(axis) * half, Math.sin(axis) * half];
    const turn = Math.PI / 2 - axis + (mirrored < 0 ? Math.PI : 0);
    const opposite = { x, z, turn: turn + Math.PI };
    cast.push({ actor: person('first'), side, poses: perform(action.path), places: always({ x: -x, z: -z, turn }) });
    cast.push({ actor: person('second'), side, poses: perform(partner.path), places: always(opposite) });
  }
  return {
    size,
    setting,
    camera,
    views: drawViews(random.fork('views'), count),
    bars: drawBars(random.fork('bars')),
    cast,
    action,
    seed,
    ...(hasBystander &&
      partner === undefined && {
        bystander: bystanderOf(random.fork('bystander'), person('bystander'), camera, count),
      }),
    ...(hasPasser && { passer: passerOf(random.fork('passer'), person('passer'), camera, count) }),
  };
}

/** Somebody who stands behind, to one side, and does nothing but sway. */
function bystanderOf(random: Random, actor: Actor, camera: Camera, frames: number): Member {
  const [x, , z] = inView(camera, random.uniform(0.42, 0.6) * randomSign(random), 0, random.uniform(-0.5, -0.3));
  const idle = { label: 'standing', path: [standing], cycles: [1, 1], stool: false, box: false } as const;
  return {
    actor,
    side: 1,
    poses: posesOf(idle, frames, random.fork('motion'), 0.3),
    places: Array<Placement>(frames).fill({ x, z, turn: random.uniform(-1, 1) }),
  };
}

/** Somebody who walks from one side of the picture to the other within a part of the clip. */
function passerOf(random: Random, actor: Actor, camera: Camera, frames: number): Member {
  const direction = randomSign(random);
  const [start, duration] = [random.uniform(0, 0.5), random.uniform(0.4, 0.6)];
  const turn = (Math.PI / 2) * direction - camera.yaw;
  const places = Array.from({ length: frames }, (_, frame): Placement => {
    const time = (frame / Math.max(1, frames - 1) - start) / duration;
    const [x, , z] = inView(camera, (2 * time - 1) * 1.1 * direction, 0, passingDistance);
    return { x, z, turn };
  });
  const walking: Action = { ...actionOf('marching in place'), cycles: [2.4, 3.2] };
  return { actor, side: 1, poses: posesOf(walking, frames, random.fork('motion'), 0.3), places };
}

const randomSign = (random: Random): number => (random.chance(0.5) ? 1 : -1);

function jointsAt({ actor, side, poses, places }: Member, frame: number): { joints: Joints; place: Placement } {
  const place = places[frame] ?? { x: 0, z: 0, turn: 0 };
  return { joints: placeJoints(jointsOf(poses[frame] ?? standing, actor.proportions, side), place), place };
}

function drawMember(canvas: Canvas, camera: Camera, member: Member, frame: number): void {
  const { joints, place } = jointsAt(member, frame);
  drawFigure(canvas, camera, member.actor, joints, [place.x, 0, place.z]);
}

function paintBackground({ size, setting, camera, cast, action, seed }: Scene): Canvas {
  const side = Math.round(size * backgroundSide);
  const background = blank(side, side);
  const wide = backgroundCamera(camera, size);
  paintSetting(background, setting, wide);
  drawClutter(background, wide, new Random(seed).fork('hard', 'clutter'));
  const { thigh, shin } = cast[0]?.actor.proportions ?? { thigh: 0, shin: 0 };
  if (action.stool) drawStool(background, wide, [0, shin * 0.99 - 0.05, -thigh * 0.97]);
  return background;
}

const boxColour: Colour = [196, 142, 74];

/** The box is between the hands of who has it; it changes hands in the middle of the movement. */
function drawBox(canvas: Canvas, camera: Camera, { cast, action }: Scene, frame: number): void {
  const [giver, taker] = cast;
  if (!action.box || giver === undefined || taker === undefined) return;
  const held = ({ joints }: { joints: Joints }): Vector => {
    const [a, b] = [joints.activeArm.end, joints.otherArm.end];
    return [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2, (a[2] + b[2]) / 2];
  };
  const [from, to] = [held(jointsAt(giver, frame)), held(jointsAt(taker, frame))];
  const share = Math.min(Math.max((frame / Math.max(1, giver.poses.length - 1) - 0.4) / 0.2, 0), 1);
  const at = add(from, [to[0] - from[0], to[1] - from[1], to[2] - from[2]], share);
  const across = inView(camera, 0.05, 0, 0);
  const box = [-0.035, 0, 0.035].map((up) =>
    capsule(camera, add(add(at, across, -1), [0, up, 0]), 0.035, add(add(at, across), [0, up, 0]), 0.035, boxColour),
  );
  drawGroup(canvas, box, 0.012 * camera.scale, [60, 40, 24]);
}

/** Draws what stands between the camera and who acts. */
export function drawForeground(canvas: Canvas, { camera, views, size, bars, passer }: Scene, frame: number): void {
  const view = views[frame] ?? { x: 0, y: 0, zoom: 1 };
  if (passer !== undefined) drawMember(canvas, movedCamera(camera, view, size), passer, frame);
  paintBars(canvas, bars, view);
}

/**
 * The frames of one clip of the hard form; `renderClip` checks the options and says the rest.
 * @throws DataError for an unknown label
 */
export function renderHardClip(label: string, seed: number, options: HardClipOptions): Image[] {
  const scene = sceneOf(label, seed, options);
  const background = paintBackground(scene);
  const images = scene.views.map((view, frame): Image => {
    const canvas = viewOf(background, view, scene.size);
    const camera = movedCamera(scene.camera, view, scene.size);
    const depth = (member: Member): number => {
      const { x, z } = member.places[frame] ?? { x: 0, z: 0 };
      return project(camera, [x, 0, z]).depth;
    };
    const people = scene.bystander === undefined ? [...scene.cast] : [scene.bystander, ...scene.cast];
    for (const member of people.sort((a, b) => depth(a) - depth(b))) drawMember(canvas, camera, member, frame);
    drawBox(canvas, camera, scene, frame);
    drawForeground(canvas, scene, frame);
    return canvas;
  });
  return actionOf(label).reverseOf === undefined ? images : images.toReversed();
}
