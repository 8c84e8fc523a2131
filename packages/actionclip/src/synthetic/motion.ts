/** One performance of an action: the actor's own speed, phase, amplitude and sway turn its path into a pose per frame. */
import type { Random } from '../data/random.ts';
import { type Action, actionOf } from './actions.ts';
import { combinePoses, mapPose, type Pose, type PosePart, poseOnPath, standing } from './pose.ts';

/** Degrees (lift: body heights) by which an actor's posture and sway differ from the table, per number of a part. */
const postureSpread: Readonly<Record<PosePart, readonly number[]>> = {
  activeArm: [5, 10, 5, 10],
  otherArm: [5, 10, 5, 10],
  activeLeg: [3, 8, 3, 8],
  otherLeg: [2, 8, 2, 8],
  spine: [4, 3, 5],
  head: [5, 3, 8],
  lift: [0],
};
const swayShare = 0.4;

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

function swaying(random: Random): (time: number) => Pose {
  const waves = mapPose(standing, (values) => values.map(() => random.uniform(0, 2 * Math.PI)));
  const rate = random.uniform(0.6, 1.6) * 2 * Math.PI;
  return (time) =>
    mapPose(waves, (phases, part) =>
      phases.map((phase, index) => Math.sin(phase + rate * time) * (postureSpread[part][index] ?? 0) * swayShare),
    );
}

function performance(action: Action, random: Random): Performance {
  return {
    position: action.cycles ? repetition(action.cycles, random.fork('tempo')) : easing(random.fork('tempo')),
    amplitude: random.uniform(0.86, 1.08),
    posture: mapPose(standing, (_, part) => postureSpread[part].map((spread) => random.normal(0, spread))),
    sway: swaying(random.fork('sway')),
  };
}

/**
 * The pose of every frame of a clip. For an action that reverses another, these are exactly that action's poses of the
 * same `random` in reverse order, so that no unordered set of frames tells the two apart.
 */
export function posesOf(action: Action, frames: number, random: Random): Pose[] {
  if (action.reverseOf !== undefined) return posesOf(actionOf(action.reverseOf), frames, random).toReversed();
  const { position, amplitude, posture, sway } = performance(action, random);
  return Array.from({ length: frames }, (_, frame) => {
    const time = frames > 1 ? frame / (frames - 1) : 0;
    const planned = poseOnPath(action.path, position(time), action.cycles !== undefined);
    const scaled = combinePoses(standing, planned, (rest, value) => rest + (value - rest) * amplitude);
    const personal = combinePoses(posture, sway(time), (offset, swing) => offset + swing);
    return combinePoses(scaled, personal, (value, offset) => value + offset);
  });
}
