/**
 * The vocabulary of actions: a grid of verbs and body parts, and some movements of the whole body. No label speaks of
 * left or right, so every clip keeps its label when it is mirrored.
 */
import { DataError } from '../data/errors.ts';
import { furtherBodyMotions } from './further-actions.ts';
import { type PartialPose, type Pose, standing } from './pose.ts';

/** One class: its label and the movement that it names. */
export interface Action {
  readonly label: string;
  /** Evenly spaced poses; a `cyclic` path closes on its first pose. */
  readonly path: readonly Pose[];
  /** Fewest and most repetitions in a clip; absent where the path is walked once, from first pose to last. */
  readonly cycles?: readonly [number, number];
  /** The label whose clips, played backwards, are this action's clips. */
  readonly reverseOf?: string;
  /** A stool stands behind the figure. */
  readonly stool: boolean;
  /** Who stands opposite, and moves in the same time; such an action is drawn in the hard form only. */
  readonly partner?: Partner<Pose>;
  /** A box goes from the actor's hands to the partner's. */
  readonly box: boolean;
}

export interface Partner<P> {
  /** Between the two, in body heights. */
  readonly distance: number;
  /** As many poses as the actor's path has. */
  readonly path: readonly P[];
}

type LimbAngles = readonly [number, number, number, number];

interface LimbMotion {
  readonly path: readonly LimbAngles[];
  readonly cycles?: readonly [number, number];
  /** Word between verb and body part. */
  readonly joiner?: string;
  /** Verb for the same path walked backwards. */
  readonly reverse?: string;
  /** What the rest of the body does meanwhile. */
  readonly body?: PartialPose;
}

/** Balance and guard postures shared by several movements. */
const balancing: PartialPose = { activeArm: [32, 80, 30, 70], otherArm: [32, 80, 30, 70] };
const guard: PartialPose = { activeArm: [22, 30, 138, 5], otherArm: [22, 30, 138, 5] };

const armMotions: Readonly<Record<string, LimbMotion>> = {
  raising: {
    path: [
      [10, 65, 12, 55],
      [90, 65, 92, 60],
      [168, 65, 172, 60],
    ],
    reverse: 'lowering',
  },
  bending: {
    path: [
      [88, 70, 90, 70],
      [88, 70, 128, 66],
      [86, 70, 182, 60],
    ],
    reverse: 'straightening',
  },
  waving: {
    path: [
      [118, 80, 140, 90],
      [118, 80, 222, 90],
    ],
    cycles: [2, 3.4],
  },
  swinging: {
    path: [
      [82, 58, 88, 58],
      [16, 20, 20, 20],
      [44, -58, 56, -66],
      [16, 20, 20, 20],
    ],
    cycles: [1.6, 2.6],
  },
  circling: {
    path: [
      [132, 68, 138, 68],
      [92, 118, 92, 118],
      [48, 68, 44, 68],
      [92, 14, 92, 14],
    ],
    cycles: [1.6, 2.6],
  },
  shaking: {
    path: [
      [84, 62, 112, 62],
      [56, 62, 40, 62],
    ],
    cycles: [3.4, 4.8],
  },
  punching: {
    path: [
      [22, 30, 138, 5],
      [90, 12, 90, 8],
    ],
    cycles: [2, 3.2],
    joiner: 'with ',
    body: { ...guard, activeLeg: [12, 20, 4, 20], otherLeg: [-10, -30, -14, -30] },
  },
};

const legMotions: Readonly<Record<string, LimbMotion>> = {
  raising: {
    path: [
      [4, 50, 3, 50],
      [42, 45, 42, 45],
      [84, 40, 84, 40],
    ],
    reverse: 'lowering',
    body: balancing,
  },
  bending: {
    path: [
      [76, 34, 76, 34],
      [78, 34, 36, 34],
      [82, 34, -14, 34],
    ],
    reverse: 'straightening',
    body: balancing,
  },
  swinging: {
    path: [
      [62, 62, 62, 62],
      [10, 10, 8, 10],
      [38, -58, 38, -58],
      [10, 10, 8, 10],
    ],
    cycles: [1.6, 2.6],
    body: balancing,
  },
  circling: {
    path: [
      [70, 48, 70, 48],
      [46, 92, 46, 92],
      [20, 48, 20, 48],
      [46, 4, 46, 4],
    ],
    cycles: [1.6, 2.6],
    body: balancing,
  },
  shaking: {
    path: [
      [30, 40, 44, 40],
      [40, 40, 10, 40],
    ],
    cycles: [3.4, 4.8],
    body: balancing,
  },
  kicking: {
    path: [
      [6, 20, 2, 20],
      [62, 14, -40, 14],
      [88, 14, 90, 14],
      [62, 14, -40, 14],
    ],
    cycles: [1.6, 2.4],
    joiner: 'with ',
    body: guard,
  },
};

/** A movement of the whole body as the tables have it; what a pose leaves out stands. */
export interface BodyMotion {
  readonly path: readonly PartialPose[];
  readonly cycles?: readonly [number, number];
  readonly reverse?: string;
  readonly stool?: boolean;
  readonly partner?: Partner<PartialPose>;
  readonly box?: boolean;
}

const bodyMotions: Readonly<Record<string, BodyMotion>> = {
  'bending forward': {
    path: [
      {},
      { spine: [48, 0, 0], activeArm: [44, 20, 44, 20], otherArm: [44, 20, 44, 20], head: [10, 0, 0] },
      {
        spine: [98, 0, 0],
        activeArm: [94, 15, 94, 15],
        otherArm: [94, 15, 94, 15],
        activeLeg: [14, 20, 12, 20],
        otherLeg: [14, 20, 12, 20],
        head: [10, 0, 0],
      },
    ],
    reverse: 'straightening up',
  },
  'sitting down': {
    path: [
      {},
      {
        spine: [34, 0, 0],
        activeLeg: [56, 16, -24, 16],
        otherLeg: [56, 16, -24, 16],
        activeArm: [52, 20, 60, 10],
        otherArm: [52, 20, 60, 10],
      },
      {
        spine: [4, 0, 0],
        activeLeg: [86, 16, 0, 16],
        otherLeg: [86, 16, 0, 16],
        activeArm: [24, 20, 62, 0],
        otherArm: [24, 20, 62, 0],
      },
    ],
    reverse: 'standing up',
    stool: true,
  },
  'jumping jacks': {
    path: [
      { activeLeg: [2, 90, 2, 90], otherLeg: [2, 90, 2, 90] },
      {
        activeArm: [165, 88, 170, 88],
        otherArm: [165, 88, 170, 88],
        activeLeg: [26, 90, 26, 90],
        otherLeg: [26, 90, 26, 90],
        lift: [0.05],
      },
    ],
    cycles: [2, 3.2],
  },
  'nodding the head': { path: [{ head: [-22, 0, 0] }, { head: [52, 0, 0] }], cycles: [2, 3.2] },
  'shaking the head': { path: [{ head: [0, 0, -75] }, { head: [0, 0, 75] }], cycles: [2, 3.2] },
};

type Limb = 'activeArm' | 'otherArm' | 'activeLeg';

const limbGrid: readonly {
  readonly part: string;
  readonly limbs: readonly Limb[];
  readonly motions: Readonly<Record<string, LimbMotion>>;
}[] = [
  { part: 'one arm', limbs: ['activeArm'], motions: armMotions },
  { part: 'both arms', limbs: ['activeArm', 'otherArm'], motions: armMotions },
  { part: 'one leg', limbs: ['activeLeg'], motions: legMotions },
];

function withReverse(action: Action, reverseLabel: string | undefined): Action[] {
  if (reverseLabel === undefined) return [action];
  const path = action.path.toReversed();
  const partner = action.partner && { ...action.partner, path: action.partner.path.toReversed() };
  return [action, { ...action, label: reverseLabel, path, reverseOf: action.label, ...(partner && { partner }) }];
}

function limbActions(): Action[] {
  return limbGrid.flatMap(({ part, limbs, motions }) =>
    Object.entries(motions).flatMap(([verb, { path, cycles, joiner = '', reverse, body }]) => {
      const poses = path.map((angles): Pose => {
        const moving = Object.fromEntries(limbs.map((limb) => [limb, angles])) as PartialPose;
        return { ...standing, ...body, ...moving };
      });
      const label = `${verb} ${joiner}${part}`;
      const action: Action = { label, path: poses, stool: false, box: false, ...(cycles && { cycles }) };
      return withReverse(action, reverse && `${reverse} ${part}`);
    }),
  );
}

function bodyActions(motions: Readonly<Record<string, BodyMotion>>): Action[] {
  const whole = (path: readonly PartialPose[]): Pose[] => path.map((pose) => ({ ...standing, ...pose }));
  return Object.entries(motions).flatMap(([label, { path, cycles, reverse, partner, stool = false, box = false }]) => {
    const action: Action = {
      label,
      path: whole(path),
      stool,
      box,
      ...(cycles && { cycles }),
      ...(partner && { partner: { ...partner, path: whole(partner.path) } }),
    };
    return withReverse(action, reverse);
  });
}

const actionsByLabel: ReadonlyMap<string, Action> = new Map(
  [...limbActions(), ...bodyActions(bodyMotions), ...bodyActions(furtherBodyMotions)].map((action) => [
    action.label,
    action,
  ]),
);

/** Every action that can be drawn, whether or not the default data set uses it. */
export const actionLabels: readonly string[] = [...actionsByLabel.keys()];

/** The action of a label. Throws DataError for a label outside `actionLabels`. */
export function actionOf(label: string): Action {
  const action = actionsByLabel.get(label);
  if (action === undefined) {
    throw new DataError(`There is no synthetic action "${label}"`, `Choose from: ${actionLabels.join(', ')}.`);
  }
  return action;
}

/** The classes trained by default, in class order. */
export const defaultTrainedLabels: readonly string[] = [
  'raising one arm',
  'lowering one arm',
  'raising both arms',
  'lowering one leg',
  'bending both arms',
  'straightening both arms',
  'bending one leg',
  'straightening one leg',
  'bending forward',
  'straightening up',
  'sitting down',
  'standing up',
  'waving one arm',
  'waving both arms',
  'swinging one arm',
  'swinging one leg',
  'circling both arms',
  'circling one leg',
  'shaking one arm',
  'shaking both arms',
  'shaking the head',
  'punching with one arm',
  'kicking with one leg',
  'jumping jacks',
];

/** Combinations never trained by default; each verb and each body part occurs in a trained label. */
export const defaultZeroShotLabels: readonly string[] = [
  'lowering both arms',
  'swinging both arms',
  'circling one arm',
  'bending one arm',
  'raising one leg',
  'shaking one leg',
];

/** The classes that the hard form trains by default: those of the standard form, then more, some of them of two people. */
export const hardTrainedLabels: readonly string[] = [
  ...defaultTrainedLabels,
  'squatting',
  'jumping up and down',
  'marching in place',
  'clapping both hands',
  'twisting the body',
  'opening both arms',
  'closing both arms',
  'pulling with both arms',
  'shaking hands',
  'giving a high five',
  'pushing another person',
  'pulling another person',
  'handing over a box',
  'bowing to each other',
  'punching another person',
  'dancing with another person',
];

/** Combinations that the hard form never trains by default; each of their words occurs in a trained label. */
export const hardZeroShotLabels: readonly string[] = [
  ...defaultZeroShotLabels,
  'punching with both arms',
  'pulling with one arm',
  'waving to each other',
  'kicking another person',
];

/**
 * The pairs among `labels` that only the order of time tells apart, each as [forward, backward]: a clip of the second
 * is a clip of the first played backwards.
 */
export function orderedPairsAmong(labels: readonly string[]): [string, string][] {
  return labels.flatMap((label) => {
    const forward = actionOf(label).reverseOf;
    return forward !== undefined && labels.includes(forward) ? [[forward, label] as [string, string]] : [];
  });
}
