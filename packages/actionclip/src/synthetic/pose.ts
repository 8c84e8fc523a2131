/**
 * Poses as data: every joint of the figure as a few angles in degrees, and smooth paths through a list of poses.
 *
 * A limb is four angles: elevation and azimuth of its upper segment, then of its lower segment. Elevation 0 hangs
 * down, 90 is horizontal, 180 points up; azimuth 0 lies ahead of the figure, 90 out to the limb's own side. Arms turn
 * with the spine, legs do not. Spine and head are pitch (forward), roll (to the active side) and yaw.
 */

export const poseParts = ['activeArm', 'otherArm', 'activeLeg', 'otherLeg', 'spine', 'head', 'lift'] as const;

export type PosePart = (typeof poseParts)[number];

/** Limbs: 4 angles; spine and head: 3 angles; lift: height above the ground in body heights (1 number). */
export type Pose = Readonly<Record<PosePart, readonly number[]>>;

export type PartialPose = Partial<Pose>;

export const standing: Pose = {
  activeArm: [10, 70, 14, 50],
  otherArm: [10, 70, 14, 50],
  activeLeg: [5, 80, 3, 80],
  otherLeg: [5, 80, 3, 80],
  spine: [0, 0, 0],
  head: [0, 0, 0],
  lift: [0],
};

/** Combines each part's numbers of two poses; parts have equal lengths by construction. */
export function combinePoses(a: Pose, b: Pose, combine: (a: number, b: number) => number): Pose {
  return mapPose(a, (values, part) => values.map((value, index) => combine(value, b[part][index] ?? 0)));
}

export function mapPose(pose: Pose, map: (values: readonly number[], part: PosePart) => readonly number[]): Pose {
  return {
    activeArm: map(pose.activeArm, 'activeArm'),
    otherArm: map(pose.otherArm, 'otherArm'),
    activeLeg: map(pose.activeLeg, 'activeLeg'),
    otherLeg: map(pose.otherLeg, 'otherLeg'),
    spine: map(pose.spine, 'spine'),
    head: map(pose.head, 'head'),
    lift: map(pose.lift, 'lift'),
  };
}

/**
 * The pose at `position` on a Catmull-Rom path through evenly spaced poses. An open path takes positions 0 to 1 (values
 * outside are clamped); a closed one returns to its first pose and repeats with period 1.
 */
export function poseOnPath(path: readonly Pose[], position: number, closed: boolean): Pose {
  const count = path.length;
  const at = (index: number): Pose => {
    const wrapped = closed ? ((index % count) + count) % count : Math.min(Math.max(index, 0), count - 1);
    return path[wrapped] ?? standing;
  };
  const scaled = closed ? (position - Math.floor(position)) * count : Math.min(Math.max(position, 0), 1) * (count - 1);
  const start = Math.min(Math.floor(scaled), closed ? count - 1 : Math.max(count - 2, 0));
  const t = scaled - start;
  const [before, from, to, after] = [at(start - 1), at(start), at(start + 1), at(start + 2)];
  return mapPose(from, (values, part) =>
    values.map((value, index) => {
      const next = to[part][index] ?? 0;
      const startSlope = (next - (before[part][index] ?? 0)) / 2;
      const endSlope = ((after[part][index] ?? 0) - value) / 2;
      const cubic = 2 * value - 2 * next + startSlope + endSlope;
      const square = -3 * value + 3 * next - 2 * startSlope - endSlope;
      return ((cubic * t + square) * t + startSlope) * t + value;
    }),
  );
}
