/** The residual block of both of CLIP's towers, and the stack of them. */
import {
  checkpoint,
  constantParameter,
  defaultGenerator,
  type Generator,
  LayerNorm,
  Linear,
  Module,
  normalParameter,
  type Tensor,
} from '@actionclip/tensor';
import { type AttentionMask, MultiheadAttention } from './attention.ts';

/** Standard deviations of a block's weights; PyTorch's own initial values where absent. */
export interface BlockDeviations {
  readonly projection?: number;
  readonly output: number;
  readonly expansion: number;
  readonly contraction: number;
}

export interface BlockOptions {
  readonly heads: number;
  /** Added to the variance inside of layer normalisation; 1e-5 if absent. */
  readonly eps?: number;
  readonly deviations?: BlockDeviations;
  /** Biases of the linear layers start at 0. */
  readonly zeroBiases?: boolean;
  /** Share of attention weights zeroed, and of samples that skip each half of the block, while training. */
  readonly dropout?: number;
  readonly generator?: Generator;
}

/** Linear, QuickGELU, linear; four times as wide inside. */
export class FeedForward extends Module {
  c_fc: Linear;
  c_proj: Linear;

  constructor(width: number, generator?: Generator) {
    super();
    const options = generator ? { generator } : {};
    this.c_fc = new Linear(width, 4 * width, options);
    this.c_proj = new Linear(4 * width, width, options);
  }

  forward(x: Tensor): Tensor {
    return this.c_proj.forward(this.c_fc.forward(x).quickGelu());
  }
}

/** x + attention(ln_1(x)), then x + mlp(ln_2(x)). */
export class ResidualAttentionBlock extends Module {
  attn: MultiheadAttention;
  ln_1: LayerNorm;
  mlp: FeedForward;
  ln_2: LayerNorm;
  private readonly dropPath: number;
  private readonly generator: Generator | undefined;

  constructor(width: number, options: BlockOptions) {
    super();
    const { heads, generator, deviations, dropout = 0 } = options;
    const norm = options.eps === undefined ? {} : { eps: options.eps };
    this.attn = new MultiheadAttention(width, {
      heads,
      dropout,
      ...(deviations?.projection === undefined ? {} : { projectionDeviation: deviations.projection }),
      ...(generator ? { generator } : {}),
    });
    this.ln_1 = new LayerNorm(width, norm);
    this.mlp = new FeedForward(width, generator);
    this.ln_2 = new LayerNorm(width, norm);
    this.dropPath = dropout;
    this.generator = generator;
    if (deviations) {
      const { output, expansion, contraction } = deviations;
      this.attn.out_proj.weight = normalParameter([width, width], output, generator);
      this.mlp.c_fc.weight = normalParameter([4 * width, width], expansion, generator);
      this.mlp.c_proj.weight = normalParameter([width, 4 * width], contraction, generator);
    }
    if (options.zeroBiases)
      for (const linear of [this.mlp.c_fc, this.mlp.c_proj])
        linear.bias = constantParameter(linear.weight.shape.slice(0, 1), 0);
  }

  /** [batch, length, width] to the same. */
  forward(x: Tensor, mask?: AttentionMask): Tensor {
    const attended = x.add(this.skip(this.attn.forward(this.ln_1.forward(x), mask)));
    return attended.add(this.skip(this.mlp.forward(this.ln_2.forward(attended))));
  }

  /** Stochastic depth: some samples skip this half, and the others are scaled up to make the mean right. */
  private skip(x: Tensor): Tensor {
    if (!this.training || this.dropPath === 0) return x;
    const kept = 1 - this.dropPath;
    const generator = this.generator ?? defaultGenerator();
    const mask: Tensor = generator.bernoulli([x.shape[0] as number, 1, 1], kept).div(kept);
    return x.mul(mask);
  }
}

/** What is done to the input of a block of a stack, [batch, length, width] to the same. */
export type BeforeBlock = (x: Tensor, layer: number) => Tensor;

/** A stack of residual blocks. */
export class Transformer extends Module {
  resblocks: ResidualAttentionBlock[];
  /** In training, blocks are computed again for their gradients, and only what goes into each of them is kept. */
  checkpointing = false;

  constructor(width: number, layers: number, options: (layer: number) => BlockOptions) {
    super();
    this.resblocks = Array.from({ length: layers }, (_, i) => new ResidualAttentionBlock(width, options(i)));
  }

  /** [batch, length, width] to the same. `before` is applied to the input of every block, with its number. */
  forward(x: Tensor, mask?: AttentionMask, before: BeforeBlock = (same) => same): Tensor {
    const wrap =
      this.checkpointing && this.training ? checkpoint<[Tensor]> : (segment: (h: Tensor) => Tensor) => segment;
    return this.resblocks.reduce((h, block, i) => wrap((input) => block.forward(before(input, i), mask))(h), x);
  }
}
