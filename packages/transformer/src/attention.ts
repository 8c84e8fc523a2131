/** Multi-head self-attention with PyTorch's packed projection. */
import {
  constantParameter,
  dropout,
  full,
  type Generator,
  Linear,
  type LowRankUpdate,
  Module,
  normalParameter,
  packedAttention,
  ShapeError,
  type Tensor,
  xavierUniformParameter,
} from '@actionclip/tensor';

export interface AttentionOptions {
  readonly heads: number;
  /** Standard deviation of the packed projection; Xavier-uniform, as PyTorch's own, if absent. */
  readonly projectionDeviation?: number;
  /** Share of attention weights zeroed while training. */
  readonly dropout?: number;
  readonly generator?: Generator;
}

/** What is added to the scores, [length, length]; 'causal': every position sees itself and those before it. */
export type AttentionMask = Tensor | 'causal';

/** Attention of a sequence to itself. */
export class MultiheadAttention extends Module {
  /** Rows in the order queries, keys, values: [3 · width, width]. */
  in_proj_weight: Tensor;
  in_proj_bias: Tensor;
  in_proj_lora: LowRankUpdate | undefined;
  out_proj: Linear;
  readonly heads: number;
  private readonly dropout: number;
  private readonly generator: Generator | undefined;

  constructor(width: number, options: AttentionOptions) {
    super();
    const { heads, generator, projectionDeviation } = options;
    if (width % heads !== 0) throw new ShapeError(`attention: width ${width} does not divide into ${heads} heads`);
    this.heads = heads;
    this.dropout = options.dropout ?? 0;
    this.generator = generator;
    this.in_proj_weight =
      projectionDeviation === undefined
        ? xavierUniformParameter([3 * width, width], generator)
        : normalParameter([3 * width, width], projectionDeviation, generator);
    this.in_proj_bias = constantParameter([3 * width], 0);
    this.out_proj = new Linear(width, width, generator ? { generator } : {});
    this.out_proj.bias = constantParameter([width], 0);
  }

  /** [batch, length, width] to the same. */
  forward(x: Tensor, mask?: AttentionMask): Tensor {
    const [batch, length, width] = x.shape as readonly [number, number, number];
    const size = width / this.heads;
    const parts: Tensor = this.project(x).reshape([batch, length, 3, this.heads, size]);
    const mixed: Tensor =
      this.training && this.dropout > 0
        ? this.attendWithDropout(parts, mask)
        : packedAttention(parts, mask === 'causal' ? { causal: true } : { mask }); // [batch, length, heads, size]
    return this.out_proj.forward(mixed.reshape([batch, length, width]));
  }

  /** [batch, length, width] to queries, keys and values: [batch, length, 3 · width]. */
  project(x: Tensor): Tensor {
    const packed: Tensor = x.matmul(this.in_proj_weight.transpose()).add(this.in_proj_bias);
    return this.in_proj_lora ? packed.add(this.in_proj_lora.forward(x)) : packed;
  }

  /** As `packedAttention`, with some of the attention weights zeroed. */
  private attendWithDropout(packed: Tensor, mask?: AttentionMask): Tensor {
    const parts: Tensor = packed.permute(2, 0, 3, 1, 4); // [3, batch, heads, length, size]
    const [q, k, v] = [parts.select(0, 0), parts.select(0, 1), parts.select(0, 2)];
    let scores: Tensor = q.matmul(k.transpose()).mul((packed.shape[4] as number) ** -0.5); // [batch, heads, length, length]
    if (mask) scores = scores.add(mask === 'causal' ? causalMask(packed.shape[1] as number) : mask);
    const weights = dropout(scores.softmax(-1), this.dropout, this.generator);
    return weights.matmul(v).permute(0, 2, 1, 3);
  }
}

/** 0 on and below the diagonal, -∞ above: [length, length]. */
function causalMask(length: number): Tensor {
  // A finite stand-in for -∞: e^(-1e9) is 0 as well, and no difference of infinities can arise.
  return full([length, length], -1e9).triu(1);
}
