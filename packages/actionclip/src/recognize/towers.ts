/** The programs of a model that a video goes through: pictures to features, and features of clips to those of views. */
import { autocast, type Captured, compile, type Tensor, tensor } from '@actionclip/tensor';
import { unit } from '@actionclip/transformer';
import { stackFrames } from '../data/augment/clip.ts';
import type { Image } from '../data/image/image.ts';
import { concatenated, evaluateRows, evenBatch } from '../evaluate/features.ts';
import type { ActionCLIP } from '../model/action-clip.ts';

/**
 * Most pictures that are encoded at once where the model sees each by itself. A graphics processor wants many; a
 * processor is as fast with two, and between batches the program hears signals and shows how far it is.
 */
const pictureLimit = (device: string | undefined): number => (device === 'webgpu' ? 16 : 2);
/** Most views whose frames are fused at once. */
const viewLimit = 16;

export class VideoTowers {
  readonly model: ActionCLIP;
  /** Pictures of one batch: of a whole clip where the model looks across frames. */
  readonly batch: number;
  /** Feature rows of a clip: T, or 1 with the joint prompt. */
  readonly rows: number;
  readonly #pictures: Captured<[Tensor], Tensor>;
  readonly #views: Captured<[Tensor], Tensor>;

  constructor(model: ActionCLIP, precision: 'f32' | 'mixed' = 'f32') {
    this.model = model;
    this.batch = model.perFrame
      ? evenBatch(model.frames, pictureLimit(model.parameters()[0]?.device?.name))
      : model.frames;
    this.rows = model.joint ? 1 : model.frames;
    const enabled = precision === 'mixed';
    this.#pictures = compile((bytes: Tensor) =>
      autocast(
        () =>
          model.perFrame
            ? model.encodeImages(bytes) // [batch, embedding]
            : model.encodeFrames(bytes.reshape([1, ...bytes.shape]) as Tensor).squeeze(0), // [T or 1, embedding]
        { enabled },
      ),
    );
    this.#views = compile((features: Tensor) => unit(model.fusion.forward(features)));
  }

  /**
   * Features of at most a batch of pictures, not normalised: one row each, or those of the clip that they are.
   * @param pictures S x S each.
   * @param batch Pictures that are encoded at once, where the model sees each by itself.
   */
  async encode(pictures: readonly Image[], batch: number = this.batch): Promise<Float32Array> {
    const { embedding, vision } = this.model.clip.sizes;
    const side = vision.resolution;
    const stacked = stackFrames(pictures, side);
    let bytes = stacked;
    if (pictures.length < batch) {
      bytes = new Uint8Array(batch * 3 * side * side);
      bytes.set(stacked);
    }
    const input = tensor(bytes, { shape: [batch, 3, side, side] });
    const rows = await evaluateRows(this.model, this.#pictures, input);
    return this.model.perFrame ? rows.subarray(0, pictures.length * embedding) : rows;
  }

  /**
   * Features of views from those of their frames, of unit length: [views, embedding].
   * @param clips The feature rows of each view, [T or 1, embedding].
   */
  async fuse(clips: readonly Float32Array[]): Promise<Float32Array> {
    const { embedding } = this.model.clip.sizes;
    const batch = evenBatch(clips.length, viewLimit);
    const clipLength = this.rows * embedding;
    const parts: Float32Array[] = [];
    for (let first = 0; first < clips.length; first += batch) {
      const some = clips.slice(first, first + batch);
      const features = new Float32Array(batch * clipLength);
      some.forEach((clip, at) => {
        features.set(clip, at * clipLength);
      });
      const input = tensor(features, { shape: [batch, this.rows, embedding] });
      const rows = await evaluateRows(this.model, this.#views, input);
      parts.push(rows.subarray(0, some.length * embedding));
    }
    return concatenated(parts);
  }

  /** Gives back what the programs keep on the device. */
  async close(): Promise<void> {
    await this.#pictures.dispose();
    await this.#views.dispose();
  }
}

/** A row scaled to length 1. */
export function unitRow(row: Float32Array): Float32Array {
  const length = Math.hypot(...row);
  return row.map((value) => value / length);
}
