/** Initial values of parameters, by PyTorch's names. All draw from a generator, so that a seed fixes a model. */

import { leafOf } from '../creation.ts';
import { defaultGenerator, type Generator } from '../random.ts';
import type { Shape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { parameter } from './module.ts';

export const constantParameter = (shape: Shape, value: number): Tensor => parameter(leafOf(shape, value));

export function normalParameter(shape: Shape, deviation: number, generator: Generator = defaultGenerator()): Tensor {
  return parameter(generator.normal(shape, 0, deviation));
}

export function uniformParameter(shape: Shape, bound: number, generator: Generator = defaultGenerator()): Tensor {
  return parameter(generator.uniform(shape, -bound, bound));
}

/** Uniform within √(6 / (fan in + fan out)), for a matrix [out, in]. */
export function xavierUniformParameter(
  shape: readonly [number, number],
  generator: Generator = defaultGenerator(),
): Tensor {
  return uniformParameter(shape, Math.sqrt(6 / (shape[0] + shape[1])), generator);
}
