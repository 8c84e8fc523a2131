/** Differentiation of functions, in the manner of JAX: each takes a function of tensors and returns another. */
import { printShape, ShapeError } from '../errors.ts';
import { fill } from '../ops/generate.ts';
import { Tensor } from '../tensor.ts';
import { forward } from './forward.ts';
import { gradientsOf } from './reverse.ts';

type Loss<A extends readonly Tensor[]> = (...args: A) => Tensor;

/** The value of a scalar function and its gradients with respect to all arguments. */
export function valueAndGrad<A extends readonly Tensor[]>(
  f: Loss<A>,
): (...args: A) => { value: Tensor; gradients: Tensor[] } {
  return (...args) => {
    const value = f(...args);
    if (value.size !== 1)
      throw new ShapeError(`grad: the function gave ${printShape(value.shape)}, not a scalar`, 'reduce its result');
    const nodes = gradientsOf(
      value.node,
      fill(value.shape, 1, value.dtype),
      args.map(({ node }) => node),
    );
    return { value, gradients: nodes.map((node) => new Tensor(node)) };
  };
}

/** The gradients of a scalar function with respect to all arguments. */
export function grad<A extends readonly Tensor[]>(f: Loss<A>): (...args: A) => Tensor[] {
  const both = valueAndGrad(f);
  return (...args) => both(...args).gradients;
}

/** The value of f at `inputs` and its change along `tangents`. */
export function jvp(
  f: (...args: Tensor[]) => Tensor,
  inputs: readonly Tensor[],
  tangents: readonly Tensor[],
): { value: Tensor; tangent: Tensor } {
  inputs.forEach((input, i) => {
    if (tangents[i]?.size !== input.size)
      throw new ShapeError(`jvp: tangent ${i} does not have the shape ${printShape(input.shape)} of its input`);
  });
  const value = f(...inputs);
  const tangent = forward(
    value.node,
    inputs.map(({ node }) => node),
    tangents.map(({ node }) => node),
  );
  return { value, tangent: new Tensor(tangent) };
}

/** The value of f at `inputs`, and the function that pulls a gradient of the value back to the inputs. */
export function vjp(
  f: (...args: Tensor[]) => Tensor,
  inputs: readonly Tensor[],
): { value: Tensor; pullback: (gradient: Tensor) => Tensor[] } {
  const value = f(...inputs);
  const pullback = (gradient: Tensor): Tensor[] =>
    gradientsOf(
      value.node,
      gradient.node,
      inputs.map(({ node }) => node),
    ).map((node) => new Tensor(node));
  return { value, pullback };
}
