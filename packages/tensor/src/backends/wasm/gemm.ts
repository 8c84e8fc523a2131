/**
 * Contractions: both factors are packed into panels by evaluating their terms, a register-tiled micro-kernel
 * multiplies panels into a tile of the product, and the outputs' values are computed from the tile while it is hot.
 */
import type { Kernel, LoopKernel } from '../../compile/kernel.ts';
import { dtypes } from '../../dtype.ts';
import type { Expr } from '../../expr/expr.ts';
import { type Code, call, type FunctionBuilder, f32, get, i32, type Local, load, op } from './assembler.ts';
import { product } from './axes.ts';
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
import { defineMicroKernel, mr, nr } from './micro-kernel.ts';

/** Most rows, columns and steps that one tile of the product takes up at a time: its panels stay in the caches. */
const tileRows = 100;
const tileColumns = 128;
const tileSteps = 384;

/** Bytes of private memory of a thread: one tile of the product. */
export const scratchBytes: number = (tileRows + 8) * (tileColumns + 8) * 4;

const roundUp = (n: number, unit: number): number => Math.ceil(n / unit) * unit;

/** Whether a kernel is a contraction large enough in every direction to be worth packing. */
export function isContraction(kernel: Kernel): kernel is LoopKernel {
  if (kernel.kind !== 'loop' || !kernel.reduce?.factors) return false;
  const [m, n] = kernel.shape.slice(-2) as [number, number];
  return Math.min(m, n, kernel.reduce.extent[0] as number) >= 4;
}

/** A factor of the product: its term, its own axis, and how its panels are laid out in the workspace. */
interface Side {
  readonly term: Expr;
  /** The position of its row (M) or column (N) axis, and that axis' extent. */
  readonly axis: number;
  readonly extent: number;
  /** Rows or columns of one panel, and the number of panels. */
  readonly width: number;
  readonly panels: number;
  /** Batch axes that the term depends on: it is packed once for all values of the others. */
  readonly batchAxes: readonly number[];
  /** First byte of its panels in the workspace. */
  readonly offset: number;
}

interface Contraction {
  readonly kernel: LoopKernel;
  readonly batch: readonly number[];
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly sides: readonly [Side, Side];
  /** Rows and columns of one tile, in whole panels. */
  readonly rows: number;
  readonly columns: number;
}

/** Adds the three functions of a contraction to the module: pack the first factor, pack the second, multiply. */
export function defineContraction(
  library: Library,
  kernel: LoopKernel,
  name: string,
  relaxed: boolean,
): { phases: Phase[]; workspace: number } {
  const batch = kernel.shape.slice(0, -2);
  const [m, n] = kernel.shape.slice(-2) as [number, number];
  const k = kernel.reduce?.extent[0] as number;
  const factors = kernel.reduce?.factors as readonly [Expr, Expr];
  const side = (term: Expr, axis: number, extent: number, width: number, offset: number): Side => ({
    term,
    axis,
    extent,
    width,
    panels: Math.ceil(extent / width),
    batchAxes: batch.flatMap((_, i) => (depends(term) & (1 << i) ? [i] : [])),
    offset,
  });
  const bytes = ({ batchAxes, panels, width }: Side): number =>
    product(batchAxes.map((i) => batch[i] as number)) * panels * width * k * 4;
  const first = side(factors[0], batch.length, m, mr, 0);
  const second = side(factors[1], batch.length + 1, n, nr, roundUp(bytes(first), 64));
  const contraction: Contraction = {
    kernel,
    batch,
    m,
    n,
    k,
    sides: [first, second],
    rows: roundUp(Math.ceil(m / Math.ceil(m / tileRows)), mr),
    columns: roundUp(Math.ceil(n / Math.ceil(n / tileColumns)), nr),
  };
  const packs = [first, second].map((s, i) => definePack(library, contraction, s, `${name}p${i}`));
  const workspace = second.offset + bytes(second);
  return { phases: [...packs, defineMultiply(library, contraction, `${name}m`, relaxed)], workspace };
}

const workspaceAddress = ({ kernel }: Contraction): Code =>
  load('i32.load', get(parameter.arguments), (kernel.inputs.length + kernel.outputs.length) * 4);

function makeEmitter(
  f: FunctionBuilder,
  library: Library,
  { kernel }: Contraction,
): { emitter: ExpressionEmitter; outputs: Local[] } {
  const addresses = loadArguments(f, kernel.inputs.length + kernel.outputs.length);
  const sources = kernel.inputs.map(({ dtype }, i) => ({ address: addresses[i] as Local, dtype }));
  return { emitter: new ExpressionEmitter(f, library, sources), outputs: addresses.slice(kernel.inputs.length) };
}

// ---- Packing --------------------------------------------------------------------------------------------------------

/** Units are panels: K groups of `width` elements. Rows past the end are zeros. */
function definePack(library: Library, contraction: Contraction, side: Side, name: string): Phase {
  const { batch, k } = contraction;
  const { term, axis, extent, width, panels, batchAxes } = side;
  const batches = batchAxes.map((i) => batch[i] as number);
  const stepAxis = batch.length + 2;
  library.module.define(
    kernelParameters,
    [],
    (f) => {
      const { emitter } = makeEmitter(f, library, contraction);
      const workspace = f.let('i32', op('i32.add', workspaceAddress(contraction), i32(side.offset)));
      const [step, row] = [f.local('i32'), f.local('i32')];
      f.count(parameter.start, get(parameter.end), 1, () =>
        emitter.scope(() => {
          const unit = get(parameter.start);
          const to = f.let('i32', op('i32.add', get(workspace), op('i32.mul', unit, i32(k * width * 4))));
          const first = f.let('i32', op('i32.mul', op('i32.rem_u', unit, i32(panels)), i32(width)));
          const locals = batchAxes.map((position) => {
            const local = f.local('i32');
            emitter.bind(position, local);
            return local;
          });
          decode(f, op('i32.div_u', unit, i32(panels)), batches, locals);
          emitter.hoist([term]);
          const element = (offset: number, lanes: boolean): void =>
            emitter.scope(() => {
              const position = offset === 0 ? first : f.let('i32', op('i32.add', get(first), i32(offset)));
              if (lanes) emitter.bindLanes(axis, position);
              else emitter.bind(axis, position);
              const address = op('i32.add', get(to), i32(offset * 4));
              if (lanes) emitter.storeVector('f32', address, emitter.vector(term));
              else emitter.storeScalar('f32', address, emitter.scalar(term));
            });
          const whole = (): void => {
            f.set(step, i32(0));
            emitter.scope(() => {
              emitter.bind(stepAxis, step);
              f.count(step, i32(k), 1, () => {
                let offset = 0;
                for (; offset + 4 <= width; offset += 4) element(offset, true);
                for (; offset < width; offset++) element(offset, false);
                f.set(to, op('i32.add', get(to), i32(width * 4)));
              });
            });
          };
          const edge = (): void => {
            const end = f.let('i32', op('i32.add', get(first), i32(width)));
            const address = f.local('i32');
            f.set(row, get(first));
            f.count(row, get(end), 1, () => {
              f.set(step, i32(0));
              f.set(address, get(to));
              const inside = op('i32.lt_s', get(row), i32(extent));
              const column = (store: () => void): void =>
                f.count(step, i32(k), 1, () => {
                  store();
                  f.set(address, op('i32.add', get(address), i32(width * 4)));
                });
              f.when(
                inside,
                () =>
                  emitter.scope(() => {
                    emitter.bind(axis, row);
                    emitter.hoist([term]);
                    emitter.bind(stepAxis, step);
                    column(() => emitter.scope(() => emitter.storeScalar('f32', get(address), emitter.scalar(term))));
                  }),
                () => column(() => f.store('f32.store', get(address), f32(0))),
              );
              f.set(to, op('i32.add', get(to), i32(4)));
            });
          };
          if (extent % width === 0) whole();
          else f.when(op('i32.le_s', op('i32.add', get(first), i32(width)), i32(extent)), whole, edge);
        }),
      );
    },
    name,
  );
  return { name, units: product(batches) * panels, cost: (termCost([term]) + 0.2) * width * k + 20 };
}

// ---- Multiplication -------------------------------------------------------------------------------------------------

/** Units are tiles of the product, over all batches. */
function defineMultiply(library: Library, contraction: Contraction, name: string, relaxed: boolean): Phase {
  const { kernel, batch, m, n, k, sides, rows, columns } = contraction;
  const [tilesDown, tilesAcross] = [Math.ceil(m / rows), Math.ceil(n / columns)];
  const micro = defineMicroKernel(library, relaxed);
  library.module.define(
    kernelParameters,
    [],
    (f) => {
      const { emitter, outputs } = makeEmitter(f, library, contraction);
      const workspace = f.let('i32', workspaceAddress(contraction));
      const local = (): Local => f.local('i32');
      const [step, steps, i, j, iEnd, jEnd] = [local(), local(), local(), local(), local(), local()];
      f.count(parameter.start, get(parameter.end), 1, () =>
        emitter.scope(() => {
          const tile = f.let('i32', op('i32.rem_u', get(parameter.start), i32(tilesDown * tilesAcross)));
          const batchIndex = f.let('i32', op('i32.div_u', get(parameter.start), i32(tilesDown * tilesAcross)));
          const batchLocals = bindAxes(emitter, 0, batch.length);
          decode(f, get(batchIndex), batch, batchLocals);
          const row = f.let('i32', op('i32.mul', op('i32.div_u', get(tile), i32(tilesAcross)), i32(rows)));
          const column = f.let('i32', op('i32.mul', op('i32.rem_u', get(tile), i32(tilesAcross)), i32(columns)));
          const [rowEnd, columnEnd] = [
            f.let('i32', smaller(op('i32.add', get(row), i32(rows)), m)),
            f.let('i32', smaller(op('i32.add', get(column), i32(columns)), n)),
          ];
          const panels = sides.map((side, s) => {
            const index = side.batchAxes.reduce<Code>(
              (sum, a) => op('i32.add', op('i32.mul', sum, i32(batch[a] as number)), get(batchLocals[a] as Local)),
              i32(0),
            );
            const panel = op('i32.div_u', get(s === 0 ? row : column), i32(side.width));
            const all = op('i32.add', op('i32.mul', index, i32(side.panels)), panel);
            const bytes = op('i32.mul', all, i32(side.width * k * 4));
            return f.let('i32', op('i32.add', op('i32.add', get(workspace), i32(side.offset)), bytes));
          }) as [Local, Local];
          const count = (from: Local, to: Local, width: number): Code =>
            op('i32.div_u', op('i32.add', op('i32.sub', get(to), get(from)), i32(width - 1)), i32(width));
          f.set(iEnd, count(row, rowEnd, mr));
          f.set(jEnd, count(column, columnEnd, nr));
          f.set(step, i32(0));
          f.count(step, i32(k), tileSteps, () => {
            f.set(steps, smaller(op('i32.sub', i32(k), get(step)), tileSteps));
            f.set(j, i32(0));
            f.count(j, get(jEnd), 1, () => {
              const b = panelAt(panels[1], j, step, nr, k);
              const bLocal = f.let('i32', b);
              f.set(i, i32(0));
              f.count(i, get(iEnd), 1, () => {
                const inTile = op('i32.add', op('i32.mul', get(i), i32(mr * columns)), op('i32.mul', get(j), i32(nr)));
                const c = op('i32.add', get(parameter.scratch), op('i32.mul', inTile, i32(4)));
                const first = op('i32.eqz', get(step));
                call(micro, panelAt(panels[0], i, step, mr, k), get(bLocal), c, get(steps), i32(columns * 4), first)(f);
              });
            });
          });
          finishTile(f, emitter, contraction, outputs, { batchIndex, row, rowEnd, column, columnEnd });
        }),
      );
    },
    name,
  );
  const epilogue = termCost(kernel.outputs.map((o) => o.value));
  const units = product(batch) * tilesDown * tilesAcross;
  return { name, units, cost: Math.min(rows, m) * Math.min(columns, n) * (k / 25 + epilogue + 0.3) + 50 };
}

const smaller = (a: Code, bound: number): Code => op('select', a, i32(bound), op('i32.lt_s', a, i32(bound)));

/** The address of panel `index` after `base`, from step `step` on. */
function panelAt(base: Local, index: Local, step: Local, width: number, k: number): Code {
  const elements = op('i32.add', op('i32.mul', get(index), i32(k * width)), op('i32.mul', get(step), i32(width)));
  return op('i32.add', get(base), op('i32.mul', elements, i32(4)));
}

interface TileBounds {
  readonly batchIndex: Local;
  readonly row: Local;
  readonly rowEnd: Local;
  readonly column: Local;
  readonly columnEnd: Local;
}

/** Computes the outputs of a finished tile, row by row. */
function finishTile(
  f: FunctionBuilder,
  emitter: ExpressionEmitter,
  { kernel, batch, m, n, columns }: Contraction,
  outputs: readonly Local[],
  { batchIndex, row, rowEnd, column, columnEnd }: TileBounds,
): void {
  const [rowAxis, columnAxis] = [batch.length, batch.length + 1];
  const values = kernel.outputs.map((output) => output.value);
  const x = f.local('i32');
  const limit = f.let('i32', op('i32.sub', get(columnEnd), i32(3)));
  const tileRow = f.let('i32', op('i32.sub', get(parameter.scratch), op('i32.mul', get(column), i32(4))));
  emitter.hoist(values);
  f.count(row, get(rowEnd), 1, () =>
    emitter.scope(() => {
      emitter.bind(rowAxis, row);
      emitter.hoist(values);
      const linear = op('i32.mul', op('i32.add', op('i32.mul', get(batchIndex), i32(m)), get(row)), i32(n));
      const starts = outputs.map((address, o) => {
        const { bytes } = dtypes[(kernel.outputs[o] as LoopKernel['outputs'][number]).dtype];
        return f.let('i32', op('i32.add', get(address), op('i32.mul', linear, i32(bytes))));
      });
      const element = (lanes: boolean): void =>
        emitter.scope(() => {
          const address = op('i32.add', get(tileRow), op('i32.mul', get(x), i32(4)));
          const product = lanes ? f.let('v128', load('v128.load', address)) : f.let('f32', load('f32.load', address));
          if (lanes) emitter.bindLanes(columnAxis, x);
          else emitter.bind(columnAxis, x);
          emitter.bindAccumulator(product, lanes);
          storeOutputs(emitter, kernel.outputs, starts, x, lanes);
        });
      f.set(x, get(column));
      f.count(x, get(limit), 4, () => element(true));
      f.count(x, get(columnEnd), 1, () => element(false));
      f.set(tileRow, op('i32.add', get(tileRow), i32(columns * 4)));
    }),
  );
}
