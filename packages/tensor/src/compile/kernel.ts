/**
 * What the backends run: kernels and the programs made of them. Nothing about tensors, gradients or models crosses
 * this line.
 */
import type { DType } from '../dtype.ts';
import type { Expr } from '../expr/expr.ts';
import type { AttentionKernel } from './attention-kernel.ts';

/** A buffer of the program as one kernel sees it. */
export interface BufferUse {
  /** Position in the program's `buffers`. */
  readonly buffer: number;
  readonly dtype: DType;
  /**
   * Of an output that is a part of its buffer: where it begins, in elements, at a multiple of `partBytes`, and how many
   * elements it has. Indices count from there. A kernel that writes a part of a buffer does not read that buffer.
   */
  readonly part?: { readonly offset: number; readonly length: number };
}

/** Bytes that the parts of a buffer begin at multiples of: what any device can bind. */
export const partBytes = 256;

export type ReduceOp = 'sum' | 'prod' | 'max' | 'min';

export interface Output extends BufferUse {
  /** Value of one element: a term over axes, loads and, with a reduction, the accumulator. Its scalar type is the dtype's. */
  readonly value: Expr;
}

/** An output of a loop kernel: one value for every point, unless it says otherwise. */
export interface LoopOutput extends Output {
  /**
   * Of a contraction for backends with the template `factorSums`: the output holds sums over k of that factor alone, in
   * f32, for every [...batch, M] (of factor 0) or [...batch, N] (of factor 1), in row-major order. The accumulator of
   * its value is that sum; the value depends on no other axes than these, and reads no buffer.
   */
  readonly factorSum?: 0 | 1;
}

/**
 * A loop kernel: for every point of `shape` (row-major), fold `body` over the reduction axes, if there are any, and
 * store each output's value at the point's linear index.
 *
 * Axis terms number the axes of `shape` first (0 to shape.length - 1), then those of `reduce.extent`.
 * Load terms name `inputs` by position. A load converts: f16 gives f32, u8 gives u32, bool is a word that is 0 or 1.
 * An output may be the same program buffer as an input only where every load from that input is at the point's own
 * linear index (an update in place); a backend that cannot bind one buffer twice binds it once, as writable.
 * Every extent is at least 1: empty tensors never reach a kernel.
 */
export interface LoopKernel {
  readonly kind: 'loop';
  /** Operations that this kernel computes, for messages and statistics. */
  readonly name: string;
  readonly shape: readonly number[];
  readonly inputs: readonly BufferUse[];
  readonly reduce?: {
    readonly op: ReduceOp;
    readonly extent: readonly number[];
    readonly body: Expr;
    /**
     * The contraction template applies: op is 'sum', the extent is [K], the shape is [...batch, M, N], and `body` is
     * factors[0] · factors[1] in f32, of which the first does not depend on axis N and the second not on axis M.
     * A factor has half precision where it is a `half` term or a load from f16: hardware for that may take it.
     */
    readonly factors?: readonly [Expr, Expr];
  };
  readonly outputs: readonly LoopOutput[];
}

/** A loop kernel to which the contraction template applies. */
export type Contraction = LoopKernel & {
  readonly reduce: NonNullable<LoopKernel['reduce']> & { readonly factors: readonly [Expr, Expr] };
};

export const isContraction = (kernel: { readonly kind: string } | undefined): kernel is Contraction =>
  kernel?.kind === 'loop' && (kernel as LoopKernel).reduce?.factors !== undefined;

export interface RowOutput extends Output {
  /** What there is a value for: every element ([rows, extent]), every row ([rows]), or every column ([extent]). */
  readonly per: 'element' | 'row' | 'column';
}

/** One reduction of a row kernel. */
export interface Fold {
  readonly op: ReduceOp;
  readonly body: Expr;
}

/**
 * Reductions of the same rows that build on one another, and what is computed from them: for every row, each stage
 * in turn folds its `body` over the row's elements, then the outputs are stored. Beside that, each of `columns` folds
 * its body over all rows, for every column.
 *
 * Axis 0 numbers the rows and axis 1 the elements of a row. Bodies and values may use the results of earlier stages:
 * the accumulator's `value` is the stage. Values per column alone may use the folded columns, whose accumulators are
 * numbered on after the stages. A value per row, like a stage's result, does not depend on axis 1, and a value per
 * column neither on axis 0 nor on stages. Every load moves by single elements along axis 1, or not at all. No output is
 * the same program buffer as an input.
 */
export interface RowKernel {
  readonly kind: 'rows';
  readonly name: string;
  readonly rows: number;
  readonly extent: number;
  readonly inputs: readonly BufferUse[];
  readonly stages: readonly Fold[];
  /** Empty for backends without the template `columns`. With stages, the extent is at most `widestColumns`. */
  readonly columns: readonly Fold[];
  readonly outputs: readonly RowOutput[];
}

/** A kernel that folds rows and columns holds a whole row in the registers of a workgroup. */
export const widestColumns = 4096;

/**
 * The adjoint of indexing: `output` [outer, size, inner] = 0, then for each outer o, count i, inner d, in rising i:
 * output[o, index(o, i, d), d] += source[o, i, d]. The index of (o, i, d) is element o·outerStride + i·countStride +
 * d·innerStride of `indices`. Indices outside [0, size) are passed over. The source and the output are f32.
 */
export interface ScatterKernel {
  readonly kind: 'scatter';
  readonly name: string;
  readonly outer: number;
  readonly count: number;
  readonly inner: number;
  readonly size: number;
  readonly indexStrides: { readonly outer: number; readonly count: number; readonly inner: number };
  /** [source, indices]. */
  readonly inputs: readonly [BufferUse, BufferUse];
  readonly outputs: readonly [BufferUse];
}

export type Kernel = AttentionKernel | LoopKernel | RowKernel | ScatterKernel;

/**
 * A straight line of kernels over numbered buffers. The first `bindings` buffers are given by the caller at each run
 * (inputs and results); the others are workspace, whose contents mean nothing before and after a run.
 */
export interface Program {
  readonly buffers: readonly { readonly bytes: number }[];
  readonly bindings: number;
  readonly kernels: readonly Kernel[];
}
