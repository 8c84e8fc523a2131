/** Derivatives by central differences in 64 bits, against which the rules are held. */
import { gradients, jvp, Tensor } from '@actionclip/tensor';
import { near } from './comparison.ts';
import { type NaiveArray, toTensor } from './naive.ts';

export type TensorFunction = (...inputs: Tensor[]) => Tensor;

/** A step whose truncation error (∼h²) and rounding error (∼ε/h) are both far below the tolerance. */
const step = 1e-5;
const tolerance = 1e-5;

const nudged = (array: NaiveArray, i: number, by: number): NaiveArray => ({
  shape: array.shape,
  data: array.data.map((value, k) => (k === i ? value + by : value)),
});

/** Numbers in [-1, 1] without a pattern, the same for the same place. */
const weight = (i: number): number => Math.sin(12.9898 * (i + 1));

export const weights = (shape: readonly number[], seed = 0): NaiveArray => ({
  shape,
  data: Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => weight(i + 1000 * seed)),
});

/** Σ w · f(inputs), for fixed w. */
const weighted =
  (f: TensorFunction): TensorFunction =>
  (...inputs) => {
    const value = f(...inputs);
    return value.mul(toTensor(weights(value.shape))).sum();
  };

async function derivative(f: TensorFunction, inputs: readonly NaiveArray[], k: number, i: number): Promise<number> {
  const value = async (by: number): Promise<number> =>
    f(...inputs.map((array, j) => toTensor(j === k ? nudged(array, i, by) : array))).item();
  return ((await value(step)) - (await value(-step))) / (2 * step);
}

/** Throws unless the gradients of Σ w · f equal its central differences, element by element. */
export async function checkGradient(name: string, f: TensorFunction, inputs: readonly NaiveArray[]): Promise<void> {
  const loss = weighted(f);
  const tensors = inputs.map((array) => toTensor(array));
  const computed = gradients(loss(...tensors), tensors);
  for (const [k, array] of inputs.entries()) {
    const own = await (computed[k] as Tensor).data();
    const scale = Math.max(1e-2, ...Array.from(own, Math.abs).filter(Number.isFinite));
    for (let i = 0; i < array.data.length; i++) {
      const expected = await derivative(loss, inputs, k, i);
      const actual = own[i] ?? Number.NaN;
      if (!near(actual, expected, tolerance, scale))
        throw new Error(`${name}: ∂/∂input ${k} [${array.shape}] at ${i} is ${actual}, by differences ${expected}`);
    }
  }
}

/** The same for Σ v · ∇(Σ w · f): the second derivative. */
export async function checkSecondGradient(
  name: string,
  f: TensorFunction,
  inputs: readonly NaiveArray[],
): Promise<void> {
  const slope: TensorFunction = (...tensors) => {
    const first = gradients(weighted(f)(...tensors), tensors);
    let total = new Tensor(toTensor({ shape: [], data: [0] }).node);
    first.forEach((gradient, k) => {
      total = total.add(gradient.mul(toTensor(weights(gradient.shape, k + 1))).sum());
    });
    return total;
  };
  const scalar: TensorFunction = (...tensors) => slope(...tensors);
  const tensors = inputs.map((array) => toTensor(array));
  const computed = gradients(scalar(...tensors), tensors);
  for (const [k, array] of inputs.entries()) {
    const own = await (computed[k] as Tensor).data();
    const scale = Math.max(1e-2, ...Array.from(own, Math.abs).filter(Number.isFinite));
    for (let i = 0; i < array.data.length; i++) {
      const expected = await derivative(scalar, inputs, k, i);
      const actual = own[i] ?? Number.NaN;
      if (!near(actual, expected, tolerance, scale))
        throw new Error(`${name}: second derivative of input ${k} at ${i} is ${actual}, by differences ${expected}`);
    }
  }
}

/** Throws unless forward mode equals the central difference along a direction. */
export async function checkForward(name: string, f: TensorFunction, inputs: readonly NaiveArray[]): Promise<void> {
  const directions = inputs.map((array, k) => weights(array.shape, k + 3));
  const moved = async (by: number): Promise<ArrayLike<number>> =>
    f(
      ...inputs.map((array, k) =>
        toTensor({
          shape: array.shape,
          data: array.data.map((value, i) => value + by * (directions[k]?.data[i] ?? 0)),
        }),
      ),
    ).data();
  const [ahead, behind] = [await moved(step), await moved(-step)];
  const { tangent } = jvp(
    f,
    inputs.map((array) => toTensor(array)),
    directions.map((array) => toTensor(array)),
  );
  const own = await tangent.data();
  const scale = Math.max(1e-2, ...Array.from(own, Math.abs).filter(Number.isFinite));
  for (let i = 0; i < own.length; i++) {
    const expected = ((ahead[i] ?? Number.NaN) - (behind[i] ?? Number.NaN)) / (2 * step);
    if (!near(own[i] ?? Number.NaN, expected, tolerance, scale))
      throw new Error(`${name}: the tangent's element ${i} is ${own[i]}, by differences ${expected}`);
  }
}
