/** Forward kinematics: from a pose and an actor's proportions to joint positions in space. */
import type { Pose } from './pose.ts';

/** x to the figure's right-hand side as seen from behind the camera, y up, z ahead of the figure; in body heights. */
export type Vector = readonly [number, number, number];

/** Lengths of an actor in body heights. */
export interface Proportions {
  readonly thigh: number;
  readonly shin: number;
  readonly torso: number;
  readonly neck: number;
  readonly headRadius: number;
  readonly upperArm: number;
  readonly forearm: number;
  readonly shoulderHalf: number;
  readonly hipHalf: number;
}

export interface LimbJoints {
  readonly root: Vector;
  readonly middle: Vector;
  readonly end: Vector;
}

export interface Joints {
  readonly pelvis: Vector;
  readonly chest: Vector;
  readonly head: Vector;
  /** Unit vector out of the face, and unit vector to the crown. */
  readonly face: Vector;
  readonly crown: Vector;
  readonly activeArm: LimbJoints;
  readonly otherArm: LimbJoints;
  readonly activeLeg: LimbJoints;
  readonly otherLeg: LimbJoints;
}

type Rotation = (vector: Vector) => Vector;

const radians = Math.PI / 180;
/** How far above the lowest foot, in body heights, another foot still carries weight. */
const footContact = 0.03;

export function add(a: Vector, b: Vector, scale = 1): Vector {
  return [a[0] + b[0] * scale, a[1] + b[1] * scale, a[2] + b[2] * scale];
}

/** Yaw about y, then pitch about x (positive leans ahead), then roll about z (positive leans to `side`). */
function rotation([pitch = 0, roll = 0, yaw = 0]: readonly number[], side: number): Rotation {
  const [cp, sp] = [Math.cos(pitch * radians), Math.sin(pitch * radians)];
  const [cr, sr] = [Math.cos(roll * radians), Math.sin(roll * radians) * side];
  const [cy, sy] = [Math.cos(yaw * radians), Math.sin(yaw * radians) * side];
  return ([x, y, z]) => {
    const [x1, z1] = [x * cy + z * sy, z * cy - x * sy];
    const [y2, z2] = [y * cp - z1 * sp, y * sp + z1 * cp];
    return [x1 * cr + y2 * sr, y2 * cr - x1 * sr, z2];
  };
}

function direction(elevation: number, azimuth: number, side: number): Vector {
  const horizontal = Math.sin(elevation * radians);
  return [
    side * horizontal * Math.sin(azimuth * radians),
    -Math.cos(elevation * radians),
    horizontal * Math.cos(azimuth * radians),
  ];
}

function limb(
  root: Vector,
  [upperElevation = 0, upperAzimuth = 0, lowerElevation = 0, lowerAzimuth = 0]: readonly number[],
  lengths: readonly [number, number],
  side: number,
  turn: Rotation,
): LimbJoints {
  const middle = add(root, turn(direction(upperElevation, upperAzimuth, side)), lengths[0]);
  const end = add(middle, turn(direction(lowerElevation, lowerAzimuth, side)), lengths[1]);
  return { root, middle, end };
}

function shiftLimb({ root, middle, end }: LimbJoints, by: Vector): LimbJoints {
  return { root: add(root, by), middle: add(middle, by), end: add(end, by) };
}

/**
 * Joint positions of a pose. The feet that carry weight stay at z = 0 and the lowest foot on the ground (y = 0), raised
 * by the pose's lift, so that crouching lowers the hips and sitting moves them back.
 * @param side +1 or -1: the side of the body that the pose calls active
 */
export function jointsOf(pose: Pose, proportions: Proportions, side: number): Joints {
  const upright: Rotation = (vector) => vector;
  const bend = rotation(pose.spine, side);
  const headTurn = rotation(pose.head, side);
  const { hipHalf, shoulderHalf } = proportions;
  const leg = (angles: readonly number[], s: number): LimbJoints =>
    limb([s * hipHalf, 0, 0], angles, [proportions.thigh, proportions.shin], s, upright);
  const legs = [leg(pose.activeLeg, side), leg(pose.otherLeg, -side)] as const;
  const lowest = Math.min(legs[0].end[1], legs[1].end[1]);
  const weights = legs.map(({ end }) => Math.exp((lowest - end[1]) / footContact));
  const [active = 1, other = 1] = weights;
  const footZ = (legs[0].end[2] * active + legs[1].end[2] * other) / (active + other);
  const pelvis: Vector = [0, (pose.lift[0] ?? 0) - lowest, -footZ];

  const chest = add(pelvis, bend([0, 1, 0]), proportions.torso);
  const arm = (angles: readonly number[], s: number): LimbJoints => {
    const shoulder = add(chest, bend([s * shoulderHalf, 0, 0]));
    return limb(shoulder, angles, [proportions.upperArm, proportions.forearm], s, bend);
  };
  const headDirection = (vector: Vector): Vector => bend(headTurn(vector));
  const crown = headDirection([0, 1, 0]);
  return {
    pelvis,
    chest,
    crown,
    face: headDirection([0, 0, 1]),
    head: add(chest, crown, proportions.neck + proportions.headRadius),
    activeArm: arm(pose.activeArm, side),
    otherArm: arm(pose.otherArm, -side),
    activeLeg: shiftLimb(legs[0], pelvis),
    otherLeg: shiftLimb(legs[1], pelvis),
  };
}

/** Where somebody stands on the ground, in body heights, and the angle in radians by which they are turned about y. */
export interface Placement {
  readonly x: number;
  readonly z: number;
  readonly turn: number;
}

/** The joints of a figure that stands elsewhere and is turned: by pi / 2 it looks along x. */
export function placeJoints(joints: Joints, { x, z, turn }: Placement): Joints {
  const [cosine, sine] = [Math.cos(turn), Math.sin(turn)];
  const rotated: Rotation = (v) => [v[0] * cosine + v[2] * sine, v[1], v[2] * cosine - v[0] * sine];
  const moved: Rotation = (v) => add(rotated(v), [x, 0, z]);
  const limbOf = ({ root, middle, end }: LimbJoints): LimbJoints => ({
    root: moved(root),
    middle: moved(middle),
    end: moved(end),
  });
  return {
    pelvis: moved(joints.pelvis),
    chest: moved(joints.chest),
    head: moved(joints.head),
    face: rotated(joints.face),
    crown: rotated(joints.crown),
    activeArm: limbOf(joints.activeArm),
    otherArm: limbOf(joints.otherArm),
    activeLeg: limbOf(joints.activeLeg),
    otherLeg: limbOf(joints.otherLeg),
  };
}
