/**
 * The code of loop kernels, and what all kernel functions have in common: their parameters, and how they find their
 * buffers and their place in the output.
 */
import { type DType, dtypes } from '../../dtype.ts';
import { type Expr, walk } from '../../expr/expr.ts';
import { type Code, type FunctionBuilder, get, i32, type Local, load, op } from './assembler.ts';
import { type LoopNest, product } from './axes.ts';
import { ExpressionEmitter } from './expression.ts';
import type { Library } from './library.ts';
import { Accumulator } from './reduction.ts';
import type { Split } from './split.ts';

/** A function of the signature (arguments, start, end, scratch) that does units of work start to end - 1. */
export interface Phase {
  /** The function's export name in its module. */
  readonly name: string;
  readonly units: number;
  /** A rough duration of one unit in nanoseconds, from which chunks are made. */
  readonly cost: number;
}

export const kernelParameters = ['i32', 'i32', 'i32', 'i32'] as const;
/** The parameters of a kernel function: the address of its buffers' addresses, its range of units, its thread's scratch. */
export const parameter = { arguments: 0, start: 1, end: 2, scratch: 3 } as const;

/** Loads the addresses of `count` buffers from the arguments. */
export function loadArguments(f: FunctionBuilder, count: number): Local[] {
  return Array.from({ length: count }, (_, i) => f.let('i32', load('i32.load', get(parameter.arguments), i * 4)));
}

/** Sets `locals` to the coordinates of the row-major index `index` in `extents`. */
export function decode(f: FunctionBuilder, index: Code, extents: readonly number[], locals: readonly Local[]): void {
  const rest = f.let('i32', index);
  for (let i = extents.length - 1; i > 0; i--) {
    f.set(locals[i] as Local, op('i32.rem_u', get(rest), i32(extents[i] as number)));
    f.set(rest, op('i32.div_u', get(rest), i32(extents[i] as number)));
  }
  if (extents.length > 0) f.set(locals[0] as Local, get(rest));
}

export const bindAxes = (emitter: ExpressionEmitter, first: number, count: number): Local[] =>
  Array.from({ length: count }, (_, i) => {
    const local = emitter.f.local('i32');
    emitter.bind(first + i, local);
    return local;
  });

const heavy = new Set(['exp', 'log', 'sin', 'cos', 'tan', 'tanh', 'erf', 'atan', 'pow', 'mod']);

/** Cost in nanoseconds of a term's last operation on one element, roughly. */
export const operationCost = (e: Expr): number => (heavy.has(e.op) ? 3 : e.args.length > 0 ? 0.15 : 0);

/** The same of all operations of the terms. */
export function termCost(terms: readonly Expr[]): number {
  const seen = new Set<Expr>();
  let cost = 0.1;
  for (const term of terms) walk(term, (e) => (cost += operationCost(e)), seen);
  return cost;
}

/** The part of a split reduction's work that a function does: to fold the parts, or to combine them. */
export interface SplitPhase extends Split {
  readonly combine: boolean;
}

/**
 * Stores the outputs' values at position `x` of the rows that begin at the addresses `starts`: of one element, or of
 * one vector for each of `vectors`, which binds its lanes. Every value is computed before any is stored: an output may
 * be an input too. Neighbouring vectors are stored side by side, so that an engine may join them.
 */
export function storeOutputs(
  emitter: ExpressionEmitter,
  outputs: LoopNest['outputs'],
  starts: readonly Local[],
  x: Local,
  vectors: readonly (() => void)[] | undefined,
): void {
  const { f } = emitter;
  const address = (i: number, dtype: DType): Local => {
    const offset = op('i32.mul', get(x), i32(dtypes[dtype].bytes));
    return f.let('i32', op('i32.add', get(starts[i] as Local), offset));
  };
  if (vectors === undefined) {
    const values = outputs.map(({ value }) => f.let(value.type === 'f32' ? 'f32' : 'i32', emitter.scalar(value)));
    for (const [i, { dtype }] of outputs.entries()) {
      emitter.storeScalar(dtype, get(address(i, dtype)), get(values[i] as Local));
    }
    return;
  }
  const values = vectors.map((bind) =>
    emitter.scope(() => {
      bind();
      return outputs.map(({ value }) => f.let('v128', emitter.vector(value)));
    }),
  );
  for (const [i, { dtype }] of outputs.entries()) {
    const to = address(i, dtype);
    for (const [v, results] of values.entries()) {
      emitter.storeVector(dtype, get(to), get(results[i] as Local), v * 4 * dtypes[dtype].bytes);
    }
  }
}

export class LoopWriter {
  readonly f: FunctionBuilder;
  readonly library: Library;
  readonly nest: LoopNest;
  readonly emitter: ExpressionEmitter;
  readonly outputs: readonly Local[];
  readonly values: readonly Expr[];
  readonly split: SplitPhase | undefined;
  /** Where the values of a split reduction lie: of all parts, or of the one that is folded. */
  readonly saved: Local;
  /** The same for the row that is combined. */
  readonly savedRow: Local;
  /** The steps of the reduction's first axis that are folded, where it is split. */
  readonly from: Local;
  readonly to: Local;

  constructor(f: FunctionBuilder, library: Library, nest: LoopNest, split?: SplitPhase) {
    this.f = f;
    this.library = library;
    this.nest = nest;
    this.split = split;
    const buffers = nest.inputs.length + nest.outputs.length;
    const addresses = loadArguments(f, split ? buffers + 1 : buffers);
    const sources = nest.inputs.map((dtype, i) => ({ address: addresses[i] as Local, dtype }));
    this.emitter = new ExpressionEmitter(f, library, sources);
    this.outputs = addresses.slice(nest.inputs.length, buffers);
    this.values = nest.outputs.map((output) => output.value);
    [this.saved, this.savedRow, this.from, this.to] = [f.local('i32'), f.local('i32'), f.local('i32'), f.local('i32')];
    if (split) f.set(this.saved, get(addresses[buffers] as Local));
  }

  /** The unit of work among `units`; where parts are folded, what concerns the unit's part is set. */
  private unit(units: number): Code {
    const { f, nest, split } = this;
    if (!split || split.combine) return get(parameter.start);
    const [first] = (nest.reduce as NonNullable<LoopNest['reduce']>).extent as [number, ...number[]];
    const part = f.let('i32', op('i32.div_u', get(parameter.start), i32(units)));
    const workspace = load('i32.load', get(parameter.arguments), 4 * (nest.inputs.length + nest.outputs.length));
    const offset = op('i32.mul', get(part), i32(product(nest.shape) * split.bytes));
    f.set(this.saved, op('i32.add', workspace, offset));
    f.set(this.from, op('i32.mul', get(part), i32(split.steps)));
    f.set(this.to, op('i32.add', get(this.from), i32(split.steps)));
    f.when(op('i32.gt_s', get(this.to), i32(first)), () => f.set(this.to, i32(first)));
    return get(f.let('i32', op('i32.rem_u', get(parameter.start), i32(units))));
  }

  /** Ends the reduction for the elements at position `x` of a row: they are stored, or what is folded of them is. */
  private settle(accumulator: Accumulator, x: Local, starts: readonly Local[], lanes: boolean): void {
    const { emitter, split } = this;
    if (split && !split.combine) {
      accumulator.save(op('i32.add', get(starts[0] as Local), op('i32.mul', get(x), i32(split.bytes))));
      return;
    }
    emitter.bindAccumulator(accumulator.finish(), lanes);
    storeOutputs(emitter, this.nest.outputs, starts, x, lanes ? [() => {}] : undefined);
  }

  // ---- Rows of the output -------------------------------------------------------------------------------------------

  /** Units are blocks of `block` elements of the output's last axis, row by row, or with `down` column by column. */
  rows(block: number, down: boolean): void {
    const { f, emitter, nest } = this;
    const inner = nest.shape[nest.shape.length - 1] ?? 1;
    const outer = nest.shape.slice(0, -1);
    const blocks = Math.ceil(inner / block);
    const row = f.local('i32');
    const x = f.local('i32');
    const end = f.local('i32');
    f.count(parameter.start, get(parameter.end), 1, () =>
      emitter.scope(() => {
        const unit = this.unit(product(outer) * blocks);
        const count = down ? product(outer) : blocks;
        const [quotient, remainder] = [op('i32.div_u', unit, i32(count)), op('i32.rem_u', unit, i32(count))];
        f.set(row, blocks === 1 ? unit : down ? remainder : quotient);
        f.set(x, blocks === 1 ? i32(0) : op('i32.mul', down ? quotient : remainder, i32(block)));
        f.set(end, op('i32.add', get(x), i32(block)));
        if (inner % block !== 0) f.when(op('i32.gt_s', get(end), i32(inner)), () => f.set(end, i32(inner)));
        decode(f, get(row), outer, bindAxes(emitter, 0, outer.length));
        emitter.hoist(this.roots());
        const rowOf = (address: Local, bytes: number): Local =>
          f.let('i32', op('i32.add', get(address), op('i32.mul', get(row), i32(inner * bytes))));
        if (this.split) f.set(this.savedRow, get(rowOf(this.saved, this.split.bytes)));
        const partial = this.split && !this.split.combine ? this.split.bytes : undefined;
        const starts =
          partial !== undefined
            ? [this.savedRow]
            : this.outputs.map((address, i) =>
                rowOf(address, dtypes[(nest.outputs[i] as LoopNest['outputs'][number]).dtype].bytes),
              );
        if (inner >= 16) this.sweep(x, end, starts, nest.reduce ? 4 : 2);
        if (inner >= 4) this.sweep(x, end, starts, 1);
        this.sweep(x, end, starts, 0);
      }),
    );
  }

  private roots(): Expr[] {
    const { nest, split, values } = this;
    return [...(nest.reduce && !split?.combine ? [nest.reduce.body] : []), ...(split && !split.combine ? [] : values)];
  }

  /** Goes on from x to `end` by `vectors` v128 at a time, or by single elements for 0, as far as whole steps reach. */
  private sweep(x: Local, end: Local, starts: readonly Local[], vectors: number): void {
    const { f, emitter, nest } = this;
    const step = vectors === 0 ? 1 : 4 * vectors;
    const limit = f.let('i32', op('i32.sub', get(end), i32(step - 1)));
    const axis = nest.shape.length - 1;
    const lanes = vectors > 0;
    if (!nest.reduce) {
      const binds = Array.from({ length: vectors }, (_, i) => () => emitter.bindLanes(axis, x, 4 * i));
      f.count(x, get(limit), step, () =>
        emitter.scope(() => {
          if (axis >= 0) emitter.bind(axis, x);
          storeOutputs(emitter, nest.outputs, starts, x, lanes ? binds : undefined);
        }),
      );
      return;
    }
    f.count(x, get(limit), step, () => {
      const positions = Array.from({ length: Math.max(1, vectors) }, (_, i) =>
        i === 0 ? x : f.let('i32', op('i32.add', get(x), i32(4 * i))),
      );
      const at = (position: Local, body: () => void): void =>
        emitter.scope(() => {
          if (axis >= 0) {
            if (lanes) emitter.bindLanes(axis, position);
            else emitter.bind(axis, position);
          }
          body();
        });
      const accumulators = this.split?.combine
        ? this.combineParts(positions, lanes)
        : this.reduceColumns(positions, lanes, at);
      for (const [i, position] of positions.entries()) {
        at(position, () => this.settle(accumulators[i] as Accumulator, position, starts, lanes));
      }
    });
  }

  // ---- Reductions ---------------------------------------------------------------------------------------------------

  private reduceColumns(
    positions: readonly Local[],
    lanes: boolean,
    at: (position: Local, body: () => void) => void,
  ): Accumulator[] {
    const { f, emitter, nest } = this;
    const { op: reduceOp, extent, body } = nest.reduce as NonNullable<LoopNest['reduce']>;
    const accumulators = positions.map(
      () => new Accumulator(f, this.library, reduceOp, body.type, lanes, product(extent)),
    );
    this.overReduction((r, rEnd) => {
      f.count(r, get(rEnd), 1, () => {
        for (const [i, position] of positions.entries()) {
          at(position, () => {
            const value = lanes ? emitter.vector(body) : emitter.scalar(body);
            (accumulators[i] as Accumulator).include(value);
          });
        }
      });
      for (const accumulator of accumulators) accumulator.flush();
    }, Accumulator.block);
    return accumulators;
  }

  /** Folds what the parts of a split reduction have left at `positions` of the row. */
  private combineParts(positions: readonly Local[], lanes: boolean): Accumulator[] {
    const { f, nest, split } = this;
    const { op: reduceOp, extent, body } = nest.reduce as NonNullable<LoopNest['reduce']>;
    const { parts, bytes } = split as SplitPhase;
    const accumulators = positions.map(
      () => new Accumulator(f, this.library, reduceOp, body.type, lanes, product(extent)),
    );
    const part = f.let('i32', i32(0));
    const row = f.let('i32', get(this.savedRow));
    f.count(part, i32(parts), 1, () => {
      for (const [i, position] of positions.entries()) {
        (accumulators[i] as Accumulator).restore(op('i32.add', get(row), op('i32.mul', get(position), i32(bytes))));
      }
      f.set(row, op('i32.add', get(row), i32(product(nest.shape) * bytes)));
    });
    return accumulators;
  }

  /**
   * Runs `body` for every block of at most `block` steps of the reduction's last axis, bound to the local that `body`
   * must count from its value to the given end.
   */
  private overReduction(body: (r: Local, end: Local) => void, block: number): void {
    const { f, emitter, nest } = this;
    const { extent, body: term } = nest.reduce as NonNullable<LoopNest['reduce']>;
    const outer = extent.slice(0, -1);
    const inner = extent[extent.length - 1] as number;
    const first = nest.shape.length;
    const r = f.local('i32');
    const end = f.local('i32');
    const blocks = (): void =>
      emitter.scope(() => {
        emitter.hoist([term]);
        emitter.bind(first + outer.length, r);
        const inPart = this.split !== undefined && outer.length === 0;
        const limit = inPart ? get(this.to) : i32(inner);
        f.set(r, inPart ? get(this.from) : i32(0));
        f.while(op('i32.lt_s', get(r), limit), () => {
          f.set(end, op('i32.add', get(r), i32(block)));
          if (inPart || inner % block !== 0) f.when(op('i32.gt_s', get(end), limit), () => f.set(end, limit));
          body(r, end);
        });
      });
    if (outer.length === 0) {
      blocks();
      return;
    }
    // The steps of the outer axes; a part has some of the first axis's.
    const each = product(outer.slice(1));
    const step = f.let('i32', this.split ? op('i32.mul', get(this.from), i32(each)) : i32(0));
    const last = this.split ? get(f.let('i32', op('i32.mul', get(this.to), i32(each)))) : i32(product(outer));
    f.count(step, last, 1, () =>
      emitter.scope(() => {
        decode(f, get(step), outer, bindAxes(emitter, first, outer.length));
        blocks();
      }),
    );
  }

  /** Units are points of the output, each reduced four steps at a time. */
  points(): void {
    const { f, emitter, nest } = this;
    const { op: reduceOp, extent, body } = nest.reduce as NonNullable<LoopNest['reduce']>;
    const inner = extent[extent.length - 1] as number;
    const axis = nest.shape.length + extent.length - 1;
    const ways = inner >= 32 && termCost([body]) < 3 ? 4 : 1;
    f.count(parameter.start, get(parameter.end), 1, () =>
      emitter.scope(() => {
        const point = f.let('i32', this.unit(product(nest.shape)));
        decode(f, get(point), nest.shape, bindAxes(emitter, 0, nest.shape.length));
        emitter.hoist(this.roots());
        const steps = product(extent);
        const make = (lanes: boolean): Accumulator =>
          new Accumulator(f, this.library, reduceOp, body.type, lanes, steps);
        const vectors = inner >= 4 ? Array.from({ length: ways }, () => make(true)) : [];
        const rest = make(false);
        this.overReduction(
          (r, end) => {
            const run = (count: number, lanes: boolean): void => {
              const step = lanes ? 4 * count : 1;
              const limit = f.let('i32', op('i32.sub', get(end), i32(step - 1)));
              f.count(r, get(limit), step, () => {
                for (let i = 0; i < count; i++) {
                  emitter.scope(() => {
                    const position = i === 0 ? r : f.let('i32', op('i32.add', get(r), i32(4 * i)));
                    if (lanes) emitter.bindLanes(axis, position);
                    else emitter.bind(axis, position);
                    const accumulator = lanes ? (vectors[i] as Accumulator) : rest;
                    accumulator.include(lanes ? emitter.vector(body) : emitter.scalar(body));
                  });
                }
              });
            };
            if (ways > 1) run(ways, true);
            if (vectors.length > 0) run(1, true);
            run(1, false);
            for (const accumulator of [...vectors, rest]) accumulator.flush();
          },
          4 * ways * Accumulator.block,
        );
        for (const vector of vectors) rest.absorb(vector);
        this.settle(rest, point, this.split ? [this.saved] : this.outputs, false);
      }),
    );
  }
}
