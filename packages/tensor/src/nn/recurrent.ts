/** The long short-term memory layer, with PyTorch's parameter names and gate order (input, forget, cell, output). */
import { lstmLayer } from '../ops/recurrent.ts';
import { permute } from '../ops/view.ts';
import type { Generator } from '../random.ts';
import { Tensor } from '../tensor.ts';
import { uniformParameter } from './init.ts';
import { Module } from './module.ts';

/** One layer in one direction, batch first. All parameters are uniform within 1/√hidden. */
export class LSTM extends Module {
  weight_ih_l0: Tensor;
  weight_hh_l0: Tensor;
  bias_ih_l0: Tensor;
  bias_hh_l0: Tensor;

  constructor(inputSize: number, hiddenSize: number, generator?: Generator) {
    super();
    const bound = 1 / Math.sqrt(hiddenSize);
    this.weight_ih_l0 = uniformParameter([4 * hiddenSize, inputSize], bound, generator);
    this.weight_hh_l0 = uniformParameter([4 * hiddenSize, hiddenSize], bound, generator);
    this.bias_ih_l0 = uniformParameter([4 * hiddenSize], bound, generator);
    this.bias_hh_l0 = uniformParameter([4 * hiddenSize], bound, generator);
  }

  /** [batch, time, input] to [batch, time, hidden], from a state of zeros. */
  forward(x: Tensor): Tensor {
    const weights = {
      weightIh: this.weight_ih_l0.node,
      weightHh: this.weight_hh_l0.node,
      biasIh: this.bias_ih_l0.node,
      biasHh: this.bias_hh_l0.node,
    };
    const { output } = lstmLayer(permute(x.node, [1, 0, 2]), weights, undefined, false);
    return new Tensor(permute(output, [1, 0, 2]));
  }
}
