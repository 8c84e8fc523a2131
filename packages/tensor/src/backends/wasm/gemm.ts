/**
 * Contractions: both factors are packed into panels, a register-tiled micro-kernel multiplies panels into a tile of the
 * product, and the outputs' values are computed from the tile while it is hot.
 */
import type { BufferUse, Kernel, LoopKernel } from '../../compile/kernel.ts';
import { dtypes } from '../../dtype.ts';
import type { Expr } from '../../expr/expr.ts';
import { affine } from '../../expr/simplify.ts';
import { type Code, call, type FunctionBuilder, get, i32, type Local, load, op, smaller } from './assembler.ts';
import { product, roundUp } from './axes.ts';
import { depends, ExpressionEmitter } from './expression.ts';
import type { Library } from './library.ts';
import {
  bindAxes,
  decode,
  kernelParameters,
  loadArguments,
  type Phase,
  parameter,
  storeOutputs,
  termCost,
} from './loop.ts';
import { defineMicroKernel, type MicroKernel } from './micro-kernel.ts';
import { definePack, type Factor, packCost, packUnits, panelBytes, panelsBefore } from './pack.ts';
import type { Target } from './target.ts';

/** Most rows and columns of one tile of the product: its panels stay in the second-level cache. */
const tileRows = 200;
const tileColumns = 64;
/** Most steps of one pass over a tile: a panel of the second factor stays near the first-level cache. */
const passSteps = 1024;
/** A product with this many multiplications or more is cut into some tiles for every thread. */
const worthSharing = 500_000;
const tilesPerThread = 4;
/** Panels of both factors up to this size are packed by the thread that multiplies them, in its scratch memory. */
const privateBytes = 1 << 17;
/** So many matrices give every thread enough to do on its own. */
const manyMatrices = 8;
const tileBytes = (tileRows + 8) * (tileColumns + 16) * 4;

/** Bytes of private memory of a thread: one tile of the product, and panels. */
export const scratchBytes: number = tileBytes + privateBytes;

/** Whether a kernel is a contraction large enough in every direction to be worth packing. */
export function isContraction(kernel: Kernel): kernel is LoopKernel {
  if (kernel.kind !== 'loop' || !kernel.reduce?.factors) return false;
  const [m, n] = kernel.shape.slice(-2) as [number, number];
  return Math.min(m, n, kernel.reduce.extent[0] as number) >= 4;
}

/** The panels of one factor. */
export interface Panels {
  /** The phase that fills them. */
  readonly phase: number;
  /** Where they are nothing but elements of one input, and so may outlive a run: which, and how they are laid out. */
  readonly kept: { readonly input: number; readonly layout: string } | undefined;
  /** Where they lie in the workspace, and how large they are. */
  readonly offset: number;
  readonly bytes: number;
}

export interface CompiledContraction {
  readonly phases: Phase[];
  readonly workspace: number;
  readonly panels: readonly Panels[];
}

interface Contraction {
  readonly kernel: LoopKernel;
  readonly batch: readonly number[];
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly micro: MicroKernel;
  readonly factors: readonly [Factor, Factor];
  /** Rows and columns of one tile, in whole panels, and steps of one pass. */
  readonly rows: number;
  readonly columns: number;
  readonly steps: number;
}

const matrices = (factor: Factor): number => product(factor.batch);
const bytesOf = (factor: Factor): number => matrices(factor) * factor.panels * panelBytes(factor);

function contractionOf(kernel: LoopKernel, { micro, threads }: Target): Contraction {
  const batch = kernel.shape.slice(0, -2);
  const [m, n] = kernel.shape.slice(-2) as [number, number];
  const k = kernel.reduce?.extent[0] as number;
  const factor = (term: Expr, axis: number, extent: number, width: number): Factor => {
    const batchAxes = batch.flatMap((_, i) => (depends(term) & (1 << i) ? [i] : []));
    return {
      term,
      inputs: kernel.inputs,
      axis,
      extent,
      stepAxis: batch.length + 2,
      steps: k,
      width,
      panels: Math.ceil(extent / width),
      batchAxes,
      batch: batchAxes.map((i) => batch[i] as number),
    };
  };
  const terms = kernel.reduce?.factors as readonly [Expr, Expr];
  const factors = [
    factor(terms[0], batch.length, m, micro.rows),
    factor(terms[1], batch.length + 1, n, micro.columns),
  ] as const;
  return { kernel, batch, m, n, k, micro, factors, ...tileOf(product(batch), m, n, k, micro, threads) };
}

/** The largest tile that leaves enough of them to share, and equal passes over its steps. */
function tileOf(
  count: number,
  m: number,
  n: number,
  k: number,
  micro: MicroKernel,
  threads: number,
): { rows: number; columns: number; steps: number } {
  const cut = (extent: number, most: number, unit: number): number =>
    roundUp(Math.ceil(extent / Math.ceil(extent / most)), unit);
  let rows = cut(m, tileRows, micro.rows);
  let columns = cut(n, tileColumns, micro.columns);
  if (count * m * n * k >= worthSharing) {
    while (count * Math.ceil(m / rows) * Math.ceil(n / columns) < tilesPerThread * threads) {
      if (columns > rows && columns > micro.columns) columns = roundUp(columns / 2, micro.columns);
      else if (rows > micro.rows) rows = roundUp(rows / 2, micro.rows);
      else break;
    }
  }
  return { rows, columns, steps: cut(k, passSteps, 1) };
}

/** Adds the functions of a contraction to the module. */
export function defineContraction(
  library: Library,
  kernel: LoopKernel,
  name: string,
  target: Target,
): CompiledContraction {
  const contraction = contractionOf(kernel, target);
  const { factors } = contraction;
  const [pack, multiply] = [factors.map((factor) => definePack(library, factor)), name];
  if (staysPrivate(contraction)) {
    return { phases: [definePrivate(library, contraction, pack, multiply)], workspace: 0, panels: [] };
  }
  const second = roundUp(bytesOf(factors[0]), 64);
  const phases = factors.map((factor, i) => {
    const phase = `${name}p${i}`;
    library.module.define(
      kernelParameters,
      [],
      (f) => {
        const skipped = op('i32.mul', panelsBefore(factor, get(parameter.start)), i32(panelBytes(factor)));
        const to = op('i32.add', panelsAt(contraction, i), skipped);
        call(pack[i] as number, get(parameter.arguments), get(parameter.start), get(parameter.end), to)(f);
      },
      phase,
    );
    return { name: phase, units: matrices(factor) * packUnits(factor), cost: packCost(factor) };
  });
  return {
    phases: [...phases, defineTiles(library, contraction, multiply)],
    workspace: second + bytesOf(factors[1]),
    panels: factors.map((factor, i) => ({
      phase: i,
      kept: keptPanels(factor),
      offset: i === 0 ? 0 : second,
      bytes: bytesOf(factor),
    })),
  };
}

/** The input whose elements alone make up the factor, by an affine index, and a text that is equal for equal panels. */
function keptPanels(factor: Factor): { input: number; layout: string } | undefined {
  const { term, axis, stepAxis, extent, steps, width, inputs, batch } = factor;
  if (batch.length > 0 || term.op !== 'load') return undefined;
  const form = affine(term.args[0] as Expr, stepAxis + 1);
  if (!form) return undefined;
  const { dtype } = inputs[term.value] as BufferUse;
  const strides = [form.strides[axis], form.strides[stepAxis]];
  return { input: term.value, layout: `${dtype} ${[form.offset, ...strides, extent, steps, width].join()}` };
}

/** Whether every thread packs and multiplies matrices of its own: many small ones, of which none is used twice. */
function staysPrivate({ batch, factors }: Contraction): boolean {
  if (product(batch) < manyMatrices) return false;
  const each = factors.reduce((sum, factor) => sum + roundUp(factor.panels * panelBytes(factor), 64), 0);
  return each <= privateBytes && factors.every((factor) => factor.batch.length === batch.length);
}

/** The address of the panels of factor `i`: the words after the buffers' addresses. */
const panelsAt = ({ kernel }: Contraction, i: number): Code =>
  load('i32.load', get(parameter.arguments), (kernel.inputs.length + kernel.outputs.length + i) * 4);

// ---- Multiplication -------------------------------------------------------------------------------------------------

/** Units are tiles of the product, over all batches. */
function defineTiles(library: Library, contraction: Contraction, name: string): Phase {
  const { batch, m, n, factors, rows, columns } = contraction;
  const [tilesDown, tilesAcross] = [Math.ceil(m / rows), Math.ceil(n / columns)];
  library.module.define(
    kernelParameters,
    [],
    (f) => {
      const writer = new TileWriter(f, library, contraction);
      const bases = factors.map((_, i) => f.let('i32', panelsAt(contraction, i)));
      f.count(parameter.start, get(parameter.end), 1, () => {
        const tile = f.let('i32', op('i32.rem_u', get(parameter.start), i32(tilesDown * tilesAcross)));
        f.set(writer.matrix, op('i32.div_u', get(parameter.start), i32(tilesDown * tilesAcross)));
        f.set(writer.row, op('i32.mul', op('i32.div_u', get(tile), i32(tilesAcross)), i32(rows)));
        f.set(writer.column, op('i32.mul', op('i32.rem_u', get(tile), i32(tilesAcross)), i32(columns)));
        writer.tile((factor, batchLocals) => {
          const i = factors.indexOf(factor);
          const index = factor.batchAxes.reduce<Code>(
            (sum, a) => op('i32.add', op('i32.mul', sum, i32(batch[a] as number)), get(batchLocals[a] as Local)),
            i32(0),
          );
          const panel = op('i32.div_u', get(i === 0 ? writer.row : writer.column), i32(factor.width));
          const all = op('i32.add', op('i32.mul', index, i32(factor.panels)), panel);
          return op('i32.add', get(bases[i] as Local), op('i32.mul', all, i32(panelBytes(factor))));
        });
      });
    },
    name,
  );
  return { name, units: product(batch) * tilesDown * tilesAcross, cost: tileCost(contraction) };
}

/** Units are whole matrices: their panels lie in the thread's scratch memory, behind the tile. */
function definePrivate(library: Library, contraction: Contraction, pack: readonly number[], name: string): Phase {
  const { batch, m, n, factors, rows, columns } = contraction;
  const offsets = [tileBytes, tileBytes + roundUp(factors[0].panels * panelBytes(factors[0]), 64)];
  library.module.define(
    kernelParameters,
    [],
    (f) => {
      const writer = new TileWriter(f, library, contraction);
      const bases = offsets.map((offset) => f.let('i32', op('i32.add', get(parameter.scratch), i32(offset))));
      f.count(parameter.start, get(parameter.end), 1, () => {
        for (const [i, factor] of factors.entries()) {
          const units = packUnits(factor);
          const first = f.let('i32', op('i32.mul', get(parameter.start), i32(units)));
          const end = op('i32.add', get(first), i32(units));
          call(pack[i] as number, get(parameter.arguments), get(first), end, get(bases[i] as Local))(f);
        }
        f.set(writer.matrix, get(parameter.start));
        f.set(writer.row, i32(0));
        f.count(writer.row, i32(m), rows, () => {
          f.set(writer.column, i32(0));
          f.count(writer.column, i32(n), columns, () =>
            writer.tile((factor) => {
              const i = factors.indexOf(factor);
              const panel = op('i32.div_u', get(i === 0 ? writer.row : writer.column), i32(factor.width));
              return op('i32.add', get(bases[i] as Local), op('i32.mul', panel, i32(panelBytes(factor))));
            }),
          );
        });
      });
    },
    name,
  );
  const packing = factors.reduce((sum, factor) => sum + packCost(factor) * packUnits(factor), 0);
  const tiles = Math.ceil(m / rows) * Math.ceil(n / columns);
  return { name, units: product(batch), cost: tiles * tileCost(contraction) + packing };
}

function tileCost({ kernel, m, n, k, rows, columns }: Contraction): number {
  const epilogue = termCost(kernel.outputs.map((o) => o.value));
  return Math.min(rows, m) * Math.min(columns, n) * (k / 25 + epilogue + 0.3) + 50;
}

/** Writes the code of one tile: the product of its panels, and the outputs' values from it. */
class TileWriter {
  readonly f: FunctionBuilder;
  readonly contraction: Contraction;
  readonly emitter: ExpressionEmitter;
  readonly outputs: readonly Local[];
  readonly micro: number;
  /** Which tile: the matrix among all batches, and the first row and column in it. */
  readonly matrix: Local;
  readonly row: Local;
  readonly column: Local;

  constructor(f: FunctionBuilder, library: Library, contraction: Contraction) {
    const { kernel } = contraction;
    this.f = f;
    this.contraction = contraction;
    const addresses = loadArguments(f, kernel.inputs.length + kernel.outputs.length);
    const sources = kernel.inputs.map(({ dtype }, i) => ({ address: addresses[i] as Local, dtype }));
    this.emitter = new ExpressionEmitter(f, library, sources);
    this.outputs = addresses.slice(kernel.inputs.length);
    this.micro = defineMicroKernel(library, contraction.micro);
    [this.matrix, this.row, this.column] = [f.local('i32'), f.local('i32'), f.local('i32')];
  }

  /** `panels`: the address of a factor's first panel for the tile, given the batch axes' values. */
  tile(panels: (factor: Factor, batchLocals: readonly Local[]) => Code): void {
    const { f, emitter } = this;
    const { batch, m, n, rows, columns, factors } = this.contraction;
    emitter.scope(() => {
      const batchLocals = bindAxes(emitter, 0, batch.length);
      decode(f, get(this.matrix), batch, batchLocals);
      const rowEnd = f.let('i32', smaller(op('i32.add', get(this.row), i32(rows)), i32(m)));
      const columnEnd = f.let('i32', smaller(op('i32.add', get(this.column), i32(columns)), i32(n)));
      const [a, b] = factors.map((factor) => f.let('i32', panels(factor, batchLocals))) as [Local, Local];
      this.multiply(a, b, rowEnd, columnEnd);
      this.finish(rowEnd, columnEnd);
    });
  }

  /** The sums of the tile, in scratch memory. */
  private multiply(a: Local, b: Local, rowEnd: Local, columnEnd: Local): void {
    const { f } = this;
    const { factors, columns, steps, k } = this.contraction;
    const panelsUpTo = (from: Local, to: Local, { width }: Factor): Local =>
      f.let('i32', op('i32.div_u', op('i32.add', op('i32.sub', get(to), get(from)), i32(width - 1)), i32(width)));
    const down = panelsUpTo(this.row, rowEnd, factors[0]);
    const across = panelsUpTo(this.column, columnEnd, factors[1]);
    const [i, j, left, right, sums] = [f.local('i32'), f.local('i32'), f.local('i32'), f.local('i32'), f.local('i32')];
    const pass = (step: Code, count: Code, first: Code): void => {
      const stepsBefore = (factor: Factor): Code => op('i32.mul', step, i32(factor.width * 4));
      f.set(j, i32(0));
      f.set(right, op('i32.add', get(b), stepsBefore(factors[1])));
      f.count(j, get(across), 1, () => {
        f.set(i, i32(0));
        f.set(left, op('i32.add', get(a), stepsBefore(factors[0])));
        f.set(sums, op('i32.add', get(parameter.scratch), op('i32.mul', get(j), i32(factors[1].width * 4))));
        f.count(i, get(down), 1, () => {
          call(this.micro, get(left), get(right), get(sums), count, i32(columns * 4), first)(f);
          f.set(left, op('i32.add', get(left), i32(panelBytes(factors[0]))));
          f.set(sums, op('i32.add', get(sums), i32(factors[0].width * columns * 4)));
        });
        f.set(right, op('i32.add', get(right), i32(panelBytes(factors[1]))));
      });
    };
    if (steps >= k) {
      pass(i32(0), i32(k), i32(1));
      return;
    }
    const step = f.let('i32', i32(0));
    f.count(step, i32(k), steps, () => {
      const count = f.let('i32', smaller(op('i32.sub', i32(k), get(step)), i32(steps)));
      pass(get(step), get(count), op('i32.eqz', get(step)));
    });
  }

  /** The outputs' values, row by row. */
  private finish(rowEnd: Local, columnEnd: Local): void {
    const { f, emitter } = this;
    const { kernel, batch, m, n, columns } = this.contraction;
    const [rowAxis, columnAxis] = [batch.length, batch.length + 1];
    const values = kernel.outputs.map((output) => output.value);
    const x = f.local('i32');
    const row = f.let('i32', get(this.row));
    const tileRow = f.let('i32', op('i32.sub', get(parameter.scratch), op('i32.mul', get(this.column), i32(4))));
    emitter.hoist(values);
    f.count(row, get(rowEnd), 1, () =>
      emitter.scope(() => {
        emitter.bind(rowAxis, row);
        emitter.hoist(values);
        const linear = op('i32.mul', op('i32.add', op('i32.mul', get(this.matrix), i32(m)), get(row)), i32(n));
        const starts = this.outputs.map((address, o) => {
          const { bytes } = dtypes[(kernel.outputs[o] as LoopKernel['outputs'][number]).dtype];
          return f.let('i32', op('i32.add', get(address), op('i32.mul', linear, i32(bytes))));
        });
        const at = op('i32.add', get(tileRow), op('i32.mul', get(x), i32(4)));
        const sweep = (vectors: number): void => {
          const limit = f.let('i32', op('i32.sub', get(columnEnd), i32(4 * vectors - 1)));
          f.count(x, get(limit), 4 * vectors, () =>
            emitter.scope(() => {
              const binds = Array.from({ length: vectors }, (_, i) => () => {
                emitter.bindLanes(columnAxis, x, 4 * i);
                emitter.bindAccumulator(f.let('v128', load('v128.load', at, 16 * i)), true);
              });
              storeOutputs(emitter, kernel.outputs, starts, x, binds);
            }),
          );
        };
        f.set(x, get(this.column));
        if (n >= 8) sweep(2);
        sweep(1);
        f.count(x, get(columnEnd), 1, () =>
          emitter.scope(() => {
            emitter.bind(columnAxis, x);
            emitter.bindAccumulator(f.let('f32', load('f32.load', at)), false);
            storeOutputs(emitter, kernel.outputs, starts, x, undefined);
          }),
        );
        f.set(tileRow, op('i32.add', get(tileRow), i32(columns * 4)));
      }),
    );
  }
}
