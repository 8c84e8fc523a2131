/**
 * ST-Adapter (Pan et al., NeurIPS 2022, arXiv 2206.13559): a bottleneck before a block's attention in which each patch
 * of a frame meets the same patch of the frames before and after. Names and shapes of the parameters, and that nothing
 * but the convolution stands between the two linear layers, are those of the released code.
 */
import { constantParameter, type Generator, Linear, Module, type Tensor } from '@actionclip/tensor';

/** Frames that a convolution sees: the one before, the frame itself, the one after. */
const taps = 3;

/** A depth-wise convolution over time, height and width with a kernel of 3 x 1 x 1, which starts as zero. */
class TemporalConvolution extends Module {
  /** [channels, 1, 3, 1, 1] */
  weight: Tensor;
  bias: Tensor;

  constructor(channels: number) {
    super();
    this.weight = constantParameter([channels, 1, taps, 1, 1], 0);
    this.bias = constantParameter([channels], 0);
  }

  /** [batch, frames, patches, channels] to the same, with zeros beyond the first and the last frame. */
  forward(x: Tensor): Tensor {
    const [, frames, , channels] = x.shape as readonly [number, number, number, number];
    const padded = x.pad([
      [1, 1],
      [0, 0],
      [0, 0],
    ]);
    const weights: Tensor = this.weight.reshape([channels, taps]);
    const seen = Array.from(
      { length: taps },
      (_, tap): Tensor => padded.narrow(1, tap, frames).mul(weights.select(1, tap)),
    );
    return seen.reduce((sum, part) => sum.add(part)).add(this.bias);
  }
}

/** What one block's input goes through. The convolution starts as zero, so that nothing is added at the start. */
export class SpatioTemporalAdapter extends Module {
  fc1: Linear;
  conv: TemporalConvolution;
  fc2: Linear;

  constructor(width: number, channels: number, generator: Generator) {
    super();
    this.fc1 = new Linear(width, channels, { generator });
    this.conv = new TemporalConvolution(channels);
    this.fc2 = new Linear(channels, width, { generator });
    this.fc1.bias = constantParameter([channels], 0);
    this.fc2.bias = constantParameter([width], 0);
  }

  /** [batch · frames, 1 + patches, width] to the same; the class token stays as it is. */
  forward(tokens: Tensor, frames: number): Tensor {
    const [rows, length, width] = tokens.shape as readonly [number, number, number];
    const patches: Tensor = tokens.narrow(1, 1, length - 1).reshape([rows / frames, frames, length - 1, width]);
    const change: Tensor = this.fc2.forward(this.conv.forward(this.fc1.forward(patches)));
    return tokens.add(
      change.reshape([rows, length - 1, width]).pad([
        [1, 0],
        [0, 0],
      ]),
    );
  }
}
