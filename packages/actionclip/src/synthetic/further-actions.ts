/** Movements that only the hard form trains by default: more of the whole body, and those that take two people. */
import type { BodyMotion } from './actions.ts';
import type { PartialPose } from './pose.ts';

const bothArms = (angles: readonly number[]): PartialPose => ({ activeArm: angles, otherArm: angles });
const bothLegs = (angles: readonly number[]): PartialPose => ({ activeLeg: angles, otherLeg: angles });

const reaching = [88, 4, 90, 0];
const drawn = [40, 165, 96, 12];

const soloMotions: Readonly<Record<string, BodyMotion>> = {
  squatting: {
    path: [
      {},
      {
        ...bothLegs([88, 32, -38, 32]),
        ...bothArms([84, 10, 88, 6]),
        spine: [30, 0, 0],
      },
    ],
    cycles: [1.6, 2.6],
  },
  'jumping up and down': {
    path: [
      { ...bothLegs([38, 20, -30, 20]), ...bothArms([-30, 20, 10, 20]), spine: [20, 0, 0] },
      { ...bothArms([150, 30, 160, 30]), lift: [0.16] },
    ],
    cycles: [2, 3.4],
  },
  'marching in place': {
    path: [
      { activeLeg: [80, 12, -4, 12], activeArm: [40, -170, 30, 10], otherArm: [50, 10, 100, 10] },
      {},
      { otherLeg: [80, 12, -4, 12], otherArm: [40, -170, 30, 10], activeArm: [50, 10, 100, 10] },
      {},
    ],
    cycles: [1.8, 3],
  },
  'clapping both hands': {
    path: [bothArms([58, 62, 84, 20]), bothArms([52, 12, 84, -34])],
    cycles: [3, 4.6],
  },
  'twisting the body': {
    path: [
      { ...bothArms([86, 80, 88, 60]), spine: [0, 0, -62] },
      { ...bothArms([86, 80, 88, 60]), spine: [0, 0, 62] },
    ],
    cycles: [1.6, 2.8],
  },
  'opening both arms': {
    path: [bothArms([88, -6, 88, -10]), bothArms([90, 44, 90, 40]), bothArms([90, 94, 90, 94])],
    reverse: 'closing both arms',
  },
  'pulling with both arms': {
    path: [
      { ...bothArms(reaching), spine: [16, 0, 0] },
      { ...bothArms(drawn), spine: [-12, 0, 0] },
    ],
    cycles: [1.8, 2.8],
  },
  'pulling with one arm': {
    path: [
      { activeArm: reaching, spine: [16, 0, 0] },
      { activeArm: drawn, spine: [-12, 0, 0] },
    ],
    cycles: [1.8, 2.8],
  },
};

const fists = [22, 30, 138, 5];
const boxingLegs: PartialPose = { activeLeg: [14, 20, 4, 20], otherLeg: [-12, -30, -16, -30] };
const boxer: PartialPose = { ...boxingLegs, ...bothArms(fists) };
const staggering: PartialPose = { ...bothArms([40, 60, 60, 40]), otherLeg: [-26, 4, -30, 4], spine: [-24, 0, 0] };

/** The partner stands opposite; lengths of arms fix the distances at which hands meet. */
const sharedMotions: Readonly<Record<string, BodyMotion>> = {
  'shaking hands': {
    path: [{ activeArm: [34, -14, 74, -22] }, { activeArm: [52, -16, 104, -22] }],
    cycles: [2.6, 3.8],
    partner: {
      distance: 0.6,
      path: [{ activeArm: [34, -14, 74, -22] }, { activeArm: [52, -16, 104, -22] }],
    },
  },
  'giving a high five': {
    path: [{ activeArm: [60, 40, 150, 30] }, { activeArm: [112, -12, 136, -16] }],
    cycles: [1.6, 2.6],
    partner: { distance: 0.58, path: [{ activeArm: [60, 40, 150, 30] }, { activeArm: [112, -12, 136, -16] }] },
  },
  'pushing another person': {
    path: [
      { ...bothArms([28, 30, 110, 0]) },
      { ...bothArms([84, 0, 88, 0]), spine: [10, 0, 0] },
      { ...bothArms([88, 0, 90, 0]), spine: [26, 0, 0], otherLeg: [-24, 0, -28, 0], activeLeg: [22, 0, 4, 0] },
    ],
    reverse: 'pulling another person',
    partner: { distance: 0.5, path: [{}, {}, staggering] },
  },
  'handing over a box': {
    path: [bothArms([70, -8, 88, -14]), bothArms([74, -8, 90, -14]), bothArms([14, 40, 20, 30])],
    partner: {
      distance: 0.66,
      path: [bothArms([14, 40, 20, 30]), bothArms([74, -8, 90, -14]), bothArms([36, 10, 92, -20])],
    },
    box: true,
  },
  'bowing to each other': {
    path: [{}, { spine: [58, 0, 0], ...bothArms([16, 20, 16, 20]), head: [14, 0, 0] }],
    cycles: [1.5, 2.4],
    partner: { distance: 0.84, path: [{}, { spine: [58, 0, 0], ...bothArms([16, 20, 16, 20]), head: [14, 0, 0] }] },
  },
  'punching another person': {
    path: [boxer, { ...boxer, activeArm: [90, -6, 90, -6], spine: [10, 0, -14] }],
    cycles: [1.8, 2.8],
    partner: { distance: 0.54, path: [boxer, { ...boxer, spine: [-20, 0, 0], head: [-18, 0, 0] }] },
  },
  'dancing with another person': {
    path: [
      { ...bothArms([76, -2, 80, -4]), spine: [0, 22, 12], activeLeg: [20, 70, 14, 70], otherLeg: [4, 60, 2, 60] },
      { ...bothArms([76, -2, 80, -4]), spine: [0, -22, -12], otherLeg: [20, 70, 14, 70], activeLeg: [4, 60, 2, 60] },
    ],
    cycles: [1.8, 2.8],
    partner: {
      distance: 0.62,
      path: [
        { ...bothArms([76, -2, 80, -4]), spine: [0, -22, -12], otherLeg: [20, 70, 14, 70], activeLeg: [4, 60, 2, 60] },
        { ...bothArms([76, -2, 80, -4]), spine: [0, 22, 12], activeLeg: [20, 70, 14, 70], otherLeg: [4, 60, 2, 60] },
      ],
    },
  },
  'waving to each other': {
    path: [{ activeArm: [112, 40, 132, 10] }, { activeArm: [112, 40, 212, 20] }],
    cycles: [2, 3.4],
    partner: { distance: 0.8, path: [{ activeArm: [112, 40, 132, 10] }, { activeArm: [112, 40, 212, 20] }] },
  },
  'kicking another person': {
    path: [
      { ...bothArms(fists), activeLeg: [6, 20, 2, 20] },
      { ...bothArms(fists), activeLeg: [62, 0, -40, 0] },
      { ...bothArms(fists), activeLeg: [82, 0, 84, 0], spine: [-14, 0, 0] },
      { ...bothArms(fists), activeLeg: [62, 0, -40, 0] },
    ],
    cycles: [1.6, 2.4],
    partner: { distance: 0.62, path: [boxer, boxer, { ...boxer, ...staggering }, boxer] },
  },
};

export const furtherBodyMotions: Readonly<Record<string, BodyMotion>> = { ...soloMotions, ...sharedMotions };
