// A spread of kernels that between them reach every way in which shaders are generated, with contents for their buffers.

import type {
  BufferUse,
  LoopKernel,
  LoopOutput,
  Output,
  ReduceOp,
} from '../../../packages/tensor/src/compile/kernel.ts';
import { type DType, dtypes } from '../../../packages/tensor/src/dtype.ts';
import {
  accumulator,
  add,
  axis,
  cast,
  constant,
  div,
  type Expr,
  half,
  load,
  lt,
  mod,
  mul,
  select,
  sub,
  term,
} from '../../../packages/tensor/src/expr/expr.ts';
import { type Case, randomValues } from './interpret.ts';

export const integer = (value: number): Expr => constant(value, 'i32');

/** The row-major index of the axes from `first` on that have these extents, plus `offset`. */
export function strided(extents: readonly number[], strides: readonly number[], first = 0, offset = 0): Expr {
  return extents.reduce<Expr>(
    (sum, extent, k) => add(sum, mul(axis(first + k, extent), integer(strides[k] as number))),
    integer(offset),
  );
}

export function rowMajorStrides(shape: readonly number[]): number[] {
  return shape.map((_, k) => shape.slice(k + 1).reduce((a, b) => a * b, 1));
}

export const linearIndex = (shape: readonly number[]): Expr => strided(shape, rowMajorStrides(shape));

interface LoopParts {
  readonly shape: readonly number[];
  /** The dtype of each input, and its length or its contents. */
  readonly inputs: readonly (readonly [DType, number | readonly number[]])[];
  readonly reduce?: NonNullable<LoopKernel['reduce']>;
  /** The dtype and value of each output, and the input whose buffer it overwrites. */
  readonly outputs: readonly (readonly [DType, Expr, number?])[];
  readonly tolerance?: number;
}

/** One loop kernel as a whole program: inputs first, then the outputs that have buffers of their own. */
export function loopCase(name: string, parts: LoopParts): Case {
  const elements = parts.shape.reduce((a, b) => a * b, 1);
  const buffers = parts.inputs.map(([dtype, contents], i) => ({
    dtype,
    values: typeof contents === 'number' ? randomValues(contents, dtype, 17 * i + elements) : contents,
  }));
  const inputs: BufferUse[] = parts.inputs.map(([dtype], buffer) => ({ buffer, dtype }));
  const outputs: Output[] = parts.outputs.map(([dtype, value, same]) => {
    if (same !== undefined) return { buffer: same, dtype, value };
    buffers.push({ dtype, values: new Array<number>(elements).fill(0) });
    return { buffer: buffers.length - 1, dtype, value };
  });
  const { shape, reduce, tolerance } = parts;
  const kernel: LoopKernel = { kind: 'loop', name, shape, inputs, outputs, ...(reduce ? { reduce } : {}) };
  return { name, kernels: [kernel], buffers, ...(tolerance === undefined ? {} : { tolerance }) };
}

/** An elementwise kernel that stores 3x + 1 of every input dtype as `to`. */
export function conversion(from: DType, to: DType, n: number): Case {
  const x = load(0, axis(0, n), dtypes[from].scalar);
  const value = cast(add(mul(cast(x, 'f32'), constant(3)), constant(1)), dtypes[to].scalar);
  return loopCase(`${from} to ${to} of ${n}`, {
    shape: [n],
    inputs: [[from, n]],
    outputs: [[to, value]],
    tolerance: 1e-6,
  });
}

/** A reduction of `extent` after `shape`, with an epilogue. */
export function reductionCase(
  op: ReduceOp,
  dtype: DType,
  shape: readonly number[],
  extent: readonly number[],
  to: DType = dtype,
): Case {
  const all = [...shape, ...extent];
  const type = dtypes[dtype].scalar;
  const body = load(0, linearIndex(all), type);
  const folded = accumulator(type);
  const epilogue = to === dtype ? folded : cast(folded, dtypes[to].scalar);
  const length = all.reduce((a, b) => a * b, 1);
  const near = randomValues(length, 'f32', 5).map((x) => Math.fround(1 + 0.001 * x));
  return loopCase(`${op} of ${dtype} [${shape}; ${extent}] to ${to}`, {
    shape,
    inputs: [[dtype, op === 'prod' && type === 'f32' ? near : length]],
    reduce: { op, extent, body },
    outputs: [
      [to, epilogue],
      [to, term('max', [epilogue, constant(0, dtypes[to].scalar)])],
    ],
    tolerance: 2e-6 * Math.sqrt(length),
  });
}

export interface ContractionParts {
  readonly batch?: readonly number[];
  readonly m: number;
  readonly n: number;
  readonly k: number;
  /** Whether a factor lies with its k axis slower than its free axis. */
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
  readonly dtype?: DType;
  readonly to?: DType;
  /** Bias over n, a maximum with zero and a second output. */
  readonly epilogue?: boolean;
  /** Elementwise work on the factors: a doubled first one, the second one zero where k is a multiple of 3. */
  readonly prologue?: boolean;
  /** What is added to the sum: a value for each column, or for each element. */
  readonly added?: 'row' | 'residual';
  /** Factors rounded to half precision. */
  readonly half?: boolean;
  /** Factors whose sums are outputs too. */
  readonly sums?: readonly (0 | 1)[];
}

/** `example`, whose kernel also stores the sums of these factors: of the first one as they are, of the second one doubled. */
function withFactorSums({ kernels, buffers, ...example }: Case, sums: readonly (0 | 1)[]): Case {
  const [kernel] = kernels as readonly [LoopKernel];
  const { shape } = kernel;
  const own = (factor: 0 | 1): number =>
    [...shape.slice(0, -2), shape[shape.length - 2 + factor] as number].reduce((a, b) => a * b, 1);
  const outputs = sums.map((factorSum, i): LoopOutput => {
    const value = mul(accumulator('f32'), constant(1 + factorSum));
    return { buffer: buffers.length + i, dtype: 'f32', value, factorSum };
  });
  return {
    ...example,
    name: `${example.name} with sums of factors ${sums}`,
    // Outputs of both kinds in any order.
    kernels: [{ ...kernel, outputs: [...outputs, ...kernel.outputs] }],
    buffers: [...buffers, ...sums.map((i) => ({ dtype: 'f32' as const, values: new Array<number>(own(i)).fill(0) }))],
  };
}

/** out[..., m, n] = sum over k of a[..., m, k] b[..., k, n]. */
export function contraction(parts: ContractionParts): Case {
  const { batch = [], m, n, k, dtype = 'f32', to = 'f32' } = parts;
  const shape = [...batch, m, n];
  const rank = shape.length;
  const batchIndex = linearIndex(batch);
  const [am, ak] = parts.transposeA ? [1, m] : [k, 1];
  const [bk, bn] = parts.transposeB ? [1, k] : [n, 1];
  const mAxis = axis(rank - 2, m);
  const nAxis = axis(rank - 1, n);
  const kAxis = axis(rank, k);
  const place = (size: number, x: Expr, xs: number, y: Expr, ys: number): Expr =>
    add(mul(batchIndex, integer(size)), add(mul(x, integer(xs)), mul(y, integer(ys))));
  let a = load(0, place(m * k, mAxis, am, kAxis, ak), 'f32');
  let b = load(1, place(k * n, kAxis, bk, nAxis, bn), 'f32');
  if (parts.prologue) {
    a = mul(a, constant(2));
    b = select(lt(mod(kAxis, integer(3)), integer(1)), constant(0), b);
  }
  if (parts.half) [a, b] = [half(a), half(b)];
  const folded = accumulator('f32');
  const batches = batch.reduce((x, y) => x * y, 1);
  const row = load(2, nAxis, 'f32');
  const added = { row: add(folded, row), residual: add(load(3, linearIndex(shape), 'f32'), folded) } as const;
  const plain = parts.added ? added[parts.added] : folded;
  const value = parts.epilogue ? term('max', [add(folded, row), constant(0)]) : plain;
  const layout = `${parts.transposeA ? 'T' : 'N'}${parts.transposeB ? 'T' : 'N'}`;
  const example = loopCase(
    `contraction [${batch}] ${m}x${n}x${k} ${layout} ${dtype} to ${to}${parts.half ? ', by halves' : ''}${parts.added ? ` plus ${parts.added}` : ''}`,
    {
      shape,
      inputs: [
        [dtype, batches * m * k],
        [dtype, batches * k * n],
        ['f32', n],
        ...(parts.added === 'residual' ? [['f32', batches * m * n] as const] : []),
      ],
      reduce: { op: 'sum', extent: [k], body: mul(a, b), factors: [a, b] },
      outputs: parts.epilogue
        ? [
            [to, value],
            ['f32', sub(folded, cast(add(mAxis, nAxis), 'f32'))],
          ]
        : [[to, value]],
      tolerance: 1e-6 * k,
    },
  );
  return parts.sums ? withFactorSums(example, parts.sums) : example;
}

/** A scatter of counts into `size` rows, some of whose indices lie outside. */
export function scatterCase(
  outer: number,
  count: number,
  inner: number,
  size: number,
  indexDtype: DType = 'i32',
): Case {
  const spread = randomValues(outer * count, 'u32', outer + count);
  const beyond = indexDtype === 'i32' ? 2 : 0;
  const indices = spread.map((x) => (x % (size + 2 * beyond)) - beyond);
  return {
    name: `scatter ${outer}x${count}x${inner} into ${size} by ${indexDtype}`,
    kernels: [
      {
        kind: 'scatter',
        name: 'scatter',
        outer,
        count,
        inner,
        size,
        indexStrides: { outer: count, count: 1, inner: 0 },
        inputs: [
          { buffer: 0, dtype: 'f32' },
          { buffer: 1, dtype: indexDtype },
        ],
        outputs: [{ buffer: 2, dtype: 'f32' }],
      },
    ],
    buffers: [
      { dtype: 'f32', values: randomValues(outer * count * inner, 'f32', 9) },
      { dtype: indexDtype, values: indices },
      { dtype: 'f32', values: new Array<number>(outer * size * inner).fill(7) },
    ],
  };
}

/** Rows of a table chosen by an index buffer, through a padded and permuted view. */
function gathered(): Case {
  const shape = [3, 4, 5];
  const row = load(0, strided([3, 4], [4, 1]), 'i32');
  const clamped = term('max', [term('min', [row, integer(6)]), integer(0)]);
  const value = load(1, add(mul(clamped, integer(5)), axis(2, 5)), 'f32');
  const inside = lt(axis(1, 4), integer(3));
  return loopCase('gathered rows', {
    shape,
    inputs: [
      ['i32', 12],
      ['f32', 35],
    ],
    outputs: [['f32', select(inside, value, constant(-1))]],
  });
}

/** Repetition and windows: indices that divide and take remainders. */
function windows(): Case {
  const shape = [6, 35];
  const j = axis(1, 35);
  const index = add(
    mul(div(add(j, integer(3)), integer(4)), integer(6)),
    mod(mul(axis(0, 6), add(j, integer(1))), integer(7)),
  );
  return loopCase('windows', { shape, inputs: [['f32', 80]], outputs: [['f32', load(0, index, 'f32')]] });
}

/** A momentum step: two buffers are overwritten by values of both. */
function inPlace(dtype: DType): Case {
  const n = 37;
  const scalar = dtypes[dtype].scalar;
  const parameter = load(0, axis(0, n), scalar);
  const momentum = add(mul(load(1, axis(0, n), scalar), constant(0.5)), load(2, axis(0, n), 'f32'));
  return loopCase(`in place ${dtype}`, {
    shape: [n],
    inputs: [
      [dtype, n],
      [dtype, n],
      ['f32', n],
    ],
    outputs: [
      [dtype, sub(parameter, mul(momentum, constant(0.25))), 0],
      [dtype, momentum, 1],
    ],
    tolerance: 1e-6,
  });
}

/** Two buffers that change places: neither store may come before the other's load. */
function exchanged(dtype: DType): Case {
  const n = 9;
  const [a, b] = [load(0, axis(0, n), dtypes[dtype].scalar), load(1, axis(0, n), dtypes[dtype].scalar)];
  return loopCase(`exchanged ${dtype}`, {
    shape: [n],
    inputs: [
      [dtype, n],
      [dtype, n],
    ],
    outputs: [
      [dtype, b, 0],
      [dtype, a, 1],
    ],
  });
}

/** One buffer that a kernel reads as floats and overwrites with integers. */
function inPlaceRetyped(): Case {
  const x = load(0, axis(0, 10), 'f32');
  const example = loopCase('in place, retyped', {
    shape: [10],
    inputs: [['f32', 10]],
    outputs: [['i32', cast(mul(x, constant(100)), 'i32'), 0]],
  });
  return { ...example, buffers: [{ dtype: 'i32', values: floatBits(randomValues(10, 'f32', 4)) }] };
}

const floatBits = (values: readonly number[]): number[] => [...new Int32Array(Float32Array.from(values).buffer)];

/** Outputs whose elements have one, two and four bytes, of a length that none of their words divides. */
function mixedWidths(): Case {
  const n = 13;
  const x = load(0, axis(0, n), 'u32');
  const f = cast(x, 'f32');
  return loopCase('mixed widths', {
    shape: [n],
    inputs: [['u8', n]],
    outputs: [
      ['u8', add(x, constant(1, 'u32'))],
      ['f16', mul(f, constant(0.37))],
      ['f32', mul(f, constant(0.5))],
      ['bool', lt(f, constant(100))],
      ['i32', sub(cast(x, 'i32'), integer(100))],
    ],
    tolerance: 1e-6,
  });
}

const everyDtype = Object.keys(dtypes) as DType[];

/** The spread; the same in every test that runs it. */
export const examples: readonly Case[] = [
  ...everyDtype.flatMap((from) => everyDtype.map((to) => conversion(from, to, 11))),
  mixedWidths(),
  gathered(),
  windows(),
  inPlace('f32'),
  inPlace('f16'),
  exchanged('f32'),
  exchanged('u8'),
  ...(['sum', 'prod', 'max', 'min'] as const).flatMap((op) => [
    reductionCase(op, 'f32', [3, 5], [7]),
    reductionCase(op, 'i32', [5], [3, 4]),
    reductionCase(op, 'f32', [3], [300]),
    reductionCase(op, 'u32', [2], [11, 13]),
  ]),
  reductionCase('sum', 'f32', [], [40, 50]),
  reductionCase('max', 'f16', [5], [200], 'f16'),
  reductionCase('sum', 'u8', [7], [129], 'f32'),
  reductionCase('max', 'u8', [7], [130]),
  reductionCase('max', 'bool', [4], [3]),
  reductionCase('min', 'bool', [2], [140]),
  contraction({ m: 5, n: 7, k: 6 }),
  contraction({ m: 17, n: 33, k: 19, transposeA: true, epilogue: true }),
  contraction({ batch: [2, 3], m: 8, n: 12, k: 5, transposeB: true, prologue: true }),
  contraction({ m: 65, n: 66, k: 17, transposeA: true, transposeB: true, epilogue: true, prologue: true }),
  contraction({ m: 9, n: 10, k: 20, dtype: 'f16', to: 'f16' }),
  contraction({ m: 9, n: 11, k: 20, dtype: 'f16', to: 'f16' }),
  contraction({ m: 50, n: 52, k: 8, dtype: 'f16', to: 'f16', epilogue: true }),
  contraction({ m: 1, n: 9, k: 300 }),
  contraction({ m: 1, n: 9, k: 300, sums: [0, 1] }),
  contraction({ m: 17, n: 20, k: 33, transposeA: true, sums: [0] }),
  contraction({ batch: [2], m: 9, n: 7, k: 12, epilogue: true, prologue: true, sums: [1, 0] }),
  contraction({ m: 40, n: 24, k: 1024, transposeA: true, sums: [0, 1] }),
  scatterCase(2, 9, 5, 4),
  scatterCase(1, 6, 1, 3, 'u8'),
];

/** Kernels whose meaning the interpreter cannot tell, because it does not know bits. */
export const retyped: Case = inPlaceRetyped();
