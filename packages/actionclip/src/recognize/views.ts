/**
 * Which frames of a video are looked at: its windows, and in each of them clips of T frames, seen through one or
 * three squares.
 */
import { Random } from '../data/random.ts';
import { sampleFrames } from '../data/sampling.ts';
import { RecognitionError } from './errors.ts';
import type { ViewOptions } from './types.ts';

/** A stretch of a video in seconds. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** T frames, from 0, through one of the squares. */
export interface View {
  /** Place among the windows. */
  readonly window: number;
  readonly frames: readonly number[];
  /** Place among the squares. */
  readonly crop: number;
}

/** Options of views with their defaults put in, and found to make sense. */
export interface ViewChoice {
  readonly clips: number;
  readonly crops: 1 | 3;
  readonly window: number | undefined;
  readonly stride: number | undefined;
  readonly pictures: number;
}

/** Frames whose pictures are kept unless told. */
const defaultPictures = 64;
/** Most windows of a video: every second of a day. */
const mostWindows = 86_400;
/** Times closer than this, in seconds, are one: far below the distance of frames, far above rounding. */
const tolerance = 1e-6;

/** @throws RecognitionError for an option that makes no sense. */
export function chooseViews(options: ViewOptions): ViewChoice {
  const { clips = 1, crops = 1, window, stride, pictures = defaultPictures } = options;
  checkWhole('clips', clips);
  checkWhole('pictures', pictures);
  if (crops !== 1 && crops !== 3) throw new RecognitionError(`crops is ${crops}`, 'expected 1 or 3');
  if (window !== undefined) checkSeconds('window', window);
  if (stride !== undefined) {
    checkSeconds('stride', stride);
    if (window === undefined) throw new RecognitionError('there is a stride but no window', 'give both, in seconds');
  }
  return { clips, crops, window, stride: window === undefined ? undefined : (stride ?? window / 2), pictures };
}

function checkWhole(what: string, value: number): void {
  if (!Number.isSafeInteger(value) || value < 1)
    throw new RecognitionError(`${what} is ${value}`, 'expected a whole number from 1');
}

function checkSeconds(what: string, value: number): void {
  if (!(value > 0 && value < Number.POSITIVE_INFINITY))
    throw new RecognitionError(`${what} is ${value} seconds`, 'expected a number above 0');
}

/**
 * Frames of clips over a whole video, by number: [clips][T], from 0. One clip is that of evaluation; more of them move
 * within each segment of n / T frames by equal steps from its first frame to its last (Text4Vis' multi-clip test).
 */
export function clipFrames(frames: number, length: number, clips: number): number[][] {
  const middle = sampleFrames(frames, { segments: length, randomShift: false }, new Random(0)).map((at) => at - 1);
  if (clips === 1 || frames <= length) return Array.from({ length: clips }, () => [...middle]);
  const segment = frames / length;
  return shifts(segment - 1, clips).map((shift) =>
    Array.from({ length }, (_, index) => Math.min(frames - 1, Math.trunc(index * segment + shift + tolerance))),
  );
}

/** `count` numbers from 0 to `last` in equal steps. */
const shifts = (last: number, count: number): number[] =>
  Array.from({ length: count }, (_, index) => (last * index) / (count - 1));

/**
 * Windows over a video: one every `stride` seconds, the last of which ends with the video. A video no longer than a
 * window is one.
 * @throws RecognitionError for more windows than anybody can look at.
 */
export function slidingWindows(duration: number, window: number, stride: number): Span[] {
  const last = duration - window;
  if (last <= tolerance) return [{ start: 0, end: duration }];
  const before = Math.ceil((last - tolerance) / stride);
  if (before >= mostWindows) {
    throw new RecognitionError(
      `a stride of ${stride} seconds makes ${before + 1} windows of a video of ${duration.toFixed(1)} seconds`,
      `choose one that makes at most ${mostWindows}`,
    );
  }
  return [
    ...Array.from({ length: before }, (_, index) => ({ start: index * stride, end: index * stride + window })),
    { start: last, end: duration },
  ];
}

/**
 * Frames of clips in a window, by time: [clips][T], from 0. Each is the frame that is shown at a moment: one clip
 * takes the middles of T equal segments, more of them moments from a segment's start to a frame before its end.
 * @param times Seconds of every frame, ascending.
 */
export function windowFrames(times: readonly number[], span: Span, length: number, clips: number): number[][] {
  const segment = (span.end - span.start) / length;
  const offsets = clips === 1 ? [segment / 2] : shifts(Math.max(0, segment - frameInterval(times)), clips);
  return offsets.map((offset) =>
    Array.from({ length }, (_, index) => frameAt(times, span.start + index * segment + offset)),
  );
}

/** The last frame that starts at or before a moment. */
function frameAt(times: readonly number[], moment: number): number {
  let [low, high] = [0, times.length - 1];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if ((times[middle] ?? 0) <= moment + tolerance) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** Mean seconds from one frame to the next; 0 for a single frame. */
export const frameInterval = (times: readonly number[]): number =>
  times.length < 2 ? 0 : ((times[times.length - 1] ?? 0) - (times[0] ?? 0)) / (times.length - 1);

/** Seconds from the start of the first frame to the end of the last, which is shown as long as the others on average. */
export const durationOf = (times: readonly number[]): number => (times[times.length - 1] ?? 0) + frameInterval(times);

/** Every clip through every square, clip by clip. */
export function viewsOf(window: number, clips: readonly (readonly number[])[], crops: number): View[] {
  return clips.flatMap((frames) => Array.from({ length: crops }, (_, crop) => ({ window, frames, crop })));
}

/** At most `limit` of the values, evenly over them, in their order. */
export function evenly(values: readonly number[], limit: number): number[] {
  if (values.length <= limit) return [...values];
  return Array.from({ length: limit }, (_, at) => values[Math.floor(((at + 0.5) * values.length) / limit)] ?? 0);
}
