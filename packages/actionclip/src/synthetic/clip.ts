/** One clip: an action performed by a random actor before a random camera, as a list of images. */
import { DataError } from '../data/errors.ts';
import { blank, type Image } from '../data/image/image.ts';
import { Random } from '../data/random.ts';
import { actionOf } from './actions.ts';
import { drawActor, drawCamera, drawSetting } from './appearance.ts';
import type { Canvas } from './canvas.ts';
import { drawFigure, drawStool, paintSetting } from './figure.ts';
import { renderHardClip } from './hard-clip.ts';
import { posesOf } from './motion.ts';
import type { Pose } from './pose.ts';
import { jointsOf, type Vector } from './skeleton.ts';

/**
 * Standard: one figure before a steady camera. Hard: a second figure in some clips, a camera that moves, things in
 * front of the figure and behind it, and actions of two people.
 */
export type ClipForm = 'standard' | 'hard';

export interface ClipOptions {
  /** Default standard. */
  readonly form?: ClipForm;
  /** Side of the square pictures in pixels; default 64. */
  readonly size?: number;
  /** Fewest and most frames of a clip; default 18 and 30. */
  readonly frames?: readonly [number, number];
  /** 0 (plain and steady) to 1 (varied cameras and actors, busy walls, low contrast); default 0.3. */
  readonly difficulty?: number;
}

export const defaultClipOptions: Required<ClipOptions> = {
  form: 'standard',
  size: 64,
  frames: [18, 30],
  difficulty: 0.3,
};

/** The options with defaults filled in. Throws DataError for values out of range. */
export function checkClipOptions(options: ClipOptions): Required<ClipOptions> {
  const { form, size, frames, difficulty } = { ...defaultClipOptions, ...options };
  const [fewest, most] = frames;
  if (form !== 'standard' && form !== 'hard') {
    throw new DataError(`The synthetic clips' form is ${String(form)}`, 'expected standard or hard');
  }
  if (!Number.isInteger(size) || size < 16 || size > 1024) {
    throw new DataError(`The synthetic clips' size is ${size}`, 'expected a whole number of pixels from 16 to 1024');
  }
  if (!Number.isInteger(fewest) || !Number.isInteger(most) || fewest < 2 || most < fewest || most > 99999) {
    throw new DataError(
      `The synthetic clips' frame counts are ${fewest} to ${most}`,
      'expected two whole numbers, the first at least 2 and the second from there to 99999',
    );
  }
  if (!(difficulty >= 0 && difficulty <= 1)) {
    throw new DataError(`The synthetic clips' difficulty is ${difficulty}`, 'expected a number from 0 to 1');
  }
  return { form, size, frames, difficulty };
}

/** The number of frames and the pose of each in the clip of `label` and `seed`; throws DataError as `renderClip` does. */
export function clipPoses(label: string, seed: number, options: ClipOptions = {}): Pose[] {
  const { frames, difficulty } = checkClipOptions(options);
  const random = new Random(seed);
  const count = frames[0] + random.fork('frames').integer(frames[1] - frames[0] + 1);
  return posesOf(actionOf(label), count, random.fork('motion'), difficulty);
}

/**
 * The frames of one clip, RGB, from first to last. Equal arguments give equal pixels; two labels of an ordered pair
 * give, for one seed, the same frames in opposite orders.
 * @throws DataError for an unknown label, options out of range, or an action of two people in the standard form
 */
export function renderClip(label: string, seed: number, options: ClipOptions = {}): Image[] {
  const checked = checkClipOptions(options);
  const { form, size, difficulty } = checked;
  if (form === 'hard') return renderHardClip(label, seed, checked);
  const { stool, partner } = actionOf(label);
  if (partner !== undefined) {
    throw new DataError(`"${label}" takes two people, and the standard form draws one`, 'choose the form hard');
  }
  const random = new Random(seed);
  const setting = drawSetting(random.fork('setting'), difficulty);
  const actor = drawActor(random.fork('actor'), setting, difficulty);
  const camera = drawCamera(random.fork('camera'), size, difficulty);
  // The limb away from the camera is the better seen of the two: its movement ahead and outwards is not foreshortened.
  const farSide = camera.yaw > 0 ? 1 : -1;
  const side = random.fork('side').chance(difficulty / 2) ? -farSide : farSide;

  const background = blank(size, size);
  paintSetting(background, setting, camera);
  const { thigh, shin } = actor.proportions;
  if (stool) drawStool(background, camera, [0, shin * 0.99 - 0.05, -thigh * 0.97]);
  else if (setting.idleStool) drawStool(background, camera, stoolAt(setting.idleStool, shin));

  return clipPoses(label, seed, options).map((pose) => {
    const canvas: Canvas = { width: size, height: size, data: background.data.slice() };
    drawFigure(canvas, camera, actor, jointsOf(pose, actor.proportions, side));
    return canvas;
  });
}

function stoolAt([x, z]: readonly [number, number], shin: number): Vector {
  return [x, shin * 0.99 - 0.05, z];
}
