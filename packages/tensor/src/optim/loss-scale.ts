/**
 * Dynamic loss scaling (Micikevicius et al., arXiv 1710.03740): the loss is multiplied before it is differentiated, so
 * that small gradients do not vanish in half precision. The scale is data on the device, so it adapts in a captured step.
 */
import { scalar, where } from '../creation.ts';
import type { HostTensor } from '../io/host-tensor.ts';
import type { Device } from '../runtime/device.ts';
import type { Tensor } from '../tensor.ts';
import { OptimizerError } from './groups.ts';

export interface LossScaleOptions {
  /** The first scale; 65536 if absent. */
  readonly initial?: number;
  /** Good steps in a row after which the scale doubles; 2000 if absent. */
  readonly growthInterval?: number;
  /** The scale stays within these bounds; 1 and 2^24 if absent. Powers of two scale without rounding. */
  readonly minimum?: number;
  readonly maximum?: number;
  /** Where the parameters are; the default device if absent. */
  readonly device?: Device;
}

export class LossScale {
  readonly growthInterval: number;
  readonly minimum: number;
  readonly maximum: number;
  /** The factor of the next loss (scalar). */
  readonly scale: Tensor;
  /** Steps since the scale last changed (scalar). */
  readonly goodSteps: Tensor;

  /** Throws OptimizerError for bounds that are not 0 < minimum ≤ initial ≤ maximum, and for an interval below 1. */
  constructor(options: LossScaleOptions = {}) {
    const { initial = 2 ** 16, growthInterval = 2000, minimum = 1, maximum = 2 ** 24, device } = options;
    if (!(0 < minimum && minimum <= initial && initial <= maximum && Number.isFinite(maximum))) {
      throw new OptimizerError(
        `LossScale: an initial scale of ${initial} between ${minimum} and ${maximum}`,
        'give 0 < minimum <= initial <= maximum',
      );
    }
    if (!(Number.isInteger(growthInterval) && growthInterval >= 1))
      throw new OptimizerError(`LossScale: growthInterval is ${growthInterval}`, 'give a whole number, at least 1');
    this.growthInterval = growthInterval;
    this.minimum = minimum;
    this.maximum = maximum;
    const on = device === undefined ? {} : { device };
    this.scale = scalar(initial, on);
    this.goodSteps = scalar(0, on);
  }

  /** Adapts to one step, as nodes of the graph. `finite` (scalar) says whether all gradients were numbers. */
  advance(finite: Tensor): void {
    const { scale, goodSteps } = this;
    const counted = goodSteps.add(1);
    const grows = counted.ge(this.growthInterval);
    const grown = where(grows, scale.mul(2).clamp(undefined, this.maximum), scale);
    const next = where(finite, grown, scale.mul(0.5).clamp(this.minimum));
    goodSteps.assign(where(finite.logicalAnd(grows.logicalNot()), counted, 0));
    scale.assign(next);
  }

  /** What `load` takes. */
  async state(): Promise<[string, HostTensor][]> {
    const entry = async (name: string, value: Tensor): Promise<[string, HostTensor]> => [
      name,
      { dtype: 'f32', shape: [], data: Float32Array.from((await value.data()) as Float32Array) },
    ];
    return [await entry(scaleName, this.scale), await entry(goodStepsName, this.goodSteps)];
  }

  /** Goes on with a scale and a number of good steps that `state` told. */
  load(scale: number, goodSteps: number): void {
    const set = (tensor: Tensor, value: number): void => {
      const { node } = scalar(value, tensor.device ? { device: tensor.device } : {});
      tensor.dispose();
      tensor.commit(node);
    };
    set(this.scale, scale);
    set(this.goodSteps, goodSteps);
  }
}

export const scaleName = 'lossScale.scale';
export const goodStepsName = 'lossScale.goodSteps';
