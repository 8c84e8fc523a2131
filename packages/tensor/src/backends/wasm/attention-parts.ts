/** What attention and its gradients are written with: private memory, panels of a head, and products of panels. */
import type { AttentionKernel, MatrixUse } from '../../compile/attention-kernel.ts';
import { type Code, call, type FunctionBuilder, get, i32, type Local, op, smaller } from './assembler.ts';
import type { Visibility } from './attention-softmax.ts';
import { roundUp } from './axes.ts';
import { parameter } from './loop.ts';

/** The register tile of the engine, and the index of its micro-kernel. */
export interface Tile {
  readonly rows: number;
  readonly columns: number;
  readonly multiply: number;
}

/** Pieces of private memory, one after the other. */
export class ScratchLayout {
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  /** The offset of `count` floats. */
  take(count: number): number {
    const offset = this.#bytes;
    this.#bytes += roundUp(count * 4, 64);
    return offset;
  }
}

/** The address at `offset` of the thread's private memory. */
export const scratchAt = (offset: number, bytes?: Code): Code => {
  const address = op('i32.add', get(parameter.scratch), i32(offset));
  return bytes ? op('i32.add', address, bytes) : address;
};

export const visibilityOf = ({ mask, inputs, causal }: AttentionKernel): Visibility => ({
  mask: mask === undefined ? 'none' : inputs[mask.buffer]?.dtype === 'bool' ? 'boolean' : 'added',
  causal,
});

/** What computes one unit of work, given where its head's matrices begin. */
export interface HeadWriter {
  /** Nanoseconds for a whole head, roughly. */
  readonly cost: number;
  /** Bytes of private memory. */
  readonly scratch: number;
  /** Code that runs once, before the units. */
  prepare(f: FunctionBuilder): void;
  /** Code for rows of queries from `first` to `end` - 1. */
  write(f: FunctionBuilder, at: (use: MatrixUse, result?: boolean) => Local, first: Local, end: Local): void;
}

/** Runs `body` for 0 to `count` - 1. */
export function repeat(f: FunctionBuilder, count: Code, body: (i: Local) => void): void {
  const end = f.let('i32', count);
  const i = f.let('i32', i32(0));
  f.count(i, get(end), 1, () => body(i));
}

/** base + index · factor. */
export const plus = (base: Code, index: Code, factor: number): Code =>
  op('i32.add', base, op('i32.mul', index, i32(factor)));

/** Keys that the queries up to `query` + `columns` - 1 see at most. */
export const keysFor = ({ causal, keys }: AttentionKernel, query: Local, columns: number): Code =>
  causal ? smaller(op('i32.add', get(query), i32(columns)), i32(keys)) : i32(keys);

/** Panels of `rows` rows that hold `count` of them. */
export const panelsOf = (count: Code, rows: number): Code =>
  op('i32.div_u', op('i32.add', count, i32(rows - 1)), i32(rows));

/** Products with panels of `steps` · tile.rows floats from `a` on: panel p fills rows p·tile.rows and on of `c`. */
export function multiplyPanels(
  f: FunctionBuilder,
  { rows, columns, multiply }: Tile,
  panels: Code,
  { a, stride, b, c, steps, first = i32(1) }: { a: Code; stride: Code; b: Code; c: Code; steps: Code; first?: Code },
): void {
  const [left, right, to] = [f.let('i32', a), f.let('i32', b), f.let('i32', c)];
  repeat(f, panels, () => {
    call(multiply, get(left), get(right), get(to), steps, i32(columns * 4), first)(f);
    f.set(left, op('i32.add', get(left), stride));
    f.set(to, op('i32.add', get(to), i32(rows * columns * 4)));
  });
}

/** Packs the rows of a matrix, all of `count` of them, into panels of tile.rows rows by `steps` columns. */
export function packRows(
  f: FunctionBuilder,
  pack: number,
  { rows }: Tile,
  {
    to,
    from,
    count,
    steps,
    stride,
    zeros,
  }: { to: number; from: Local; count: number; steps: number; stride: number; zeros: number },
): void {
  repeat(f, i32(Math.ceil(count / rows)), (p) => {
    const present = op('i32.sub', i32(count), op('i32.mul', get(p), i32(rows)));
    const source = plus(get(from), get(p), rows * stride * 4);
    const target = scratchAt(to, op('i32.mul', get(p), i32(rows * steps * 4)));
    call(pack, target, source, i32(steps), present, i32(stride * 4), scratchAt(zeros))(f);
  });
}

/** Multiplications and additions in a nanosecond, and nanoseconds for the softmax of one score and for packing one element. */
export const rates = { multiply: 25, softmax: 1.2, pack: 0.5 } as const;
