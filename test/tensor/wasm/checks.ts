/** Buffers for kernels, and the check that a kernel's results are the same on any number of threads and right. */
import { afterAll, beforeAll, expect } from 'vitest';
import type { Backend } from '../../../packages/tensor/src/backends/backend.ts';
import { createWasmBackend } from '../../../packages/tensor/src/backends/wasm/backend.ts';
import type { Kernel } from '../../../packages/tensor/src/compile/kernel.ts';
import { type DType, dtypes, fromHalfBits, type TypedArray, toHalfBits } from '../../../packages/tensor/src/dtype.ts';
import { add, axis, constant, type Expr, mul } from '../../../packages/tensor/src/expr/expr.ts';
import { execute, type HostBuffer, interpret, widened } from './interpret.ts';

/** The backends of the test file, with 1, 2 and 3 threads. */
export const backends: Backend[] = [];
beforeAll(async () => {
  for (const threads of [1, 2, 3]) backends.push(await createWasmBackend({ threads }));
});
afterAll(async () => {
  for (const backend of backends) await backend.close();
});

export const int = (value: number): Expr => constant(value, 'i32');

/** Reproducible numbers in [-1, 1), or small counts for integers. */
export function random(seed: number, length: number, dtype: DType = 'f32', bound = 100): HostBuffer {
  let state = (seed * 2654435761 + 12345) >>> 0;
  const data = dtypes[dtype].array(length);
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const unit = state / 2 ** 32;
    if (dtype === 'f32') data[i] = unit * 2 - 1;
    else if (dtype === 'f16') data[i] = toHalfBits(unit * 2 - 1);
    else if (dtype === 'bool') data[i] = unit < 0.5 ? 0 : 1;
    else data[i] = Math.floor(unit * bound) - (dtype === 'i32' ? bound / 2 : 0);
  }
  return { dtype, data };
}

export const empty = (dtype: DType, length: number): HostBuffer => ({ dtype, data: dtypes[dtype].array(length) });

/** What is beyond the range of f16 counts as the number after its largest, so that both may fall on either side of it. */
const halves = (bits: TypedArray): Float64Array =>
  Float64Array.from(bits, (half) => Math.max(-65536, Math.min(65536, fromHalfBits(half))));

export function expectClose(actual: TypedArray, expected: TypedArray, tolerance: number, what: string): void {
  for (let i = 0; i < expected.length; i++) {
    const [a, e] = [actual[i] as number, expected[i] as number];
    const isClose = a === e || (Number.isFinite(e) && Math.abs(a - e) <= tolerance * Math.max(1, Math.abs(e)));
    if (!isClose) expect.fail(`${what}: element ${i} is ${a}, not ${e}`);
  }
}

/** Runs on 1, 2 and 3 threads, which must agree to the bit, and compares with the interpretation. */
export async function check(
  kernels: readonly Kernel[],
  buffers: readonly HostBuffer[],
  tolerance: number,
): Promise<void> {
  const expected = buffers.map(widened);
  interpret(kernels, expected);
  const results = await Promise.all(backends.map((backend) => execute(backend, kernels, buffers)));
  for (const [i, buffer] of expected.entries()) {
    const first = (results[0] as TypedArray[])[i] as TypedArray;
    const what = `buffer ${i} of ${kernels[0]?.name}`;
    if (buffer.dtype === 'f16') expectClose(halves(first), halves(buffer.data), 1e-3 + tolerance, what);
    else expectClose(first, buffer.data, buffer.dtype === 'f32' ? tolerance : 0, what);
    for (const other of results.slice(1)) expect((other as TypedArray[])[i]).toEqual(first);
  }
}

export const product = (extents: readonly number[]): number => extents.reduce((a, b) => a * b, 1);
export const axesOf = (shape: readonly number[], first = 0): Expr[] => shape.map((n, i) => axis(first + i, n));
export const linear = (indices: readonly Expr[], extents: readonly number[]): Expr =>
  indices.reduce<Expr>((sum, e, i) => add(mul(sum, int(extents[i] as number)), e), int(0));
