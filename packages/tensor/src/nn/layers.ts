/** The layers that the models are made of. Parameter names, shapes and initial values are PyTorch's. */
import { ShapeError } from '../errors.ts';
import { floating, layerNorm } from '../ops/composite.ts';
import { defaultGenerator, dropout, type Generator } from '../random.ts';
import { Tensor } from '../tensor.ts';
import { constantParameter, normalParameter, uniformParameter } from './init.ts';
import type { LowRankUpdate } from './low-rank.ts';
import { Module } from './module.ts';

/** x · weightᵀ + bias, and a low-rank update where there is one. Weight [out, in], uniform within 1/√in, as is the bias. */
export class Linear extends Module {
  weight: Tensor;
  bias: Tensor | undefined;
  lora: LowRankUpdate | undefined;

  constructor(
    inSize: number,
    outSize: number,
    options: { readonly bias?: boolean; readonly generator?: Generator } = {},
  ) {
    super();
    const { bias = true, generator = defaultGenerator() } = options;
    const bound = 1 / Math.sqrt(inSize);
    this.weight = uniformParameter([outSize, inSize], bound, generator);
    this.bias = bias ? uniformParameter([outSize], bound, generator) : undefined;
  }

  /** [..., in] to [..., out]. */
  forward(x: Tensor): Tensor {
    const product: Tensor = x.matmul(this.weight.transpose());
    const output = this.bias ? product.add(this.bias) : product;
    return this.lora ? output.add(this.lora.forward(x)) : output;
  }
}

/** A table of vectors, one for each whole number below `count`. N(0, 1). */
export class Embedding extends Module {
  weight: Tensor;

  constructor(
    count: number,
    width: number,
    options: { readonly deviation?: number; readonly generator?: Generator } = {},
  ) {
    super();
    this.weight = normalParameter([count, width], options.deviation ?? 1, options.generator);
  }

  /** [...] whole numbers to [..., width]. */
  forward(index: Tensor): Tensor {
    return this.weight.indexSelect(0, index);
  }
}

/** Normalisation over the last axis, with scale and shift. */
export class LayerNorm extends Module {
  weight: Tensor;
  bias: Tensor;
  readonly eps: number;

  constructor(width: number, options: { readonly eps?: number } = {}) {
    super();
    this.eps = options.eps ?? 1e-5;
    this.weight = constantParameter([width], 1);
    this.bias = constantParameter([width], 0);
  }

  /** [..., width] to the same. */
  forward(x: Tensor): Tensor {
    const width = this.weight.shape[0];
    if (x.shape[x.rank - 1] !== width) throw new ShapeError(`layerNorm: [${x.shape}] does not end in ${width}`);
    return new Tensor(layerNorm(floating(x.node), this.weight.node, this.bias.node, this.eps));
  }
}

/** Zeroes a share p of the elements while training. */
export class Dropout extends Module {
  readonly p: number;
  private readonly generator: Generator | undefined;

  constructor(p: number, generator?: Generator) {
    super();
    this.p = p;
    this.generator = generator;
  }

  forward<T extends Tensor>(x: T): T {
    return this.training && this.p > 0 ? (dropout(x, this.p, this.generator) as T) : x;
  }
}
