/**
 * The innermost loop of a contraction: a tile of sums held in registers. Which tile is fastest depends on how many
 * registers the engine gives away, on whether it multiplies and adds in one instruction, and on whether it joins
 * neighbouring vectors to one of twice the width; so there are several, and the engine is asked by timing them.
 */
import { type Code, type FunctionBuilder, get, i32, type Local, load, op, shuffle } from './assembler.ts';
import type { Library } from './library.ts';

export interface MicroKernel {
  /** Rows of the tile: elements of a panel of the first factor. */
  readonly rows: number;
  /** Columns of the tile, in whole vectors: elements of a panel of the second factor. */
  readonly columns: number;
  /** How an element of the first factor gets into all lanes: loaded there, or by a shuffle of four loaded at once. */
  readonly broadcast: 'load' | 'shuffle';
  /** Whether f32x4.relaxed_madd is used. Sums round once per step with it, twice without. */
  readonly relaxed: boolean;
}

const tile = (rows: number, columns: number, broadcast: MicroKernel['broadcast'], relaxed: boolean): MicroKernel => ({
  rows,
  columns,
  broadcast,
  relaxed,
});

/**
 * The tiles, by whether the engine has relaxed SIMD. Those of one kind add the same terms in the same order, so that
 * the choice among them never changes a result.
 */
export const microKernels: { readonly relaxed: readonly MicroKernel[]; readonly plain: readonly MicroKernel[] } = {
  relaxed: [tile(5, 8, 'shuffle', true), tile(6, 8, 'load', true), tile(6, 16, 'load', true)],
  plain: [tile(4, 8, 'load', false), tile(4, 16, 'load', false)],
};

/**
 * The tiles that may be the fastest on an engine. V8 before version 12.5 (Node 22 and earlier) has 15 registers to give
 * away and loads what a step needs at its head: 5 x 8 with shuffles fits there, and more is kept in memory at a third of
 * the speed. Later versions keep 6 x 8 in registers, and 6 x 16 where they join vectors to 256 bits.
 */
export function candidates(
  relaxed: boolean,
  joinsVectors: boolean,
  nodeMajor: number | undefined,
): readonly MicroKernel[] {
  const all = relaxed ? microKernels.relaxed : microKernels.plain;
  if (nodeMajor !== undefined && nodeMajor < 24) return all.slice(0, 1);
  return joinsVectors ? all.slice(-2) : all.slice(0, relaxed ? 2 : 1);
}

export const nameOf = ({ rows, columns, broadcast, relaxed }: MicroKernel): string =>
  `multiply${rows}x${columns}${broadcast}${relaxed ? 'Relaxed' : ''}`;

/**
 * micro(a, b, c, steps, stride, first): c[i][j] = Σ a[k][i]·b[k][j] over `steps` steps, added to what is there unless
 * `first`; rows of c are `stride` bytes apart.
 */
export function defineMicroKernel(library: Library, kernel: MicroKernel): number {
  return library.define(nameOf(kernel), {
    parameters: ['i32', 'i32', 'i32', 'i32', 'i32', 'i32'],
    results: [],
    write: (f) => writeMicroKernel(f, kernel),
  });
}

function writeMicroKernel(f: FunctionBuilder, { rows, columns, broadcast, relaxed }: MicroKernel): void {
  const [a, b, c, steps, stride, first] = [0, 1, 2, 3, 4, 5];
  const vectors = columns / 4;
  const sums = Array.from({ length: rows * vectors }, () => f.local('v128'));
  const multiplyAdd = (x: Code, y: Code, sum: Code): Code =>
    relaxed ? op('f32x4.relaxed_madd', x, y, sum) : op('f32x4.add', sum, op('f32x4.mul', x, y));
  const step = f.let('i32', i32(0));
  f.count(step, get(steps), 1, () => {
    const right = Array.from({ length: vectors }, (_, j) => f.let('v128', load('v128.load', get(b), j * 16)));
    const left = broadcast === 'shuffle' ? f.let('v128', load('v128.load', get(a))) : undefined;
    for (let i = 0; i < rows; i++) {
      const splat =
        left !== undefined && i < 4
          ? shuffle(get(left), get(left), [i, i, i, i])
          : load('v128.load32_splat', get(a), i * 4);
      const row = f.let('v128', splat);
      for (const [j, vector] of right.entries()) {
        const sum = sums[i * vectors + j] as Local;
        f.set(sum, multiplyAdd(get(row), get(vector), get(sum)));
      }
    }
    f.set(a, op('i32.add', get(a), i32(rows * 4)));
    f.set(b, op('i32.add', get(b), i32(columns * 4)));
  });
  // A row's loads come before its stores, and its stores side by side: only so are they joined to wider ones.
  const store = (accumulate: boolean) => (): void => {
    for (let i = 0; i < rows; i++) {
      const row = sums.slice(i * vectors, (i + 1) * vectors).map((sum, j) => {
        if (!accumulate) return sum;
        return f.let('v128', op('f32x4.add', load('v128.load', get(c), j * 16), get(sum)));
      });
      for (const [j, value] of row.entries()) f.store('v128.store', get(c), get(value), j * 16);
      f.set(c, op('i32.add', get(c), get(stride)));
    }
  };
  f.when(get(first), store(false), store(true));
}
