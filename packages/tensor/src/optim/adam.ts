/**
 * Adam (Kingma and Ba, arXiv 1412.6980) and AdamW, whose weight decay is decoupled from the gradient (Loshchilov and
 * Hutter, arXiv 1711.05101). The order of operations is that of torch.optim.
 */
import { where } from '../creation.ts';
import type { Tensor } from '../tensor.ts';
import {
  fraction,
  type GroupOptions,
  nonNegative,
  type ParameterGroup,
  type Parameters,
  parameterGroups,
} from './groups.ts';
import { Optimizer, type OptimizerOptions, type UpdateRule } from './optimizer.ts';

export interface AdamOptions extends OptimizerOptions {
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

/** Terms of the series of exp(x) - 1 that are enough for |x| up to `smallExponent`, in 64 bits too. */
const seriesTerms = 12;
const smallExponent = 0.35;

/** 1 - beta^step: by its series where the power is near 1 and the difference would lose its digits. */
function biasCorrection(beta: number, step: Tensor): Tensor {
  // A beta of 0 forgets at once: any power of the smallest number does.
  const exponent = step.mul(Math.log(Math.max(beta, Number.MIN_VALUE)));
  let series = exponent.div(seriesTerms).add(1);
  for (let term = seriesTerms - 1; term > 1; term--) series = series.mul(exponent).div(term).add(1);
  const near = exponent.neg().mul(series);
  return where(exponent.gt(-smallExponent), near, exponent.exp().neg().add(1));
}

/** The rule of both kinds. `decoupled`: decay shrinks the parameter instead of adding to its gradient. */
function adamRule(options: AdamOptions, decoupled: boolean): UpdateRule {
  const [beta1, beta2] = (options.betas ?? [0.9, 0.999]).map((beta, i) => fraction(`betas[${i}]`, beta)) as [
    number,
    number,
  ];
  const epsilon = nonNegative('epsilon', options.epsilon ?? 1e-8);
  return {
    moments: ['exp_avg', 'exp_avg_sq'],
    scalars: (rate, decay, step) => [
      rate.mul(decay).neg().add(1),
      rate.div(biasCorrection(beta1, step)),
      biasCorrection(beta2, step).sqrt(),
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
    super(adamRule(options, true), groupsOf(parameters, options, 0.01), options);
  }
}

/** Adam; weight decay is coupled: `weightDecay * parameter` is added to the gradient. */
export class Adam extends Optimizer {
  constructor(parameters: Parameters | readonly GroupOptions[], options: AdamOptions = {}) {
    super(adamRule(options, false), groupsOf(parameters, options, 0), options);
  }
}
