/** Comparisons of tensors with what they should be, whose messages say where they differ. */
import type { Tensor } from '@actionclip/tensor';
import type { NaiveArray } from './naive.ts';

const show = (value: number): string => (Object.is(value, -0) ? '-0' : String(value));

/** Whether two numbers differ by at most `tolerance`, relative to the larger of them, of `scale` and of 1e-3. */
export function near(actual: number, expected: number, tolerance: number, scale = 0): boolean {
  if (Number.isNaN(expected)) return Number.isNaN(actual);
  if (actual === expected) return true;
  const size = Math.max(Math.abs(actual), Math.abs(expected), scale, 1e-3);
  return Math.abs(actual - expected) <= tolerance * size;
}

/**
 * Throws unless shapes are equal and all elements near. Rounding is relative to the largest finite element, or to
 * `magnitude` if that is more: that of the numbers which the elements were computed from.
 */
export async function expectNear(
  actual: Tensor,
  expected: NaiveArray,
  tolerance: number,
  label = '',
  magnitude = 0,
): Promise<void> {
  const data = await actual.data();
  if (`${actual.shape}` !== `${expected.shape}`)
    throw new Error(`${label}: shape [${actual.shape}] where [${expected.shape}] was expected`);
  if (data.length !== expected.data.length)
    throw new Error(`${label}: ${data.length} elements where ${expected.data.length} were expected`);
  let scale = magnitude;
  for (const value of expected.data) if (Number.isFinite(value)) scale = Math.max(scale, Math.abs(value));
  expected.data.forEach((value, i) => {
    const own = data[i] ?? Number.NaN;
    if (!near(own, value, tolerance, scale))
      throw new Error(
        `${label}: element ${i} of [${expected.shape}] is ${show(own)} where ${show(value)} was expected`,
      );
  });
}

/** Throws unless both tensors have one shape and near elements. */
export async function expectSame(actual: Tensor, expected: Tensor, tolerance: number, label = ''): Promise<void> {
  await expectNear(actual, { shape: expected.shape, data: Array.from(await expected.data()) }, tolerance, label);
}
