/**
 * Packing a factor of a contraction: its rows (or columns) are cut into panels of the micro-kernel's width, and a panel
 * holds, step by step, its elements side by side, as the micro-kernel reads them. Elements are computed from the
 * factor's term on the way. Past the last row there are zeros.
 */
import type { BufferUse } from '../../compile/kernel.ts';
import { type Expr, walk } from '../../expr/expr.ts';
import { type Code, type FunctionBuilder, f32, f32x4, get, i32, type Local, op, shuffle } from './assembler.ts';
import { roundUp } from './axes.ts';
import { ExpressionEmitter, strideAlong } from './expression.ts';
import { storeLane, transpose4 } from './lanes.ts';
import type { Library } from './library.ts';
import { decode, loadArguments, termCost } from './loop.ts';

/** A factor of a contraction, and how its panels are laid out. */
export interface Factor {
  readonly term: Expr;
  /** The kernel's inputs, which the term loads from. */
  readonly inputs: readonly BufferUse[];
  /** The position of its row (or column) axis, and that axis' extent. */
  readonly axis: number;
  readonly extent: number;
  /** The position of the axis that is summed over, and its extent. */
  readonly stepAxis: number;
  readonly steps: number;
  /** Rows or columns of one panel, and the number of panels of one matrix. */
  readonly width: number;
  readonly panels: number;
  /** Batch axes that the term depends on, with their extents: it is packed once for all values of the others. */
  readonly batchAxes: readonly number[];
  readonly batch: readonly number[];
}

/**
 * Bytes from one panel to the next: an odd number of cache lines, so that panels which are read or written together do
 * not fall on the same sets of a cache.
 */
export const panelBytes = ({ width, steps }: Factor): number => (Math.ceil((width * steps * 4) / 64) | 1) * 64;

/**
 * Panels that are filled together where a step's elements lie side by side: they share the cache lines they read, and
 * their loads fit into the registers of an engine that moves all of them to the front.
 */
const groupPanels = 4;

/** Panels of one unit of packing; the last one of a matrix may have fewer. */
const groupOf = (factor: Factor): number => (lies(factor) === 'along' ? 1 : groupPanels);

/** Units of packing of one matrix. */
export const packUnits = (factor: Factor): number => Math.ceil(factor.panels / groupOf(factor));

/** Nanoseconds that a unit of packing takes, roughly. */
export const packCost = (factor: Factor): number => {
  const each = (termCost([factor.term]) + (lies(factor) === 'scattered' ? 0.7 : 0.2)) * factor.width * factor.steps;
  return each * Math.min(groupOf(factor), factor.panels) + 20;
};

/** How many panels lie before those of a unit of packing. */
export function panelsBefore(factor: Factor, unit: Code): Code {
  const units = packUnits(factor);
  const whole = op('i32.mul', op('i32.div_u', unit, i32(units)), i32(factor.panels));
  return op('i32.add', whole, op('i32.mul', op('i32.rem_u', unit, i32(units)), i32(groupOf(factor))));
}

/** Whether a factor's elements lie side by side along its own axis or along the one that is summed over. */
function lies({ term, axis, stepAxis }: Factor): 'across' | 'along' | 'scattered' {
  let [across, along] = [true, true];
  const near = (stride: number | undefined): boolean => stride === 0 || stride === 1;
  walk(term, (e) => {
    if (e.op !== 'load') return;
    across &&= near(strideAlong(e, axis));
    along &&= near(strideAlong(e, stepAxis));
  });
  return across ? 'across' : along ? 'along' : 'scattered';
}

/** Adds the function pack(arguments, start, end, to): writes the panels of the units `start` to before `end` at `to`. */
export function definePack(library: Library, factor: Factor): number {
  return library.module.define(['i32', 'i32', 'i32', 'i32'], [], (f) => {
    const addresses = loadArguments(f, factor.inputs.length);
    const sources = factor.inputs.map(({ dtype }, i) => ({ address: addresses[i] as Local, dtype }));
    const writer = new PackWriter(f, () => new ExpressionEmitter(f, library, sources), factor);
    if (lies(factor) === 'along') writer.along();
    else writer.across();
  });
}

const [start, end, to] = [1, 2, 3];

class PackWriter {
  readonly f: FunctionBuilder;
  readonly emitter: () => ExpressionEmitter;
  readonly factor: Factor;
  /** The first row of the panel at hand. */
  readonly first: Local;
  /** The values of the batch axes. */
  readonly batch: readonly Local[];

  constructor(f: FunctionBuilder, emitter: () => ExpressionEmitter, factor: Factor) {
    this.f = f;
    this.emitter = emitter;
    this.factor = factor;
    this.first = f.local('i32');
    this.batch = factor.batchAxes.map(() => f.local('i32'));
  }

  private locate(): void {
    const { f, factor } = this;
    const units = packUnits(factor);
    const rows = groupOf(factor) * factor.width;
    f.set(this.first, op('i32.mul', op('i32.rem_u', get(start), i32(units)), i32(rows)));
    decode(f, op('i32.div_u', get(start), i32(units)), factor.batch, this.batch);
  }

  private bound(): ExpressionEmitter {
    const emitter = this.emitter();
    for (const [i, axis] of this.factor.batchAxes.entries()) emitter.bind(axis, this.batch[i] as Local);
    return emitter;
  }

  // ---- Elements of a step side by side ------------------------------------------------------------------------------

  /** Step by step, a group of panels at a time. */
  across(): void {
    const { f, factor } = this;
    const { extent, width, panels } = factor;
    const lastPanels = panels % groupPanels || groupPanels;
    const lastRows = extent - (panels - lastPanels) * width;
    const pack = (rows: number) => (): void => {
      if (factor.term.op === 'load') this.plainGroup(rows);
      else this.group(rows);
      f.set(to, op('i32.add', get(to), i32(Math.ceil(rows / width) * panelBytes(factor))));
    };
    f.count(start, get(end), 1, () => {
      this.locate();
      const fullRows = groupPanels * width;
      if (lastRows === fullRows) pack(fullRows)();
      else if (panels <= groupPanels) pack(lastRows)();
      else f.when(op('i32.le_s', get(this.first), i32(extent - fullRows)), pack(fullRows), pack(lastRows));
    });
  }

  /** A group of `rows` rows of plain elements, without a loop over them: most of packing is of this kind. */
  private plainGroup(rows: number): void {
    const { f, factor } = this;
    const { width, axis, stepAxis, steps, term } = factor;
    const line = f.let('i32', get(to));
    const step = f.let('i32', i32(0));
    const stores: (() => void)[] = [];
    for (let row = 0; row < roundUp(rows, width); ) {
      const inPanel = row % width;
      const offset = Math.floor(row / width) * panelBytes(factor) + inPanel * 4;
      const lanes = inPanel + 4 <= width && row + 4 <= rows;
      if (row < rows) {
        const emitter = this.bound();
        const at = f.let('i32', op('i32.add', get(this.first), i32(row)));
        if (lanes) emitter.bindLanes(axis, at);
        else emitter.bind(axis, at);
        emitter.hoist([term]);
        emitter.bind(stepAxis, step);
        stores.push(() =>
          emitter.scope(() => {
            if (lanes) f.store('v128.store', get(line), emitter.vector(term), offset);
            else f.store('f32.store', get(line), emitter.scalar(term), offset);
          }),
        );
      } else stores.push(() => f.store('f32.store', get(line), f32(0), offset));
      row += lanes ? 4 : 1;
    }
    f.count(step, i32(steps), 1, () => {
      for (const store of stores) store();
      f.set(line, op('i32.add', get(line), i32(width * 4)));
    });
  }

  /** A group of `rows` rows of any elements. */
  private group(rows: number): void {
    const { f, factor } = this;
    const { width, axis, stepAxis, steps, term } = factor;
    const emitter = this.bound();
    const whole = rows - (rows % width);
    const line = f.let('i32', get(to));
    const step = f.let('i32', i32(0));
    const row = f.local('i32');
    const rowEnd = f.let('i32', op('i32.add', get(this.first), i32(whole)));
    const target = f.local('i32');
    emitter.hoist([term]);
    emitter.bind(stepAxis, step);
    f.count(step, i32(steps), 1, () =>
      emitter.scope(() => {
        emitter.hoist([term]);
        f.set(row, get(this.first));
        f.set(target, get(line));
        f.count(row, get(rowEnd), width, () => {
          this.panelStep(emitter, axis, row, target, width);
          f.set(target, op('i32.add', get(target), i32(panelBytes(factor))));
        });
        if (whole < rows) {
          f.set(row, get(rowEnd));
          this.panelStep(emitter, axis, row, target, rows - whole);
        }
        f.set(line, op('i32.add', get(line), i32(width * 4)));
      }),
    );
  }

  /** Stores a panel's elements of one step; those from `valid` on are zeros. */
  private panelStep(emitter: ExpressionEmitter, axis: number, row: Local, target: Local, valid: number): void {
    const { f, factor } = this;
    const { width, term } = factor;
    for (let i = 0; i < width; ) {
      const lanes = i + 4 <= Math.min(width, valid);
      const offset = i;
      emitter.scope(() => {
        const at = offset === 0 ? row : f.let('i32', op('i32.add', get(row), i32(offset)));
        if (lanes) {
          emitter.bindLanes(axis, at);
          f.store('v128.store', get(target), emitter.vector(term), offset * 4);
          return;
        }
        emitter.bind(axis, at);
        f.store('f32.store', get(target), offset < valid ? emitter.scalar(term) : f32(0), offset * 4);
      });
      i += lanes ? 4 : 1;
    }
  }

  // ---- Elements of a row side by side -------------------------------------------------------------------------------

  /** Panel by panel, four rows at a time by four steps: a transposition in registers. */
  along(): void {
    const { f, factor } = this;
    const { extent, width } = factor;
    f.count(start, get(end), 1, () => {
      this.locate();
      const panel = (valid: number) => (): void => {
        for (let row = 0; row < width; row += 4) this.rows(row, Math.min(4, width - row), valid - row);
      };
      if (extent % width === 0) panel(width)();
      else {
        const isWhole = op('i32.le_s', get(this.first), i32(extent - width));
        f.when(isWhole, panel(width), panel(extent % width));
      }
      f.set(to, op('i32.add', get(to), i32(panelBytes(factor))));
    });
  }

  /** The `count` rows of a panel from `offset` on, of which `valid` are there. */
  private rows(offset: number, count: number, valid: number): void {
    const { f, factor } = this;
    const { steps, stepAxis, axis, term, width } = factor;
    const rows = Array.from({ length: Math.max(0, Math.min(count, valid)) }, (_, i) => {
      const emitter = this.bound();
      emitter.bind(axis, f.let('i32', op('i32.add', get(this.first), i32(offset + i))));
      emitter.hoist([term]);
      return emitter;
    });
    const line = f.let('i32', op('i32.add', get(to), i32(offset * 4)));
    const step = f.let('i32', i32(0));
    const zero = f.let('v128', f32x4(0));
    f.count(step, i32(steps - 3), 4, () => {
      const vectors = Array.from({ length: count }, (_, i) => {
        const emitter = rows[i];
        if (!emitter) return zero;
        return emitter.scope(() => {
          emitter.bindLanes(stepAxis, step);
          return f.let('v128', emitter.vector(term));
        });
      });
      this.storeTransposed(vectors, line, width * 4);
      f.set(line, op('i32.add', get(line), i32(width * 16)));
    });
    f.count(step, i32(steps), 1, () => {
      for (let i = 0; i < count; i++) {
        const emitter = rows[i];
        if (!emitter) {
          f.store('f32.store', get(line), f32(0), i * 4);
          continue;
        }
        emitter.scope(() => {
          emitter.bind(stepAxis, step);
          f.store('f32.store', get(line), emitter.scalar(term), i * 4);
        });
      }
      f.set(line, op('i32.add', get(line), i32(width * 4)));
    });
  }

  /** Stores lane i of every vector side by side at `line` + i·stride. */
  private storeTransposed(vectors: readonly Local[], line: Local, stride: number): void {
    const { f } = this;
    const [a, b, c, d] = vectors as [Local, Local?, Local?, Local?];
    const lanes = [0, 1, 2, 3];
    if (d !== undefined) {
      for (const [i, step] of transpose4(f, vectors.map(get)).entries()) {
        f.store('v128.store', get(line), step, i * stride);
      }
      return;
    }
    const single = (vector: Local, offset: number): void => {
      for (const i of lanes) storeLane(f, 'v128.store32_lane', get(line), vector, i, i * stride + offset);
    };
    if (b === undefined) {
      single(a, 0);
      return;
    }
    const low = f.let('v128', shuffle(get(a), get(b), [0, 4, 1, 5]));
    const high = f.let('v128', shuffle(get(a), get(b), [2, 6, 3, 7]));
    for (const i of lanes) storeLane(f, 'v128.store64_lane', get(line), i < 2 ? low : high, i % 2, i * stride);
    if (c !== undefined) single(c, 8);
  }
}
