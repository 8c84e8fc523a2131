// What programs mean, by `evaluateScalar` alone; and the same programs run on a backend.

import { expect } from 'vitest';
import type { Backend } from '../../../packages/tensor/src/backends/backend.ts';
import type {
  Kernel,
  LoopKernel,
  LoopOutput,
  Program,
  ReduceOp,
  RowKernel,
  ScatterKernel,
} from '../../../packages/tensor/src/compile/kernel.ts';
import { type DType, dtypes, fromHalfBits, type ScalarType, toHalfBits } from '../../../packages/tensor/src/dtype.ts';
import { evaluateScalar } from '../../../packages/tensor/src/expr/evaluate.ts';
import type { Expr, ScalarOp } from '../../../packages/tensor/src/expr/expr.ts';

/** A kernel with the contents of its buffers: every buffer is bound by the caller. */
export interface Case {
  readonly name: string;
  readonly kernels: readonly Kernel[];
  readonly buffers: readonly { readonly dtype: DType; readonly values: readonly number[] }[];
  /** Largest relative error of f32 results; exact where absent. */
  readonly tolerance?: number;
  /** Results smaller than this may err as much as this one: 1 where absent. */
  readonly scale?: number;
}

/** A value as it is after it was stored as `dtype`. */
export const stored: Readonly<Record<DType, (x: number) => number>> = {
  f32: Math.fround,
  f16: (x) => fromHalfBits(toHalfBits(Math.fround(x))),
  i32: (x) => x | 0,
  u32: (x) => x >>> 0,
  bool: (x) => (x ? 1 : 0),
  u8: (x) => x & 255,
};

const joins: Readonly<Record<ReduceOp, ScalarOp>> = { sum: 'add', prod: 'mul', max: 'max', min: 'min' };

function coordinates(index: number, extents: readonly number[]): number[] {
  const result = new Array<number>(extents.length).fill(0);
  for (let k = extents.length - 1, rest = index; k >= 0; k--) {
    const extent = extents[k] as number;
    result[k] = rest % extent;
    rest = Math.floor(rest / extent);
  }
  return result;
}

const count = (extents: readonly number[]): number => extents.reduce((a, b) => a * b, 1);

/** Evaluates terms of a kernel at a point, given the results of its folds. */
function evaluator(
  { name, inputs }: LoopKernel | RowKernel,
  buffers: readonly (readonly number[])[],
): (e: Expr, axes: readonly number[], folded: readonly number[]) => number {
  return (e, axes, folded) => {
    const known = new Map<Expr, number>();
    const visit = (part: Expr): number => {
      const done = known.get(part);
      if (done !== undefined) return done;
      let value: number;
      if (part.op === 'constant') value = part.value;
      else if (part.op === 'axis') value = axes[part.value] as number;
      else if (part.op === 'accumulator') value = folded[part.value] as number;
      else if (part.op === 'load') {
        const buffer = buffers[inputs[part.value]?.buffer ?? -1] as number[];
        value = buffer[visit(part.args[0] as Expr)] as number;
        if (value === undefined) throw new Error(`${name}: a load is out of bounds`);
      } else {
        const from = part.op === 'select' ? part.type : (part.args[0]?.type ?? part.type);
        value = evaluateScalar(part.op, part.type, from, part.args.map(visit));
      }
      known.set(part, value);
      return value;
    };
    return visit(e);
  };
}

/** The fold of `steps` values, joined in order. */
function fold(op: ReduceOp, type: ScalarType, steps: number, value: (step: number) => number): number {
  let folded = value(0);
  for (let step = 1; step < steps; step++) folded = evaluateScalar(joins[op], type, type, [folded, value(step)]);
  return folded;
}

/** What an output holds of the sums of one factor, over rows or columns. */
function interpretFactorSum(kernel: LoopKernel, output: LoopOutput, buffers: number[][]): number[] {
  const { shape, reduce } = kernel;
  const factor = reduce?.factors?.[output.factorSum ?? 0];
  if (!reduce || !factor) throw new Error(`${kernel.name}: a factor's sum without factors`);
  const evaluate = evaluator(kernel, buffers);
  const free = shape.length - 2 + (output.factorSum ?? 0);
  const own = [...shape.slice(0, -2), shape[free] as number];
  return Array.from({ length: count(own) }, (_, index) => {
    const place = coordinates(index, own);
    const axes: number[] = [...place.slice(0, -1), Number.NaN, Number.NaN];
    axes[free] = place[place.length - 1] as number;
    const sum = fold('sum', 'f32', count(reduce.extent), (step) =>
      evaluate(factor, [...axes, ...coordinates(step, reduce.extent)], []),
    );
    return stored[output.dtype](evaluate(output.value, axes, [sum]));
  });
}

function interpretLoop(kernel: LoopKernel, buffers: number[][]): void {
  const evaluate = evaluator(kernel, buffers);
  const results = kernel.outputs.map((output) =>
    output.factorSum === undefined ? [] : interpretFactorSum(kernel, output, buffers),
  );
  for (let index = 0; index < count(kernel.shape); index++) {
    const axes = coordinates(index, kernel.shape);
    const { reduce } = kernel;
    const folded = reduce
      ? fold(reduce.op, reduce.body.type, count(reduce.extent), (step) =>
          evaluate(reduce.body, [...axes, ...coordinates(step, reduce.extent)], []),
        )
      : 0;
    kernel.outputs.forEach(({ value, dtype, factorSum }, i) => {
      if (factorSum === undefined) results[i]?.push(stored[dtype](evaluate(value, axes, [folded])));
    });
  }
  kernel.outputs.forEach(({ buffer }, i) => {
    buffers[buffer] = results[i] as number[];
  });
}

function interpretRows(kernel: RowKernel, buffers: number[][]): void {
  const { rows, extent, stages, columns, outputs } = kernel;
  const evaluate = evaluator(kernel, buffers);
  const range = (length: number): number[] => Array.from({ length }, (_, i) => i);
  const folded = range(rows).map((row) => {
    const done: number[] = [];
    for (const { op, body } of stages) {
      done.push(fold(op, body.type, extent, (element) => evaluate(body, [row, element], done)));
    }
    return done;
  });
  const columnResults = range(extent).map((column) => {
    const none = stages.map(() => Number.NaN);
    const sums = columns.map(({ op, body }) =>
      fold(op, body.type, rows, (row) => evaluate(body, [row, column], folded[row] as number[])),
    );
    return [...none, ...sums];
  });
  const values = {
    element: (e: Expr) =>
      range(rows).flatMap((row) => range(extent).map((i) => evaluate(e, [row, i], folded[row] as number[]))),
    row: (e: Expr) => range(rows).map((row) => evaluate(e, [row], folded[row] as number[])),
    column: (e: Expr) => range(extent).map((i) => evaluate(e, [Number.NaN, i], columnResults[i] as number[])),
  };
  const results = outputs.map(({ per, value, dtype }) => values[per](value).map(stored[dtype]));
  outputs.forEach(({ buffer }, i) => {
    buffers[buffer] = results[i] as number[];
  });
}

function interpretScatter(kernel: ScatterKernel, buffers: number[][]): void {
  const { outer, inner, size, indexStrides: strides } = kernel;
  const [source, indices] = kernel.inputs.map(({ buffer }) => buffers[buffer] as number[]) as [number[], number[]];
  const result = new Array<number>(outer * size * inner).fill(0);
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < kernel.count; i++) {
      for (let d = 0; d < inner; d++) {
        const at = indices[o * strides.outer + i * strides.count + d * strides.inner] as number;
        if (at < 0 || at >= size) continue;
        const place = (o * size + at) * inner + d;
        result[place] = Math.fround((result[place] as number) + (source[(o * kernel.count + i) * inner + d] as number));
      }
    }
  }
  buffers[kernel.outputs[0].buffer] = result;
}

/** The contents of all buffers after the kernels have run in order. */
export function interpret({ kernels, buffers }: Case): number[][] {
  const contents = buffers.map(({ values }) => [...values]);
  for (const kernel of kernels) {
    if (kernel.kind === 'loop') interpretLoop(kernel, contents);
    else if (kernel.kind === 'rows') interpretRows(kernel, contents);
    else if (kernel.kind === 'scatter') interpretScatter(kernel, contents);
    else throw new Error(`no interpretation of ${kernel.kind}`);
  }
  return contents;
}

export function programOf({ kernels, buffers }: Pick<Case, 'kernels' | 'buffers'>): Program {
  const sizes = buffers.map(({ dtype, values }) => ({ bytes: dtypes[dtype].bytes * values.length }));
  return { buffers: sizes, bindings: sizes.length, kernels };
}

export function toArray(values: readonly number[], dtype: DType): ReturnType<(typeof dtypes)[DType]['array']> {
  const array = dtypes[dtype].array(values.length);
  array.set(dtype === 'f16' ? values.map(toHalfBits) : values);
  return array;
}

/** The contents of all buffers after the backend has run the program once. */
export async function runOn(backend: Backend, example: Case): Promise<number[][]> {
  const executable = await backend.compile(programOf(example));
  const slots = example.buffers.map(({ dtype, values }) => {
    const slot = backend.alloc(dtypes[dtype].bytes * values.length);
    backend.write(slot, toArray(values, dtype), dtype);
    return slot;
  });
  await backend.run(executable, slots);
  const contents: number[][] = [];
  for (const [i, { dtype, values }] of example.buffers.entries()) {
    const read = await backend.read(slots[i] as (typeof slots)[number], values.length, dtype);
    contents.push(Array.from(read, (x) => (dtype === 'f16' ? fromHalfBits(x) : x)));
  }
  for (const slot of slots) backend.free(slot);
  return contents;
}

/** Whether two results agree: NaN with NaN, infinities by sign, others within the tolerance. */
export function agree(actual: number, expected: number, tolerance: number, scale = 1): boolean {
  if (actual === expected || (Number.isNaN(actual) && Number.isNaN(expected))) return true;
  return Math.abs(actual - expected) <= tolerance * Math.max(scale, Math.abs(expected));
}

/** Asserts that the backend leaves in every buffer what the kernels mean. */
export async function expectMeaning(backend: Backend, example: Case): Promise<void> {
  expectContents(example, await runOn(backend, example));
}

/** Asserts that `actual` is what the kernels leave in every buffer. */
export function expectContents(example: Case, actual: readonly (readonly number[])[]): void {
  const expected = interpret(example);
  const halfStep = 2 ** -10;
  const wrong: string[] = [];
  expected.forEach((values, b) => {
    const dtype = example.buffers[b]?.dtype as DType;
    // A half may round to its other neighbour when the f32 before it has an error.
    const tolerance =
      dtype === 'f16' && example.tolerance ? halfStep : dtypes[dtype].floating ? (example.tolerance ?? 0) : 0;
    values.forEach((value, i) => {
      const got = actual[b]?.[i] as number;
      if (!agree(got, value, tolerance, example.scale)) wrong.push(`buffer ${b}[${i}]: ${got} instead of ${value}`);
    });
  });
  expect(wrong.slice(0, 10), example.name).toEqual([]);
}

/** A reproducible source of numbers in [0, 1). */
export function randomSource(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state >>> 8) / 2 ** 24;
  };
}

export function randomValues(length: number, dtype: DType, seed: number): number[] {
  const random = randomSource(seed);
  const scale: Record<DType, (x: number) => number> = {
    f32: (x) => 4 * x - 2,
    f16: (x) => 4 * x - 2,
    i32: (x) => Math.floor(200 * x) - 100,
    u32: (x) => Math.floor(200 * x),
    bool: (x) => (x < 0.5 ? 1 : 0),
    u8: (x) => Math.floor(256 * x),
  };
  return Array.from({ length }, () => stored[dtype](scale[dtype](random())));
}
