/** CLIP (Radford et al. 2021) by the names, shapes and initial values of openai/CLIP, `model.py`. */
import {
  constantParameter,
  defaultGenerator,
  dropout,
  Embedding,
  type Generator,
  LayerNorm,
  Module,
  normalParameter,
  ShapeError,
  type Tensor,
} from '@actionclip/tensor';
import { Transformer } from './block.ts';
import type { ClipSizes } from './sizes.ts';
import { VisionTransformer } from './vision-transformer.ts';

export interface ClipOptions {
  /** Rate of attention dropout and stochastic depth, growing from 0 in the first block to this in the last. */
  readonly dropout?: number;
  readonly embeddingDropout?: number;
  readonly generator?: Generator;
}

export class CLIP extends Module {
  positional_embedding: Tensor;
  text_projection: Tensor;
  /** Logarithm of the factor between cosine similarity and logits. */
  logit_scale: Tensor;
  visual: VisionTransformer;
  transformer: Transformer;
  token_embedding: Embedding;
  ln_final: LayerNorm;
  readonly sizes: ClipSizes;
  private readonly embeddingDropout: number;
  private readonly generator: Generator;

  constructor(sizes: ClipSizes, options: ClipOptions = {}) {
    super();
    const { generator = defaultGenerator(), dropout: rate = 0, embeddingDropout = 0 } = options;
    const { embedding, vision, text } = sizes;
    const width = text.width;
    this.sizes = sizes;
    this.generator = generator;
    this.embeddingDropout = embeddingDropout;
    this.positional_embedding = normalParameter([text.context, width], 0.01, generator);
    this.text_projection = normalParameter([width, embedding], width ** -0.5, generator);
    this.logit_scale = constantParameter([], Math.log(1 / 0.07));
    this.visual = new VisionTransformer({ ...vision, embedding, dropout: rate, embeddingDropout, generator });
    const output = width ** -0.5 * (2 * text.layers) ** -0.5;
    this.transformer = new Transformer(width, text.layers, (i) => ({
      heads: text.heads,
      generator,
      // The released code gives the text tower the first of the image tower's rates.
      dropout: vision.layers > 1 ? (rate * Math.min(i, vision.layers - 1)) / (vision.layers - 1) : 0,
      deviations: { projection: width ** -0.5, output, expansion: (2 * width) ** -0.5, contraction: output },
    }));
    this.token_embedding = new Embedding(text.vocabulary, width, { deviation: 0.02, generator });
    this.ln_final = new LayerNorm(width);
  }

  /** Whether the blocks of both towers are computed again for their gradients: about a third more work in less memory. */
  set checkpointing(enabled: boolean) {
    this.visual.transformer.checkpointing = enabled;
    this.transformer.checkpointing = enabled;
  }
  get checkpointing(): boolean {
    return this.visual.transformer.checkpointing && this.transformer.checkpointing;
  }

  /** Images [n, 3, R, R] to features [n, embedding], not normalised. */
  encodeImage(images: Tensor): Tensor {
    return this.visual.forward(images);
  }

  /**
   * Token ids [n, length] (i32; start, text, end, zeros) to features [n, embedding], not normalised. They are read at the end
   * token, the largest id; attention is causal, so columns behind the last end token may be cut off beforehand.
   */
  encodeText(tokens: Tensor): Tensor {
    const [n, length] = tokens.shape as readonly [number, number];
    if (tokens.rank !== 2 || length > this.sizes.text.context) {
      throw new ShapeError(
        `text: tokens [${tokens.shape}], where [n, at most ${this.sizes.text.context}] was expected`,
        'shorten the texts',
      );
    }
    let x: Tensor = this.token_embedding.forward(tokens).add(this.positional_embedding.narrow(0, 0, length)); // [n, length, width]
    if (this.training && this.embeddingDropout > 0) x = dropout(x, this.embeddingDropout, this.generator);
    x = this.ln_final.forward(this.transformer.forward(x, 'causal'));
    const end = tokens.argmax(1).reshape([n, 1, 1]).expand(n, 1, this.sizes.text.width);
    const read: Tensor = x.gather(1, end).reshape([n, this.sizes.text.width]);
    return read.matmul(this.text_projection);
  }

  /** Cosine similarities times e^logit_scale: [images, texts]. */
  forward(images: Tensor, tokens: Tensor): Tensor {
    const similarity = unit(this.encodeImage(images)).matmul(unit(this.encodeText(tokens)).transpose());
    return similarity.mul(this.logit_scale.exp());
  }
}

/** Rows scaled to length 1. */
export function unit(features: Tensor): Tensor {
  return features.div(features.norm(-1, true));
}

/**
 * Token ids without the columns behind the last end token: the same features for a fraction of the work.
 * @param tokens [count, context] row-major
 */
export function trimTokens(tokens: Int32Array, context: number): { tokens: Int32Array; length: number } {
  const count = tokens.length / context;
  let length = 1;
  for (let i = 0; i < count; i++) {
    const row = tokens.subarray(i * context, (i + 1) * context);
    length = Math.max(length, row.indexOf(Math.max(...row)) + 1);
  }
  const trimmed = new Int32Array(count * length);
  for (let i = 0; i < count; i++) trimmed.set(tokens.subarray(i * context, i * context + length), i * length);
  return { tokens: trimmed, length };
}
