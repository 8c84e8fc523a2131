/** Stochastic gradient descent with momentum, in the form of torch.optim.SGD. */
import type { Tensor } from '../tensor.ts';
import { fraction, type GroupOptions, OptimizerError, type Parameters, parameterGroups } from './groups.ts';
import { Optimizer, type OptimizerOptions, type UpdateRule } from './optimizer.ts';

export interface SGDOptions extends OptimizerOptions {
  /** 1e-3 if absent. */
  readonly learningRate?: number;
  /** Decay of the running sum of gradients; 0, which keeps none, if absent. */
  readonly momentum?: number;
  /** Looks ahead by one more step of the momentum; needs momentum. */
  readonly nesterov?: boolean;
  /** Coupled: `weightDecay * parameter` is added to the gradient. 0 if absent. */
  readonly weightDecay?: number;
}

function sgdRule(momentum: number, nesterov: boolean): UpdateRule {
  const decayed = (parameter: Tensor, gradient: Tensor, weightDecay: number): Tensor =>
    weightDecay === 0 ? gradient : gradient.add(parameter.mul(weightDecay));
  return {
    moments: momentum === 0 ? [] : ['momentum_buffer'],
    scalars: (rate) => [rate],
    average(parameter, gradient, [buffer], _, { weightDecay }) {
      return buffer ? [buffer.mul(momentum).add(decayed(parameter, gradient, weightDecay))] : [];
    },
    move(parameter, gradient, [buffer], scalars, { weightDecay }) {
      const [learningRate] = scalars as [Tensor];
      const slope = (): Tensor => decayed(parameter, gradient, weightDecay);
      const direction = !buffer ? slope() : nesterov ? slope().add(buffer.mul(momentum)) : buffer;
      return parameter.sub(direction.mul(learningRate));
    },
  };
}

export class SGD extends Optimizer {
  constructor(parameters: Parameters | readonly GroupOptions[], options: SGDOptions = {}) {
    const momentum = fraction('momentum', options.momentum ?? 0);
    const nesterov = options.nesterov ?? false;
    if (nesterov && momentum === 0) throw new OptimizerError('SGD: nesterov without momentum', 'set momentum above 0');
    const { learningRate = 1e-3, weightDecay = 0 } = options;
    super(sgdRule(momentum, nesterov), parameterGroups(parameters, { learningRate, weightDecay }), options);
  }
}
