/**
 * Adam (Kingma and Ba, arXiv 1412.6980) and AdamW, whose weight decay is decoupled from the gradient (Loshchilov and
 * Hutter, arXiv 1711.05101). The order of operations is that of torch.optim.
 */
import type { Tensor } from '../tensor.ts';
import {
  fraction,
  type GroupOptions,
  nonNegative,
  type ParameterGroup,
  type Parameters,
  parameterGroups,
} from './groups.ts';
import { Optimizer, type UpdateRule } from './optimizer.ts';

export interface AdamOptions {
  /** 1e-3 if absent. */
  readonly learningRate?: number;
  /** Decay of the running averages of the gradient and of its square; 0.9 and 0.999 if absent. */
  readonly betas?: readonly [number, number];
  /** Added to the denominator; 1e-8 if absent. */
  readonly epsilon?: number;
  /** 0.01 for AdamW and 0 for Adam if absent. */
  readonly weightDecay?: number;
}

/** a + w (b - a), from the nearer end, as torch.lerp rounds it. */
const lerp = (a: Tensor, b: Tensor, w: number): Tensor =>
  w < 0.5 ? a.add(b.sub(a).mul(w)) : b.sub(b.sub(a).mul(1 - w));

/** The rule of both kinds. `decoupled`: decay shrinks the parameter instead of adding to its gradient. */
function adamRule(options: AdamOptions, decoupled: boolean): UpdateRule {
  const [beta1, beta2] = (options.betas ?? [0.9, 0.999]).map((beta, i) => fraction(`betas[${i}]`, beta)) as [
    number,
    number,
  ];
  const epsilon = nonNegative('epsilon', options.epsilon ?? 1e-8);
  return {
    moments: ['exp_avg', 'exp_avg_sq'],
    scalars: ({ learningRate, weightDecay }, step) => [
      1 - learningRate * weightDecay,
      learningRate / (1 - beta1 ** step),
      Math.sqrt(1 - beta2 ** step),
    ],
    average(parameter, gradient, moments, _, { weightDecay }) {
      const [mean, square] = moments as [Tensor, Tensor];
      const slope = decoupled || weightDecay === 0 ? gradient : gradient.add(parameter.mul(weightDecay));
      return [lerp(mean, slope, 1 - beta1), square.mul(beta2).add(slope.mul(1 - beta2).mul(slope))];
    },
    move(parameter, _, moments, scalars, { weightDecay }) {
      const [mean, square] = moments as [Tensor, Tensor];
      const [shrink, stepSize, correction] = scalars as [Tensor, Tensor, Tensor];
      const start = decoupled && weightDecay !== 0 ? parameter.mul(shrink) : parameter;
      const denominator = square.sqrt().div(correction).add(epsilon);
      return start.sub(mean.mul(stepSize).div(denominator));
    },
  };
}

const groupsOf = (given: Parameters | readonly GroupOptions[], options: AdamOptions, decay: number): ParameterGroup[] =>
  parameterGroups(given, {
    learningRate: options.learningRate ?? 1e-3,
    weightDecay: options.weightDecay ?? decay,
  });

/** Adam with decoupled weight decay: parameters shrink by `learningRate * weightDecay` before each move. */
export class AdamW extends Optimizer {
  constructor(parameters: Parameters | readonly GroupOptions[], options: AdamOptions = {}) {
    super(adamRule(options, true), groupsOf(parameters, options, 0.01));
  }
}

/** Adam; weight decay is coupled: `weightDecay * parameter` is added to the gradient. */
export class Adam extends Optimizer {
  constructor(parameters: Parameters | readonly GroupOptions[], options: AdamOptions = {}) {
    super(adamRule(options, false), groupsOf(parameters, options, 0));
  }
}
