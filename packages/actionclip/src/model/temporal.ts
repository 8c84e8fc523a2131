/**
 * Post-network prompts (paper section 3.3, released `modules/fusion_module.py`): how the embeddings of a clip's frames
 * become one. Parameter names and shapes are those of the released checkpoints. [batch, frames, width] to [batch, width].
 */
import {
  concat,
  constantParameter,
  Dropout,
  defaultGenerator,
  Embedding,
  type Generator,
  LayerNorm,
  Linear,
  LSTM,
  Module,
  parameter,
  parameterOf,
  ShapeError,
  type Tensor,
} from '@actionclip/tensor';
import { MultiheadAttention, Transformer } from '@actionclip/transformer';

export type TemporalHeadName = 'meanP' | 'Conv_1D' | 'LSTM' | 'Transf' | 'Transf_cls';

export interface TemporalOptions {
  /** Width of a frame embedding. */
  readonly width: number;
  /** Frames of a clip. */
  readonly frames: number;
  /** Length of the position table: CLIP's context length in the released code. */
  readonly positions: number;
  /** Attention heads of Transf: those of the text tower in the released code. */
  readonly heads: number;
  /** Layers of Transf and Transf_cls; 6 in the released code. */
  readonly layers?: number;
  /**
   * Standard deviation of the position table; 0.02 in the released code, where the frame features are trained before
   * they meet it. From scratch the order of the frames is learnt much sooner when positions and features are of a size.
   */
  readonly positionDeviation?: number;
  /** Whether Conv_1D reads [frames, width] as [width, frames] without transposing, as the released code does. */
  readonly scrambledConvolution?: boolean;
  readonly generator?: Generator;
}

/** A module over a clip's frame embeddings. */
export abstract class TemporalHead extends Module {
  abstract forward(frames: Tensor): Tensor;
}

/** The mean over time. */
export class MeanPooling extends TemporalHead {
  forward(frames: Tensor): Tensor {
    return frames.mean(1);
  }
}

/** The rows of a position table for the frames at hand. */
function positionsOf(table: Embedding, frames: Tensor): Tensor {
  const [, count] = frames.shape as readonly [number, number, number];
  const rows = table.weight.shape[0] as number;
  if (count > rows)
    throw new ShapeError(`temporal: ${count} frames, where the position table has ${rows} rows`, 'use fewer frames');
  return table.weight.narrow(0, 0, count);
}

const table = ({ positions, width, positionDeviation = 0.02, generator }: TemporalOptions): Embedding =>
  new Embedding(positions, width, { deviation: positionDeviation, ...(generator ? { generator } : {}) });

/** Six residual attention blocks over frames with positions, a residual around them all, and the mean. */
export class TransformerHead extends TemporalHead {
  frame_position_embeddings: Embedding;
  transformer: Transformer;

  constructor(options: TemporalOptions) {
    super();
    const { width, heads, layers = 6, generator } = options;
    this.frame_position_embeddings = table(options);
    this.transformer = new Transformer(width, layers, () => ({
      heads,
      eps: 1e-12,
      deviations: { output: 0.02, expansion: 0.02, contraction: 0.02 },
      zeroBiases: true,
      ...(generator ? { generator } : {}),
    }));
  }

  forward(frames: Tensor): Tensor {
    const h = this.transformer.forward(frames.add(positionsOf(this.frame_position_embeddings, frames)));
    return h.add(frames).mean(1);
  }
}

/** A recurrent layer over time, a residual around it, and the mean. The position table is saved but unused. */
export class LSTMHead extends TemporalHead {
  frame_position_embeddings: Embedding;
  lstm_visual: LSTM;

  constructor(options: TemporalOptions) {
    super();
    this.frame_position_embeddings = table(options);
    this.lstm_visual = new LSTM(options.width, options.width, options.generator);
  }

  forward(frames: Tensor): Tensor {
    return this.lstm_visual.forward(frames).add(frames).mean(1);
  }
}

/** A depth-wise kernel of three taps, which starts as a shift: [width, 1, 3]. */
class ShiftConvolution extends Module {
  weight: Tensor;

  constructor(width: number) {
    super();
    const taps = new Float32Array(width * 3);
    const fold = Math.floor(width / 4);
    for (let channel = 0; channel < width; channel++) {
      const tap = channel < fold ? 0 : channel < width - fold ? 1 : 2;
      taps[channel * 3 + tap] = 1;
    }
    this.weight = parameterOf(taps, [width, 1, 3]);
  }

  /** [batch, width, frames] to the same: each frame mixed with its neighbours, zeros beyond the ends. */
  forward(x: Tensor): Tensor {
    const [, , frames] = x.shape as readonly [number, number, number];
    const padded = x.pad([[1, 1]]);
    const taps = [0, 1, 2].map(
      (tap) => padded.narrow(2, tap, frames).mul(this.weight.narrow(2, tap, 1).squeeze(1)) as Tensor,
    );
    return taps.reduce((sum, tap) => sum.add(tap));
  }
}

/** A convolution over time, a residual around it, and the mean. The position table is saved but unused. */
export class ConvolutionHead extends TemporalHead {
  frame_position_embeddings: Embedding;
  shift: ShiftConvolution;
  private readonly scrambled: boolean;

  constructor(options: TemporalOptions) {
    super();
    this.frame_position_embeddings = table(options);
    this.shift = new ShiftConvolution(options.width);
    this.scrambled = options.scrambledConvolution ?? false;
  }

  forward(frames: Tensor): Tensor {
    const [batch, count, width] = frames.shape as readonly [number, number, number];
    const channels: Tensor = this.scrambled ? frames.reshape([batch, width, count]) : frames.transpose(); // [batch, width, frames]
    return this.shift.forward(channels).transpose().add(frames).mean(1);
  }
}

/** Initial values of Transf_cls in the released code: N(0, 1) folded into (-2, 2), a fiftieth of it. */
function foldedNormalParameter(shape: readonly number[], generator: Generator = defaultGenerator()): Tensor {
  const drawn = generator.normal(shape);
  const folded = drawn.sub(drawn.div(2).trunc().mul(2)) as Tensor;
  return parameter(folded.mul(0.02));
}

/** One post-norm encoder layer of PyTorch, with ReLU. */
class EncoderLayer extends Module {
  self_attn: MultiheadAttention;
  linear1: Linear;
  linear2: Linear;
  norm1: LayerNorm;
  norm2: LayerNorm;
  private readonly dropout: Dropout;

  constructor(width: number, heads: number, inner: number, generator?: Generator) {
    super();
    this.self_attn = new MultiheadAttention(width, { heads, dropout: 0.1, ...(generator ? { generator } : {}) });
    this.self_attn.out_proj.weight = foldedNormalParameter([width, width], generator);
    this.linear1 = new Linear(width, inner, generator ? { generator } : {});
    this.linear2 = new Linear(inner, width, generator ? { generator } : {});
    for (const linear of [this.linear1, this.linear2]) {
      linear.weight = foldedNormalParameter(linear.weight.shape, generator);
      linear.bias = constantParameter(linear.weight.shape.slice(0, 1), 0);
    }
    this.norm1 = new LayerNorm(width);
    this.norm2 = new LayerNorm(width);
    this.dropout = new Dropout(0.1, generator);
  }

  forward(x: Tensor): Tensor {
    const attended = this.norm1.forward(x.add(this.dropout.forward(this.self_attn.forward(x))));
    const inner = this.dropout.forward(this.linear1.forward(attended).relu());
    return this.norm2.forward(attended.add(this.dropout.forward(this.linear2.forward(inner))));
  }
}

/** PyTorch's encoder: a list of layers and a last normalisation. */
class Encoder extends Module {
  layers: EncoderLayer[];
  norm: LayerNorm;

  constructor(width: number, layers: number, heads: number, inner: number, generator?: Generator) {
    super();
    this.layers = Array.from({ length: layers }, () => new EncoderLayer(width, heads, inner, generator));
    this.norm = new LayerNorm(width);
  }

  forward(x: Tensor): Tensor {
    return this.norm.forward(this.layers.reduce((h, layer) => layer.forward(h), x));
  }
}

/** A class token before the frames, positions, and the encoder. */
class ClassTokenTransformer extends Module {
  cls_token: Tensor;
  pos_embed: Tensor;
  transformer_enc: Encoder;

  constructor({ width, frames, layers = 6, generator }: TemporalOptions) {
    super();
    this.cls_token = foldedNormalParameter([1, 1, width], generator);
    this.pos_embed = foldedNormalParameter([1, frames + 1, width], generator);
    this.transformer_enc = new Encoder(width, layers, 8, 2048, generator);
  }

  forward(frames: Tensor): Tensor {
    const [batch, count, width] = frames.shape as readonly [number, number, number];
    const places = (this.pos_embed.shape[1] as number) - 1;
    if (count !== places)
      throw new ShapeError(
        `Transf_cls: ${count} frames, where the position table is for ${places}`,
        'use as many frames as in training',
      );
    const tokens: Tensor = concat([this.cls_token.expand(batch, 1, width), frames], 1).add(this.pos_embed);
    return this.transformer_enc.forward(tokens).select(1, 0);
  }
}

/** Six post-norm encoder layers read at a class token; no residual and no mean. The position table is saved but unused. */
export class ClassTokenHead extends TemporalHead {
  frame_position_embeddings: Embedding;
  transformer: ClassTokenTransformer;

  constructor(options: TemporalOptions) {
    super();
    this.frame_position_embeddings = table(options);
    this.transformer = new ClassTokenTransformer(options);
  }

  forward(frames: Tensor): Tensor {
    return this.transformer.forward(frames);
  }
}

/** The heads by the names of the released configuration (`network.sim_header`). */
export const temporalHeads: Readonly<Record<TemporalHeadName, (options: TemporalOptions) => TemporalHead>> = {
  meanP: () => new MeanPooling(),
  Conv_1D: (options) => new ConvolutionHead(options),
  LSTM: (options) => new LSTMHead(options),
  Transf: (options) => new TransformerHead(options),
  Transf_cls: (options) => new ClassTokenHead(options),
};
