/** The meaning of kernels, straight from their definition: every point in turn, every term by `evaluateScalar`. */

import type { Backend } from '../../../packages/tensor/src/backends/backend.ts';
import type {
  Kernel,
  LoopKernel,
  Program,
  RowKernel,
  ScatterKernel,
} from '../../../packages/tensor/src/compile/kernel.ts';
import { type DType, dtypes, fromHalfBits, type TypedArray, toHalfBits } from '../../../packages/tensor/src/dtype.ts';
import { evaluateScalar } from '../../../packages/tensor/src/expr/evaluate.ts';
import type { Expr } from '../../../packages/tensor/src/expr/expr.ts';

export interface HostBuffer {
  readonly dtype: DType;
  readonly data: TypedArray;
}

const combine = {
  sum: (a: number, b: number): number => a + b,
  prod: (a: number, b: number): number => a * b,
  max: (a: number, b: number): number => Math.max(a, b),
  min: (a: number, b: number): number => Math.min(a, b),
};
const identity = { sum: 0, prod: 1, max: Number.NEGATIVE_INFINITY, min: Number.POSITIVE_INFINITY };

function evaluate(
  expr: Expr,
  axes: readonly number[],
  loads: readonly HostBuffer[],
  accumulators: readonly number[],
): number {
  const memo = new Map<Expr, number>();
  const visit = (e: Expr): number => {
    const known = memo.get(e);
    if (known !== undefined) return known;
    let value: number;
    if (e.op === 'constant') value = e.value;
    else if (e.op === 'axis') value = axes[e.value] as number;
    else if (e.op === 'accumulator') value = accumulators[e.value] as number;
    else if (e.op === 'load') {
      const { dtype, data } = loads[e.value] as HostBuffer;
      const index = visit(e.args[0] as Expr);
      if (index < 0 || index >= data.length) throw new Error(`load ${index} outside ${data.length} elements`);
      const stored = data[index] as number;
      value = dtype === 'f16' ? fromHalfBits(stored) : stored;
    } else {
      value = evaluateScalar(e.op, e.type, (e.args[e.op === 'select' ? 1 : 0] as Expr).type, e.args.map(visit));
    }
    memo.set(e, value);
    return value;
  };
  return visit(expr);
}

function* points(extents: readonly number[]): Generator<number[]> {
  const total = extents.reduce((a, b) => a * b, 1);
  for (let linear = 0; linear < total; linear++) {
    const point: number[] = [];
    let rest = linear;
    for (let i = extents.length - 1; i >= 0; i--) {
      const extent = extents[i] as number;
      point[i] = rest % extent;
      rest = Math.floor(rest / extent);
    }
    yield point;
  }
}

function loop(kernel: LoopKernel, buffers: readonly HostBuffer[]): void {
  const loads = kernel.inputs.map(({ buffer, dtype }) => ({
    dtype,
    data: (buffers[buffer] as HostBuffer).data.slice(),
  }));
  let linear = 0;
  for (const point of points(kernel.shape)) {
    const { reduce } = kernel;
    const results = reduce ? [fold(reduce, points(reduce.extent), (step) => [...point, ...step], loads, [])] : [];
    for (const { buffer, dtype, value } of kernel.outputs) {
      store(buffers[buffer] as HostBuffer, linear, dtype, evaluate(value, point, loads, results));
    }
    linear++;
  }
}

function fold(
  { op, body }: RowKernel['stages'][number],
  steps: Iterable<number[]>,
  axes: (step: number[]) => number[],
  loads: readonly HostBuffer[],
  earlier: readonly number[],
): number {
  let result: number = identity[op];
  for (const step of steps) result = combine[op](result, evaluate(body, axes(step), loads, earlier));
  if (body.type === 'i32') return result | 0;
  return body.type === 'u32' ? result >>> 0 : result;
}

function store({ data }: HostBuffer, index: number, dtype: DType, value: number): void {
  data[index] = dtype === 'f16' ? toHalfBits(Math.fround(value)) : value;
}

function rows(kernel: RowKernel, buffers: readonly HostBuffer[]): void {
  const loads = kernel.inputs.map(({ buffer }) => buffers[buffer] as HostBuffer);
  for (let row = 0; row < kernel.rows; row++) {
    const results: number[] = [];
    for (const stage of kernel.stages) {
      results.push(fold(stage, points([kernel.extent]), ([step]) => [row, step as number], loads, results));
    }
    for (const { buffer, dtype, value, per } of kernel.outputs) {
      const output = buffers[buffer] as HostBuffer;
      if (per === 'row') store(output, row, dtype, evaluate(value, [row, 0], loads, results));
      else {
        for (let i = 0; i < kernel.extent; i++) {
          store(output, row * kernel.extent + i, dtype, evaluate(value, [row, i], loads, results));
        }
      }
    }
  }
}

function scatter(kernel: ScatterKernel, buffers: readonly HostBuffer[]): void {
  const [source, indices] = kernel.inputs.map(({ buffer }) => (buffers[buffer] as HostBuffer).data) as [
    TypedArray,
    TypedArray,
  ];
  const output = (buffers[kernel.outputs[0].buffer] as HostBuffer).data;
  const { outer, count, inner, size, indexStrides: strides } = kernel;
  output.fill(0);
  for (const [o, i, d] of points([outer, count, inner]) as Generator<[number, number, number]>) {
    const index = indices[o * strides.outer + i * strides.count + d * strides.inner] as number;
    if (index < 0 || index >= size) continue;
    const at = (o * size + index) * inner + d;
    output[at] = (output[at] as number) + (source[(o * count + i) * inner + d] as number);
  }
}

/** Runs kernels on host buffers; floats keep 64 bits where the buffer is a Float64Array. */
export function interpret(kernels: readonly Kernel[], buffers: readonly HostBuffer[]): void {
  for (const kernel of kernels) {
    if (kernel.kind === 'loop') loop(kernel, buffers);
    else if (kernel.kind === 'rows') rows(kernel, buffers);
    else if (kernel.kind === 'scatter') scatter(kernel, buffers);
    else throw new Error(`no interpretation of ${kernel.kind}`);
  }
}

/** Runs kernels on a backend over copies of the buffers, all of them bound, and returns every buffer's contents. */
export async function execute(
  backend: Backend,
  kernels: readonly Kernel[],
  buffers: readonly HostBuffer[],
): Promise<TypedArray[]> {
  const program: Program = {
    buffers: buffers.map(({ dtype, data }) => ({ bytes: data.length * dtypes[dtype].bytes })),
    bindings: buffers.length,
    kernels,
  };
  const slots = program.buffers.map(({ bytes }) => backend.alloc(bytes));
  for (const [i, { data, dtype }] of buffers.entries()) backend.write(slots[i] as (typeof slots)[0], data, dtype);
  const executable = await backend.compile(program);
  await backend.run(executable, slots);
  const results = await Promise.all(
    buffers.map(({ data, dtype }, i) => backend.read(slots[i] as (typeof slots)[0], data.length, dtype)),
  );
  for (const slot of slots) backend.free(slot);
  return results;
}

/** A copy of a buffer in which f32 elements have 64 bits. */
export const widened = ({ dtype, data }: HostBuffer): HostBuffer => ({
  dtype,
  data: dtype === 'f32' ? Float64Array.from(data) : data.slice(),
});

/** The difference of x and the exact value in units in the last place of f32; 0 for equal infinities and two NaNs. */
export function ulps(x: number, exact: number): number {
  const rounded = Math.fround(exact);
  if (Object.is(x, rounded) || x === rounded || (Number.isNaN(x) && Number.isNaN(exact))) return 0;
  if (!Number.isFinite(x) || !Number.isFinite(rounded)) return Number.POSITIVE_INFINITY;
  const unit = 2 ** Math.max(Math.floor(Math.log2(Math.abs(exact))) - 23, -149);
  return Math.abs(x - exact) / unit;
}
