/** Gradient clipping, as nodes of the graph: in a captured step it is part of the program. */
import { full, zeros } from '../creation.ts';
import type { Tensor } from '../tensor.ts';
import { OptimizerError } from './groups.ts';

const clippable = (parameters: Iterable<Tensor>): [Tensor, Tensor][] =>
  [...parameters].flatMap((parameter) => (parameter.grad ? [[parameter, parameter.grad]] : []));

/** Throws OptimizerError for a bound that is not above 0. */
export function checkBound(name: string, bound: number): void {
  if (!(bound > 0)) throw new OptimizerError(`${name}: the bound is ${bound}`, 'give a number above 0');
}

/** What gradients of this norm are multiplied by, so that it is at most `maxNorm`. */
export const clipFactor = (norm: Tensor, maxNorm: number): Tensor =>
  // The 1e-6 is PyTorch's, and keeps a gradient of zeros at zero.
  full([], maxNorm).div(norm.add(1e-6)).clamp(undefined, 1);

/**
 * Scales the gradients of `parameters` so that the norm of all of them together, as one vector, is at most `maxNorm`,
 * and returns the norm before (scalar). A norm that is not finite makes the gradients so, as in PyTorch.
 * `optimizer.update({ maxNorm })` does the same to the gradients of all that it moves, and leaves `grad` as it is.
 */
export function clipGradNorm(parameters: Iterable<Tensor>, maxNorm: number): Tensor {
  checkBound('clipGradNorm', maxNorm);
  const pairs = clippable(parameters);
  const squares = pairs.map(([, gradient]) => gradient.square().sum());
  const [first, ...others] = squares;
  if (!first) return zeros([]);
  const norm = others.reduce((sum, square) => sum.add(square), first).sqrt();
  const factor = clipFactor(norm, maxNorm);
  for (const [parameter, gradient] of pairs) {
    parameter.grad = gradient.mul(factor);
    parameter.gradientSources = [...parameter.gradientSources, norm];
  }
  return norm;
}

/** Limits every element of the gradients of `parameters` to [-limit, limit]. */
export function clipGradValue(parameters: Iterable<Tensor>, limit: number): void {
  checkBound('clipGradValue', limit);
  for (const [parameter, gradient] of clippable(parameters)) parameter.grad = gradient.clamp(-limit, limit);
}
