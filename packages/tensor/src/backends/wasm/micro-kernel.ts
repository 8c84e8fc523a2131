/**
 * The innermost loop of a contraction: a tile of MR x NR sums held in registers. V8 has 15 registers to give away and
 * loads what a loop needs at its head, so the tile is as large as leaves room for one step's operands.
 */
import { type Code, get, i32, type Local, load, op, shuffle } from './assembler.ts';
import type { Library } from './library.ts';

/** Rows of the tile: elements of a panel of the first factor. */
export const mr = 5;
/** Columns of the tile, in whole vectors: elements of a panel of the second factor. */
export const nr = 8;

/**
 * micro(a, b, c, steps, stride, first): c[i][j] = Σ a[k][i]·b[k][j] over `steps` steps, added to what is there unless
 * `first`; rows of c are `stride` bytes apart.
 */
export function defineMicroKernel(library: Library, relaxed: boolean): number {
  const [a, b, c, steps, stride, first] = [0, 1, 2, 3, 4, 5];
  return library.define(`multiply${mr}x${nr}`, {
    parameters: ['i32', 'i32', 'i32', 'i32', 'i32', 'i32'],
    results: [],
    write: (f) => {
      const vectors = nr / 4;
      const sums = Array.from({ length: mr * vectors }, () => f.local('v128'));
      const multiplyAdd = (x: Code, y: Code, sum: Code): Code =>
        relaxed ? op('f32x4.relaxed_madd', x, y, sum) : op('f32x4.add', sum, op('f32x4.mul', x, y));
      const store = (accumulate: boolean) => (): void => {
        const at = f.let('i32', get(c));
        for (const [s, sum] of sums.entries()) {
          const offset = (s % vectors) * 16;
          const value = accumulate ? op('f32x4.add', load('v128.load', get(at), offset), get(sum)) : get(sum);
          f.store('v128.store', get(at), value, offset);
          if (s % vectors === vectors - 1) f.set(at, op('i32.add', get(at), get(stride)));
        }
      };
      const step = f.let('i32', i32(0));
      f.count(step, get(steps), 1, () => {
        const right = Array.from({ length: vectors }, (_, j) => f.let('v128', load('v128.load', get(b), j * 16)));
        const left = f.let('v128', load('v128.load', get(a)));
        for (let i = 0; i < mr; i++) {
          const splat = i < 4 ? shuffle(get(left), get(left), [i, i, i, i]) : load('v128.load32_splat', get(a), i * 4);
          const row = f.let('v128', splat);
          for (const [j, vector] of right.entries()) {
            const sum = sums[i * vectors + j] as Local;
            f.set(sum, multiplyAdd(get(row), get(vector), get(sum)));
          }
        }
        f.set(a, op('i32.add', get(a), i32(mr * 4)));
        f.set(b, op('i32.add', get(b), i32(nr * 4)));
      });
      f.when(get(first), store(false), store(true));
    },
  });
}
