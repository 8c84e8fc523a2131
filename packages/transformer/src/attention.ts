/** Multi-head self-attention with PyTorch's packed projection. */
import {
  constantParameter,
  dropout,
  type Generator,
  Linear,
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

/** Attention of a sequence to itself; a mask [length, length] is added to the scores. */
export class MultiheadAttention extends Module {
  /** Rows in the order queries, keys, values: [3 · width, width]. */
  in_proj_weight: Tensor;
  in_proj_bias: Tensor;
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
  forward(x: Tensor, mask?: Tensor): Tensor {
    const [batch, length, width] = x.shape as readonly [number, number, number];
    const size = width / this.heads;
    const packed: Tensor = x.matmul(this.in_proj_weight.transpose()).add(this.in_proj_bias);
    const parts: Tensor = packed.reshape([batch, length, 3, this.heads, size]);
    const mixed: Tensor =
      this.training && this.dropout > 0 ? this.attendWithDropout(parts, mask) : packedAttention(parts, { mask }); // [batch, length, heads, size]
    return this.out_proj.forward(mixed.reshape([batch, length, width]));
  }

  /** As `packedAttention`, with some of the attention weights zeroed. */
  private attendWithDropout(packed: Tensor, mask?: Tensor): Tensor {
    const parts: Tensor = packed.permute(2, 0, 3, 1, 4); // [3, batch, heads, length, size]
    const [q, k, v] = [parts.select(0, 0), parts.select(0, 1), parts.select(0, 2)];
    let scores: Tensor = q.matmul(k.transpose()).mul((packed.shape[4] as number) ** -0.5); // [batch, heads, length, length]
    if (mask) scores = scores.add(mask);
    const weights = dropout(scores.softmax(-1), this.dropout, this.generator);
    return weights.matmul(v).permute(0, 2, 1, 3);
  }
}
