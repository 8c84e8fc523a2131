/** Features of single frames, of a camera's or of some of a video, for models that see each frame by itself. Runs in browsers. */
import type { OpenedCheckpoint } from '../checkpoints/build-model.ts';
import { evaluationFrame } from '../data/augment/pipelines.ts';
import type { FrameSource } from '../data/frame-source.ts';
import type { Image } from '../data/image/image.ts';
import { concatenated } from '../evaluate/features.ts';
import { RecognitionError } from './errors.ts';
import { VideoTowers } from './towers.ts';
import { evenly } from './views.ts';

export class FrameEncoder {
  readonly #towers: VideoTowers;
  /** A frame of any size as the model sees it, S x S. */
  readonly square: (frame: Image) => Image;

  /** @throws RecognitionError where the model looks across frames. */
  constructor({ model, description }: Pick<OpenedCheckpoint, 'model' | 'description'>) {
    if (!model.perFrame) {
      throw new RecognitionError(
        'the image tower of this model looks at several frames together, so no frame has features of its own',
        'choose a model without joint, shift or ST-Adapters',
      );
    }
    this.square = evaluationFrame(model.clip.sizes.vision.resolution, description.shortSide);
    this.#towers = new VideoTowers(model);
  }

  /**
   * Features of frames, [frames, D], not normalised.
   * @param squares As `square` makes them.
   * @param beforeBatch Called with how many are done; may throw to stop the work.
   */
  async encode(
    squares: readonly Image[],
    beforeBatch: (done: number) => void | Promise<void> = () => {},
  ): Promise<Float32Array> {
    const rows: Float32Array[] = [];
    for (let first = 0; first < squares.length; first += this.#towers.batch) {
      await beforeBatch(first);
      rows.push(await this.#towers.encode(squares.slice(first, first + this.#towers.batch)));
    }
    return concatenated(rows);
  }

  /** Gives back what encoding keeps on the device; the model stays. */
  close(): Promise<void> {
    return this.#towers.close();
  }
}

/**
 * At most `limit` frames of a video, evenly over it, in their order.
 * @param keep What is kept of a frame.
 * @throws DataError for a video that cannot be read
 */
export async function someFrames<Kept>(
  source: FrameSource,
  limit: number,
  keep: (frame: Image) => Kept | Promise<Kept>,
): Promise<Kept[]> {
  const choose = (count: number): number[] => evenly([...Array(count).keys()], limit);
  const kept = new Map<number, Kept>();
  const count = await source.readEach(choose, async (index, frame) => void kept.set(index, await keep(frame)));
  return choose(count).flatMap((index) => (kept.has(index) ? [kept.get(index) as Kept] : []));
}
