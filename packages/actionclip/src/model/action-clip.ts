/** ActionCLIP (Wang, Xing, Liu 2021): CLIP's towers, a temporal prompt, and the match of videos with texts. */
import { defaultGenerator, type Generator, Module, ShapeError, type Tensor, tensor } from '@actionclip/tensor';
import { CLIP, type ClipSizes, unit } from '@actionclip/transformer';
import { channelDeviation, channelMean } from '../data/augment/clip.ts';
import { type AdapterOptions, addLoraTo, spatioTemporalAdapters, spatioTemporalPrefix } from './adapters.ts';
import { JointEmbedding, shift } from './spatiotemporal.ts';
import type { SpatioTemporalAdapter } from './st-adapter.ts';
import { type TemporalHead, type TemporalHeadName, temporalHeads } from './temporal.ts';

export interface ActionClipOptions {
  readonly sizes: ClipSizes;
  /** Frames of a clip. */
  readonly frames: number;
  /** The post-network prompt; Transf if absent. */
  readonly temporal?: TemporalHeadName;
  /** The pre-network prompt. It gives one feature a clip, so the post-network prompt must be meanP. */
  readonly joint?: boolean;
  /** The in-network prompt. */
  readonly shift?: boolean;
  /** Layers of Transf and Transf_cls; 6 if absent. */
  readonly temporalLayers?: number;
  /** Standard deviation of the table of frame positions; 0.02 if absent. */
  readonly positionDeviation?: number;
  /** Conv_1D as in the released code (see spec of the checkpoints) rather than as intended. */
  readonly scrambledConvolution?: boolean;
  /** Few parameters beside those of the towers, that start without effect. ST-Adapters go with neither joint nor shift. */
  readonly adapter?: AdapterOptions;
  readonly dropout?: number;
  readonly embeddingDropout?: number;
  readonly generator?: Generator;
}

export class ActionCLIP extends Module {
  /** CLIP's own parameters, by their own names. */
  clip: CLIP;
  /** The post-network prompt. */
  fusion: TemporalHead;
  joint: JointEmbedding | undefined;
  /** ST-Adapters, one for each block of the image tower, if they are the adapter. */
  spatioTemporal: SpatioTemporalAdapter[];
  readonly frames: number;
  readonly options: ActionClipOptions;

  constructor(options: ActionClipOptions) {
    super();
    const { sizes, frames, temporal = 'Transf', adapter, generator = defaultGenerator() } = options;
    if (options.joint && temporal !== 'meanP')
      throw new ShapeError(`ActionCLIP: joint with the head ${temporal}`, 'joint gives one feature a clip: use meanP');
    if (adapter?.kind === 'st-adapter' && (options.joint || options.shift))
      throw new ShapeError(
        `ActionCLIP: ST-Adapters with ${options.joint ? 'joint' : 'shift'}`,
        'both change the input of blocks over time: choose one',
      );
    this.options = options;
    this.frames = frames;
    this.clip = new CLIP(sizes, {
      generator,
      ...(options.dropout === undefined ? {} : { dropout: options.dropout }),
      ...(options.embeddingDropout === undefined ? {} : { embeddingDropout: options.embeddingDropout }),
    });
    this.fusion = temporalHeads[temporal]({
      width: sizes.embedding,
      frames,
      positions: Math.max(sizes.text.context, frames),
      heads: sizes.text.heads,
      generator,
      ...(options.temporalLayers === undefined ? {} : { layers: options.temporalLayers }),
      ...(options.positionDeviation === undefined ? {} : { positionDeviation: options.positionDeviation }),
      ...(options.scrambledConvolution === undefined ? {} : { scrambledConvolution: options.scrambledConvolution }),
    });
    this.joint = options.joint ? new JointEmbedding(frames, sizes.vision.width, generator) : undefined;
    // After all else, so that a seed gives a model with an adapter the other parameters of the one without.
    if (adapter?.kind === 'lora') addLoraTo(this.clip, adapter, generator);
    this.spatioTemporal =
      adapter?.kind === 'st-adapter' ? spatioTemporalAdapters(sizes.vision, adapter, generator) : [];
  }

  /**
   * Parameters by the names of checkpoints: CLIP's own names, those of the joint prompt and of ST-Adapters among those of
   * the image tower, the temporal head's under `fusion.`.
   */
  override *namedParameters(prefix = ''): Iterable<[string, Tensor]> {
    yield* this.clip.namedParameters(prefix);
    if (this.joint) yield* this.joint.namedParameters(`${prefix}visual.`);
    for (const [layer, adapter] of this.spatioTemporal.entries())
      yield* adapter.namedParameters(prefix + spatioTemporalPrefix(layer));
    yield* this.fusion.namedParameters(`${prefix}fusion.`);
  }

  /**
   * Frames [batch, T, 3, S, S], bytes (u8) or already normalised (f32), to frame features [batch, T, embedding]
   * ([batch, 1, embedding] with the joint prompt), not normalised.
   */
  encodeFrames(frames: Tensor): Tensor {
    const [batch, count, channels, height, width] = frames.shape as readonly [number, number, number, number, number];
    if (frames.rank !== 5 || count !== this.frames) {
      throw new ShapeError(
        `ActionCLIP: frames [${frames.shape}], where [batch, ${this.frames}, 3, S, S] was expected`,
        'sample as many frames as the model takes',
      );
    }
    const rows = frames.reshape([batch * count, channels, height, width]) as Tensor;
    if (this.perFrame) return this.encodeImages(rows).reshape([batch, count, this.clip.sizes.embedding]);
    const images = normalized(rows);
    const { visual } = this.clip;
    if (this.joint) {
      const features = visual.encode(this.joint.join(visual.embed(images)));
      return features.reshape([batch, 1, this.clip.sizes.embedding]);
    }
    const features = visual.encode(visual.embed(images), (tokens, layer) => {
      const adapter = this.spatioTemporal[layer];
      return adapter === undefined ? shift(tokens, count) : adapter.forward(tokens, count);
    });
    return features.reshape([batch, count, this.clip.sizes.embedding]);
  }

  /** Whether the image tower sees each frame by itself: no joint prompt, no shifts and no ST-Adapters. */
  get perFrame(): boolean {
    return this.joint === undefined && !this.options.shift && this.spatioTemporal.length === 0;
  }

  /** Single frames [n, 3, S, S], bytes or normalised, to features [n, embedding], not normalised. For models that are `perFrame`. */
  encodeImages(images: Tensor): Tensor {
    return this.clip.encodeImage(normalized(images));
  }

  /** Frames [batch, T, 3, S, S] to video features [batch, embedding], not normalised. */
  encodeVideo(frames: Tensor): Tensor {
    return this.fusion.forward(this.encodeFrames(frames));
  }

  /** Token ids [n, length] to text features [n, embedding], not normalised. */
  encodeText(tokens: Tensor): Tensor {
    return this.clip.encodeText(tokens);
  }

  /** Logits per video [videos, texts]: cosine similarities times e^logit_scale. */
  forward(frames: Tensor, tokens: Tensor): Tensor {
    return this.logits(this.encodeVideo(frames), this.encodeText(tokens));
  }

  /** Logits per video from features. */
  logits(video: Tensor, text: Tensor): Tensor {
    return unit(video).matmul(unit(text).transpose()).mul(this.clip.logit_scale.exp());
  }
}

/** Bytes [n, 3, S, S] scaled and normalised by CLIP's channel means and deviations; floats are taken as they are. */
export function normalized(images: Tensor): Tensor {
  if (images.dtype !== 'u8') return images;
  return images.to('f32').div(255).sub(channelTensor(channelMean)).div(channelTensor(channelDeviation)) as Tensor;
}

const channelTensor = (values: readonly number[]): Tensor => tensor([...values], { shape: [1, 3, 1, 1] });
