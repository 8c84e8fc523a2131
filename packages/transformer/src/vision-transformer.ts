/** CLIP's image tower: Vision Transformer (Dosovitskiy et al. 2021) as in openai/CLIP, `model.py`. */
import {
  concat,
  defaultGenerator,
  dropout,
  type Generator,
  LayerNorm,
  Module,
  normalParameter,
  ShapeError,
  type Tensor,
  uniformParameter,
} from '@actionclip/tensor';
import { type BeforeBlock, Transformer } from './block.ts';

export interface VisionOptions {
  /** Side of the square input in pixels. */
  readonly resolution: number;
  /** Side of a patch in pixels. */
  readonly patch: number;
  readonly width: number;
  readonly layers: number;
  readonly heads: number;
  /** Size of the joint embedding. */
  readonly embedding: number;
  /** Rate of attention dropout and stochastic depth in the last block; the first has 0. */
  readonly dropout?: number;
  /** Rate of dropout on the embedded patches. */
  readonly embeddingDropout?: number;
  readonly generator?: Generator;
}

/** A convolution kernel whose stride is its size; the name of its weight is that of CLIP's files. */
class PatchEmbedding extends Module {
  weight: Tensor;

  constructor(width: number, patch: number, generator: Generator) {
    super();
    this.weight = uniformParameter([width, 3, patch, patch], 1 / Math.sqrt(3 * patch * patch), generator);
  }

  /** [n, 3, R, R] to [n, (R/p)², width]: patches do not overlap, so the convolution is one matrix product. */
  forward(images: Tensor): Tensor {
    const [width, , patch] = this.weight.shape as readonly [number, number, number, number];
    const [n, , height, columns] = images.shape as readonly [number, number, number, number];
    const [rows, across] = [height / patch, columns / patch];
    const patches: Tensor = images
      .reshape([n, 3, rows, patch, across, patch])
      .permute(0, 2, 4, 1, 3, 5)
      .reshape([n, rows * across, 3 * patch * patch]);
    return patches.matmul((this.weight as Tensor).reshape([width, 3 * patch * patch]).transpose());
  }
}

export class VisionTransformer extends Module {
  class_embedding: Tensor;
  positional_embedding: Tensor;
  proj: Tensor;
  conv1: PatchEmbedding;
  ln_pre: LayerNorm;
  transformer: Transformer;
  ln_post: LayerNorm;
  readonly resolution: number;
  private readonly embeddingDropout: number;
  private readonly generator: Generator;

  constructor(options: VisionOptions) {
    super();
    const {
      resolution,
      patch,
      width,
      layers,
      heads,
      embedding,
      dropout: rate = 0,
      generator = defaultGenerator(),
    } = options;
    if (resolution % patch !== 0)
      throw new ShapeError(`vision: a resolution of ${resolution} does not divide into patches of ${patch}`);
    const scale = width ** -0.5;
    const tokens = (resolution / patch) ** 2 + 1;
    this.resolution = resolution;
    this.generator = generator;
    this.embeddingDropout = options.embeddingDropout ?? 0;
    this.class_embedding = normalParameter([width], scale, generator);
    this.positional_embedding = normalParameter([tokens, width], scale, generator);
    this.proj = normalParameter([width, embedding], scale, generator);
    this.conv1 = new PatchEmbedding(width, patch, generator);
    this.ln_pre = new LayerNorm(width);
    this.transformer = new Transformer(width, layers, (i) => ({
      heads,
      generator,
      dropout: layers > 1 ? (rate * i) / (layers - 1) : 0,
    }));
    this.ln_post = new LayerNorm(width);
  }

  /** Images [n, 3, R, R] to tokens with positions [n, 1 + (R/p)², width], the class token first. */
  embed(images: Tensor): Tensor {
    const [n, channels, height, columns] = images.shape;
    if (images.rank !== 4 || channels !== 3 || height !== this.resolution || columns !== this.resolution) {
      throw new ShapeError(
        `vision: images [${images.shape}], where [n, 3, ${this.resolution}, ${this.resolution}] was expected`,
        'resize the frames',
      );
    }
    const patches = this.conv1.forward(images); // [n, (R/p)², width]
    const width = this.class_embedding.size;
    const classToken = this.class_embedding.expand(n as number, 1, width);
    const tokens: Tensor = concat([classToken, patches], 1).add(this.positional_embedding);
    return this.training && this.embeddingDropout > 0 ? dropout(tokens, this.embeddingDropout, this.generator) : tokens;
  }

  /**
   * Embedded tokens [n, length, width] to features [n, embedding], read at the class token; not normalised.
   * `before` is applied to the input of every block, with its number.
   */
  encode(tokens: Tensor, before?: BeforeBlock): Tensor {
    const h = this.transformer.forward(this.ln_pre.forward(tokens), undefined, before);
    return this.ln_post.forward(h.select(1, 0)).matmul(this.proj);
  }

  /** Images [n, 3, R, R] to features [n, embedding]. */
  forward(images: Tensor): Tensor {
    return this.encode(this.embed(images));
  }
}
