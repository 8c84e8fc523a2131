/** Convolution layers. Parameter names, shapes and initial values are PyTorch's. */
import { type ConvolutionOptions, convolve } from '../ops/convolution.ts';
import type { Generator } from '../random.ts';
import { Tensor } from '../tensor.ts';
import { uniformParameter } from './init.ts';
import { Module } from './module.ts';

export interface ConvOptions extends ConvolutionOptions {
  readonly bias?: boolean;
  readonly generator?: Generator;
}

class Convolution extends Module {
  /** [out, in / groups, ...kernel] */
  weight: Tensor;
  bias: Tensor | undefined;
  private readonly spatial: 1 | 2;
  private readonly options: ConvolutionOptions;

  constructor(
    spatial: 1 | 2,
    inChannels: number,
    outChannels: number,
    kernel: readonly number[],
    options: ConvOptions,
  ) {
    super();
    const { bias = true, generator, groups = 1 } = options;
    const fanIn = (inChannels / groups) * kernel.reduce((a, b) => a * b, 1);
    const bound = 1 / Math.sqrt(fanIn);
    this.spatial = spatial;
    this.options = options;
    this.weight = uniformParameter([outChannels, inChannels / groups, ...kernel], bound, generator);
    this.bias = bias ? uniformParameter([outChannels], bound, generator) : undefined;
  }

  forward(x: Tensor): Tensor {
    return new Tensor(convolve(this.spatial, x.node, this.weight.node, this.bias?.node, this.options));
  }
}

/** [batch, in, length] to [batch, out, windows]. */
export class Conv1d extends Convolution {
  constructor(inChannels: number, outChannels: number, kernel: number, options: ConvOptions = {}) {
    super(1, inChannels, outChannels, [kernel], options);
  }
}

/** [batch, in, height, width] to [batch, out, rows, columns]. */
export class Conv2d extends Convolution {
  constructor(
    inChannels: number,
    outChannels: number,
    kernel: number | readonly [number, number],
    options: ConvOptions = {},
  ) {
    super(2, inChannels, outChannels, typeof kernel === 'number' ? [kernel, kernel] : kernel, options);
  }
}
