/**
 * Row kernels as WebAssembly functions: a unit of work is a row, gone through once for every stage and once for the
 * outputs, four elements at a time. The last elements of a row that is no multiple of four long are taken with those
 * before them: what is stored twice is the same, and what is folded leaves out the lanes that were there before.
 */
import type { RowKernel } from '../../compile/kernel.ts';
import { type DType, dtypes } from '../../dtype.ts';
import type { Expr } from '../../expr/expr.ts';
import { accumulator, sub } from '../../expr/expr.ts';
import { type Code, type FunctionBuilder, get, i32, type Local, op } from './assembler.ts';
import { ExpressionEmitter } from './expression.ts';
import { scratchBytes } from './gemm.ts';
import type { Library } from './library.ts';
import { kernelParameters, loadArguments, type Phase, parameter, termCost } from './loop.ts';
import { Accumulator } from './reduction.ts';
import { type Pass, type RowSchedule, rowSchedule } from './row-schedule.ts';

/** Adds the function of `kernel` to the module. */
export function defineRows(library: Library, kernel: RowKernel, name: string): Phase {
  const { extent, rows } = kernel;
  const schedule = rowSchedule(kernel, Math.floor(scratchBytes / (4 * extent)));
  library.module.define(kernelParameters, [], (f) => new RowWriter(f, library, kernel, schedule).rows(), name);
  const terms = schedule.passes.flatMap(termsOf);
  return { name, units: rows, cost: termCost(terms) * extent + 20 };
}

const termsOf = ({ folds, stores }: Pass): Expr[] => [
  ...folds.map(({ body }) => body),
  ...stores.map(({ value }) => value),
];

/** A row that a pass stores: the local of its first element's address, and its element type. */
interface Target {
  readonly start: Local;
  readonly dtype: DType;
}

class RowWriter {
  readonly f: FunctionBuilder;
  readonly library: Library;
  readonly kernel: RowKernel;
  readonly schedule: RowSchedule;
  readonly emitter: ExpressionEmitter;
  /** Addresses of the inputs, the outputs and the kept rows. */
  readonly addresses: readonly Local[];

  constructor(f: FunctionBuilder, library: Library, kernel: RowKernel, schedule: RowSchedule) {
    this.f = f;
    this.library = library;
    this.kernel = kernel;
    this.schedule = schedule;
    const uses = [...kernel.inputs, ...kernel.outputs];
    const keptRows = schedule.kept.map((_, i) =>
      f.let('i32', op('i32.add', get(parameter.scratch), i32(i * kernel.extent * 4))),
    );
    this.addresses = [...loadArguments(f, uses.length), ...keptRows];
    const types = [...uses.map(({ dtype }) => dtype), ...schedule.kept];
    const sources = this.addresses.map((address, i) => ({ address, dtype: types[i] as DType }));
    this.emitter = new ExpressionEmitter(f, library, sources);
    for (const [stage, { op: reduceOp, body }] of kernel.stages.entries()) {
      if (reduceOp === 'max') this.emitter.atMostZero.add(sub(body, accumulator(body.type, stage)));
    }
  }

  rows(): void {
    const { f, emitter, kernel } = this;
    const { inputs, outputs, extent } = kernel;
    const row = parameter.start;
    f.count(row, get(parameter.end), 1, () =>
      emitter.scope(() => {
        emitter.bind(0, row);
        const element = f.let('i32', op('i32.mul', get(row), i32(extent)));
        const targets = this.addresses.map((address, slot): Target | undefined => {
          const output = outputs[slot - inputs.length];
          if (slot < inputs.length || output?.per === 'row') return undefined;
          if (!output)
            return { start: address, dtype: this.schedule.kept[slot - inputs.length - outputs.length] as DType };
          const { dtype } = output;
          const offset = op('i32.mul', get(element), i32(dtypes[dtype].bytes));
          return { start: f.let('i32', op('i32.add', get(address), offset)), dtype };
        });
        for (const pass of this.schedule.passes) {
          const results = this.pass(pass, targets);
          pass.folds.forEach(({ stage }, i) => {
            emitter.bindAccumulator(results[i] as Local, false, stage);
          });
        }
        this.storeRowOutputs(row);
      }),
    );
  }

  private storeRowOutputs(row: Local): void {
    const { f, emitter, kernel } = this;
    kernel.outputs.forEach(({ per, dtype, value }, i) => {
      if (per !== 'row') return;
      const result = f.let(value.type === 'f32' ? 'f32' : 'i32', emitter.scalar(value));
      const offset = op('i32.mul', get(row), i32(dtypes[dtype].bytes));
      const address = op('i32.add', get(this.addresses[kernel.inputs.length + i] as Local), offset);
      emitter.storeScalar(dtype, address, get(result));
    });
  }

  /** One pass over the row; the locals of what it folds. */
  private pass(pass: Pass, targets: readonly (Target | undefined)[]): Local[] {
    const { f, emitter, kernel } = this;
    const { folds, stores } = pass;
    const { extent } = kernel;
    const lanes = extent >= 4;
    const vectors = Math.floor(extent / 4);
    const terms = termsOf(pass);
    const ways = vectors >= 8 && termCost(terms) < 3 ? Math.max(1, Math.floor(4 / Math.max(1, folds.length))) : 1;
    /** For each way, an accumulator for each fold. */
    const accumulators = Array.from({ length: ways }, () =>
      folds.map(({ stage, body }) => {
        const { op: reduceOp } = kernel.stages[stage] as RowKernel['stages'][number];
        return new Accumulator(f, this.library, reduceOp, body.type, lanes, Math.ceil(extent / 4));
      }),
    );
    const [first, ...others] = accumulators as [Accumulator[], ...Accumulator[][]];
    const flush = (): void => {
      for (const other of others) {
        for (const [i, accumulator] of first.entries()) accumulator.take(other[i] as Accumulator);
      }
      for (const accumulator of first) accumulator.flush();
    };
    const x = f.let('i32', i32(0));

    /** The elements from `position` on; of the folds, only the lanes from `lane` on. */
    const step = (position: Local, own: readonly Accumulator[], lane = 0): void =>
      emitter.scope(() => {
        if (lanes) emitter.bindLanes(1, position);
        else emitter.bind(1, position);
        folds.forEach(({ body }, i) => {
          const value = lanes ? emitter.vector(body) : emitter.scalar(body);
          if (lane > 0) (own[i] as Accumulator).includeFrom(lane, value);
          else (own[i] as Accumulator).include(value);
        });
        for (const { slot, value } of stores) {
          const { start, dtype } = targets[slot] as Target;
          const offset = op('i32.mul', get(position), i32(dtypes[dtype].bytes));
          const result = f.let(
            lanes ? 'v128' : value.type === 'f32' ? 'f32' : 'i32',
            lanes ? emitter.vector(value) : emitter.scalar(value),
          );
          const address = op('i32.add', get(start), offset);
          if (lanes) emitter.storeVector(dtype, address, get(result));
          else emitter.storeScalar(dtype, address, get(result));
        }
      });
    const steps = (end: Code, count: number): void =>
      f.count(x, end, lanes ? 4 * count : 1, () => {
        for (let i = 0; i < count; i++) {
          const position = i === 0 ? x : f.let('i32', op('i32.add', get(x), i32(4 * i)));
          step(position, accumulators[i] as Accumulator[]);
        }
      });

    emitter.scope(() => {
      emitter.hoist(terms);
      if (!lanes) steps(i32(extent), 1);
      else {
        this.inBlocks(x, 4 * (vectors - (vectors % ways)), 4 * ways, folds.length > 0 ? flush : undefined, (end) =>
          steps(end, ways),
        );
        if (vectors % ways > 0) steps(i32(4 * vectors), 1);
        if (extent % 4 > 0) {
          f.set(x, i32(extent - 4));
          step(x, first, 4 - (extent % 4));
        }
      }
    });
    flush();
    return first.map((accumulator) => (lanes ? accumulator.foldLanes() : accumulator.finish()));
  }

  /** Runs `steps` of `width` elements up to `end`; with `flush`, in blocks after which sums move on to 64 bits. */
  private inBlocks(
    x: Local,
    end: number,
    width: number,
    flush: (() => void) | undefined,
    steps: (end: Code) => void,
  ): void {
    const { f } = this;
    const block = width * Accumulator.block;
    if (!flush || end <= block) {
      steps(i32(end));
      return;
    }
    const blockEnd = f.local('i32');
    f.while(op('i32.lt_s', get(x), i32(end)), () => {
      f.set(blockEnd, op('i32.add', get(x), i32(block)));
      if (end % block !== 0) f.when(op('i32.gt_s', get(blockEnd), i32(end)), () => f.set(blockEnd, i32(end)));
      steps(get(blockEnd));
      flush();
    });
  }
}
