/** One performance of an action: the actor's own speed, phase, amplitude and sway turn its path into a pose per frame. */
import type { Random } from '../data/random.ts';
import { type Action, actionOf } from './actions.ts';
import { combinePoses, mapPose, type Pose, type PosePart, poseOnPath, standing } from './pose.ts';

/** Degrees (lift: body heights) by which postures differ from the table at the greatest difficulty, per number of a part. */
const postureSpread: Readonly<Record<PosePart, readonly number[]>> = {
  activeArm: [9, 18, 9, 18],
  otherArm: [9, 18, 9, 18],
  activeLeg: [5, 14, 5, 14],
  otherLeg: [4, 14, 4, 14],
  spine: [7, 5, 9],
  head: [9, 5, 14],
  lift: [0],
};
/** Sway as a share of that. */
const swayShare = 0.4;
/** Share of the spread that remains at difficulty 0. */
const leastSpread = 0.3;

interface Performance {
  /** Position on the path at clip time 0 to 1. */
  readonly position: (time: number) => number;
  readonly amplitude: number;
  readonly posture: Pose;
  readonly sway: (time: number) => Pose;
}

function easing(random: Random): (time: number) => number {
  const start = random.uniform(0.02, 0.28);
  const end = 1 - random.uniform(0.02, 0.28);
  return (time) => {
    const t = Math.min(Math.max((time - start) / (end - start), 0), 1);
    return t * t * (3 - 2 * t);
  };
}

function repetition([fewest, most]: readonly [number, number], random: Random): (time: number) => number {
  const phase = random.uniform();
  const cycles = random.uniform(fewest, most) * (random.chance(0.5) ? 1 : -1);
  const unevenness = random.uniform(0, 0.04);
  const unevenPhase = random.uniform(0, 2 * Math.PI);
  return (time) => phase + cycles * time + unevenness * Math.sin(2 * Math.PI * time + unevenPhase);
}

function swaying(random: Random, spread: number): (time: number) => Pose {
  const waves = mapPose(standing, (values) => values.map(() => random.uniform(0, 2 * Math.PI)));
  const rate = random.uniform(0.6, 1.6) * 2 * Math.PI;
  return (time) =>
    mapPose(waves, (phases, part) =>
      phases.map(
        (phase, index) => Math.sin(phase + rate * time) * (postureSpread[part][index] ?? 0) * spread * swayShare,
      ),
    );
}

function performance(action: Action, random: Random, difficulty: number): Performance {
  const spread = leastSpread + (1 - leastSpread) * difficulty;
  return {
    position: action.cycles ? repetition(action.cycles, random.fork('tempo')) : easing(random.fork('tempo')),
    amplitude: random.uniform(0.94 - 0.2 * difficulty, 1.05 + 0.05 * difficulty),
    posture: mapPose(standing, (_, part) => postureSpread[part].map((degrees) => random.normal(0, degrees * spread))),
    sway: swaying(random.fork('sway'), spread),
  };
}

/**
 * The pose of every frame of a clip. For an action that reverses another, these are exactly that action's poses of the
 * same `random` in reverse order, so that no unordered set of frames tells the two apart.
 */
export function posesOf(action: Action, frames: number, random: Random, difficulty: number): Pose[] {
  if (action.reverseOf !== undefined) {
    return posesOf(actionOf(action.reverseOf), frames, random, difficulty).toReversed();
  }
  const { position, amplitude, posture, sway } = performance(action, random, difficulty);
  return Array.from({ length: frames }, (_, frame) => {
    const time = frames > 1 ? frame / (frames - 1) : 0;
    const planned = poseOnPath(action.path, position(time), action.cycles !== undefined);
    const scaled = combinePoses(standing, planned, (rest, value) => rest + (value - rest) * amplitude);
    const personal = combinePoses(posture, sway(time), (offset, swing) => offset + swing);
    return combinePoses(scaled, personal, (value, offset) => value + offset);
  });
}
