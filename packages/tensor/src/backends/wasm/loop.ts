/**
 * Loop kernels as WebAssembly functions. Without a reduction, and where elements lie side by side along the output's
 * last axis, four of its elements are computed at once; otherwise four steps of the reduction's last axis are.
 */
import { type DType, dtypes } from '../../dtype.ts';
import { type Expr, walk } from '../../expr/expr.ts';
import { type Code, type FunctionBuilder, get, i32, type Local, load, op } from './assembler.ts';
import { type LoopNest, product } from './axes.ts';
import { ExpressionEmitter, strideAlong } from './expression.ts';
import type { Library } from './library.ts';
import { Accumulator } from './reduction.ts';

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

/** Costs in nanoseconds of the terms' operations on one element, roughly. */
export function termCost(terms: readonly Expr[]): number {
  const seen = new Set<Expr>();
  let cost = 0.1;
  for (const term of terms) walk(term, (e) => (cost += heavy.has(e.op) ? 3 : e.args.length > 0 ? 0.15 : 0), seen);
  return cost;
}

/** Below this many elements a kernel's rows are cut no finer. */
const blockElements = 4096;

/** Adds the function of `nest` to the module. */
export function defineLoop(library: Library, nest: LoopNest, name: string): Phase {
  const alongReduction = nest.reduce !== undefined && prefersReductionAxis(nest);
  const steps = nest.reduce ? product(nest.reduce.extent) : 1;
  const terms = [...(nest.reduce ? [nest.reduce.body] : []), ...nest.outputs.map((output) => output.value)];
  const cost = termCost(terms) * steps;
  if (alongReduction) {
    library.module.define(kernelParameters, [], (f) => new LoopWriter(f, library, nest).points(), name);
    return { name, units: product(nest.shape), cost: cost + 10 };
  }
  const inner = nest.shape[nest.shape.length - 1] ?? 1;
  const rows = product(nest.shape) / inner;
  const wanted = steps > 1 ? Math.max(16, Math.ceil(blockElements / steps / 16) * 16) : blockElements;
  const down = transposes(nest);
  const block = Math.min(inner, down ? transposedColumns : rows >= 64 ? inner : wanted);
  library.module.define(kernelParameters, [], (f) => new LoopWriter(f, library, nest).rows(block, down), name);
  return { name, units: rows * Math.ceil(inner / block), cost: cost * block + 10 };
}

/**
 * Columns taken at once where a load runs down its buffer: their cache lines serve the following rows too. Few enough
 * that strides of many pages, which share cache sets, do not evict them.
 */
const transposedColumns = 16;

/** Whether a load jumps along the output's last axis and moves by single elements along the one before. */
function transposes({ shape, reduce, outputs }: LoopNest): boolean {
  const last = shape.length - 1;
  if (reduce || last < 1) return false;
  let found = false;
  const seen = new Set<Expr>();
  for (const { value } of outputs) {
    walk(
      value,
      (e) => (found ||= e.op === 'load' && (strideAlong(e, last) ?? 1) > 1 && strideAlong(e, last - 1) === 1),
      seen,
    );
  }
  return found;
}

/** Whether the loads of the reduction lie side by side along its own last axis rather than along the output's. */
function prefersReductionAxis({ shape, reduce }: LoopNest): boolean {
  if (!reduce) return false;
  const last = shape.length - 1;
  if (last < 0) return true;
  const loads: Expr[] = [];
  walk(reduce.body, (e) => {
    if (e.op === 'load') loads.push(e);
  });
  const cost = (axis: number, extent: number): number => {
    const scattered = loads.filter((e) => {
      const stride = strideAlong(e, axis);
      return stride !== 0 && stride !== 1;
    });
    return scattered.length + (extent < 4 ? 4 : 0);
  };
  const extent = reduce.extent[reduce.extent.length - 1] as number;
  return cost(shape.length + reduce.extent.length - 1, extent) < cost(last, shape[last] as number);
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

class LoopWriter {
  readonly f: FunctionBuilder;
  readonly library: Library;
  readonly nest: LoopNest;
  readonly emitter: ExpressionEmitter;
  readonly outputs: readonly Local[];
  readonly values: readonly Expr[];

  constructor(f: FunctionBuilder, library: Library, nest: LoopNest) {
    this.f = f;
    this.library = library;
    this.nest = nest;
    const addresses = loadArguments(f, nest.inputs.length + nest.outputs.length);
    const sources = nest.inputs.map((dtype, i) => ({ address: addresses[i] as Local, dtype }));
    this.emitter = new ExpressionEmitter(f, library, sources);
    this.outputs = addresses.slice(nest.inputs.length);
    this.values = nest.outputs.map((output) => output.value);
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
        const unit = get(parameter.start);
        const count = down ? product(outer) : blocks;
        const [quotient, remainder] = [op('i32.div_u', unit, i32(count)), op('i32.rem_u', unit, i32(count))];
        f.set(row, blocks === 1 ? unit : down ? remainder : quotient);
        f.set(x, blocks === 1 ? i32(0) : op('i32.mul', down ? quotient : remainder, i32(block)));
        f.set(end, op('i32.add', get(x), i32(block)));
        if (inner % block !== 0) f.when(op('i32.gt_s', get(end), i32(inner)), () => f.set(end, i32(inner)));
        decode(f, get(row), outer, bindAxes(emitter, 0, outer.length));
        emitter.hoist(this.roots());
        const starts = this.outputs.map((address, i) => {
          const { bytes } = dtypes[(nest.outputs[i] as LoopNest['outputs'][number]).dtype];
          return f.let('i32', op('i32.add', get(address), op('i32.mul', get(row), i32(inner * bytes))));
        });
        if (inner >= 16) this.sweep(x, end, starts, nest.reduce ? 4 : 2);
        if (inner >= 4) this.sweep(x, end, starts, 1);
        this.sweep(x, end, starts, 0);
      }),
    );
  }

  private roots(): Expr[] {
    return [...(this.nest.reduce ? [this.nest.reduce.body] : []), ...this.values];
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
      const accumulators = this.reduceColumns(positions, lanes, at);
      for (const [i, position] of positions.entries()) {
        at(position, () => {
          emitter.bindAccumulator((accumulators[i] as Accumulator).finish(), lanes);
          storeOutputs(emitter, nest.outputs, starts, position, lanes ? [() => {}] : undefined);
        });
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
        f.set(r, i32(0));
        f.while(op('i32.lt_s', get(r), i32(inner)), () => {
          f.set(end, op('i32.add', get(r), i32(block)));
          if (inner % block !== 0) f.when(op('i32.gt_s', get(end), i32(inner)), () => f.set(end, i32(inner)));
          body(r, end);
        });
      });
    if (outer.length === 0) {
      blocks();
      return;
    }
    const step = f.let('i32', i32(0));
    f.count(step, i32(product(outer)), 1, () =>
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
        decode(f, get(parameter.start), nest.shape, bindAxes(emitter, 0, nest.shape.length));
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
        emitter.bindAccumulator(rest.finish(), false);
        storeOutputs(emitter, nest.outputs, this.outputs, parameter.start, undefined);
      }),
    );
  }
}
