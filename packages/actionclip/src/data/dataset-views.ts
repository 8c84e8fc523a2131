/** Several looks at each clip of a data set: T frames from each of some places in time, each through one or three squares. */
import { squaresOf } from '../recognize/squares.ts';
import { clipFrames } from '../recognize/views.ts';
import { type ClipPipeline, stackFrames } from './augment/clip.ts';

export interface DatasetViews {
  /** Places in time. */
  readonly clips: number;
  /** Squares of each frame. */
  readonly crops: 1 | 3;
}

/** How many looks are taken at each clip; 1 unless the data set says. */
export const viewCount = ({ views }: { readonly views?: DatasetViews }): number =>
  views === undefined ? 1 : views.clips * views.crops;

/** Indices of the frames of all places in time, one place after the other: [clips * T]. */
export const viewFrames = (frameCount: number, segments: number, { clips }: DatasetViews): number[] =>
  clipFrames(frameCount, segments, clips).flat();

/** The frames that `viewFrames` names to the bytes of all views, [clips, crops, T, 3, S, S]. */
export function viewPipeline(
  inputSize: number,
  segments: number,
  { clips, crops }: DatasetViews,
  shortSide?: number,
): ClipPipeline {
  const squares = squaresOf(crops, inputSize, shortSide);
  return (frames) => {
    const cut = frames.map(squares);
    const views = Array.from({ length: clips * crops }, (_, view) => {
      const first = Math.floor(view / crops) * segments;
      return cut.slice(first, first + segments).flatMap((ofFrame) => ofFrame[view % crops] ?? []);
    });
    return stackFrames(views.flat(), inputSize);
  };
}
