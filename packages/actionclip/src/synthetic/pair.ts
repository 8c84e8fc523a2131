/** One image-text pair: a still picture of one or two people, and a caption of what is seen (pose, colour, number, setting). */
import { blank, type Image } from '../data/image/image.ts';
import { Random } from '../data/random.ts';
import { actionOf } from './actions.ts';
import { type Actor, drawActor, drawCamera, drawSetting, type Texture } from './appearance.ts';
import type { Colour } from './canvas.ts';
import { inView } from './clutter.ts';
import { drawFigure, drawStool, paintSetting } from './figure.ts';
import { mapPose, type Pose, standing } from './pose.ts';
import { add, jointsOf, placeJoints } from './skeleton.ts';

export interface Pair {
  readonly image: Image;
  readonly caption: string;
}

/** What a caption says of a posture, and the pose of an action's path that shows it. */
const postures: readonly (readonly [phrase: string, label: string, pose: number])[] = [
  ['standing', 'bending forward', 0],
  ['with one arm raised', 'raising one arm', 2],
  ['with one arm out', 'raising one arm', 1],
  ['with one arm bent', 'bending one arm', 2],
  ['with both arms raised', 'raising both arms', 2],
  ['with both arms out', 'raising both arms', 1],
  ['with both arms bent', 'bending both arms', 2],
  ['with one leg raised', 'raising one leg', 2],
  ['with one leg bent', 'bending one leg', 2],
  ['with one leg swinging', 'swinging one leg', 2],
  ['bending forward', 'bending forward', 2],
  ['sitting on a stool', 'sitting down', 2],
  ['squatting', 'squatting', 1],
  ['jumping', 'jumping jacks', 1],
  ['kicking with one leg', 'kicking with one leg', 2],
  ['punching with one arm', 'punching with one arm', 1],
];

const colours: readonly (readonly [name: string, colour: Colour])[] = [
  ['red', [200, 30, 36]],
  ['green', [30, 130, 50]],
  ['blue', [36, 60, 190]],
  ['yellow', [220, 190, 30]],
  ['purple', [120, 40, 150]],
  ['black', [34, 34, 38]],
];

const walls: Readonly<Record<Texture, string>> = {
  plain: 'plain',
  stripes: 'striped',
  bricks: 'brick',
  dots: 'dotted',
  clouds: 'cloudy',
};

/** A caption says what the wall looks like, so that it has to show. */
const wallContrast = 0.14;
/** Degrees by which a posture differs from the table's. */
const postureDeviation = 5;

interface Person {
  readonly actor: Actor;
  readonly pose: Pose;
  readonly stool: boolean;
  /** `in a red shirt and blue trousers, sitting on a stool` */
  readonly words: string;
}

function personOf(random: Random, drawn: Actor): Person {
  const [phrase, label, index] = random.choice(postures);
  const [shirt, shirtColour] = random.choice(colours);
  const [trousers, trousersColour] = random.choice(colours);
  const action = actionOf(label);
  const pose = mapPose(action.path[index] ?? standing, (values, part) =>
    part === 'lift' ? values : values.map((value) => random.normal(value, postureDeviation)),
  );
  return {
    actor: { ...drawn, shirt: shirtColour, trousers: trousersColour, longTrousers: true, longSleeves: true },
    pose,
    stool: action.stool,
    words: `in a ${shirt} shirt and ${trousers} trousers ${phrase}`,
  };
}

/** The pair of a seed: a picture of `size` pixels a side, RGB, and its caption. */
export function renderPair(seed: number, size: number, difficulty: number): Pair {
  const random = new Random(seed).fork('pair');
  const setting = {
    ...drawSetting(random.fork('setting'), difficulty),
    textureContrast: wallContrast,
  };
  const camera = drawCamera(random.fork('camera'), size, difficulty);
  const two = random.fork('number').chance(0.3);
  const people = (two ? ['first', 'second'] : ['first']).map((name) =>
    personOf(random.fork('person', name), drawActor(random.fork('actor', name), setting, difficulty)),
  );
  const image = blank(size, size);
  paintSetting(image, setting, camera);
  for (const [index, { actor, pose, stool }] of people.entries()) {
    const [x, , z] = inView(camera, two ? (index === 0 ? -0.3 : 0.3) : 0, 0, 0);
    const { thigh, shin } = actor.proportions;
    if (stool) drawStool(image, camera, add([x, 0, z], [0, shin * 0.99 - 0.05, -thigh * 0.97]));
    const side = camera.yaw > 0 ? 1 : -1;
    const joints = placeJoints(jointsOf(pose, actor.proportions, side), { x, z, turn: 0 });
    drawFigure(image, camera, actor, joints, [x, 0, z]);
  }
  return { image, caption: captionOf(people, walls[setting.texture]) };
}

function captionOf(people: readonly Person[], wall: string): string {
  const [first, second] = people.map(({ words }) => words);
  const who = second === undefined ? `a person ${first}` : `two people, one ${first} and one ${second}`;
  return `${who}, before a ${wall} wall`;
}
