/**
 * Small matrices brought into panels and back: the forms that the micro-kernel reads and writes. All strides are in
 * bytes, and the columns of a matrix are neighbours.
 */
import { type Code, type FunctionBuilder, f32, f32x4, get, i32, type Local, load, op } from './assembler.ts';
import { storeLane, transpose4 } from './lanes.ts';
import type { Library } from './library.ts';

/** Addresses of `count` rows `stride` apart, and `instead` for those from `rows` on. */
function rowAddresses(
  f: FunctionBuilder,
  first: Code,
  count: number,
  stride: Code,
  rows: Code,
  instead: Code,
): Local[] {
  const next = f.let('i32', first);
  return Array.from({ length: count }, (_, i) => {
    const address = f.let('i32', op('select', get(next), instead, op('i32.lt_s', i32(i), rows)));
    f.set(next, op('i32.add', get(next), stride));
    return address;
  });
}

/**
 * across(to, from, steps, rows, stride, zeros): to[k][i] = from[i][k] · scale for `width` rows i and `steps` columns k.
 * Rows from `rows` on are zeros, which are read at `zeros`.
 */
export function definePackAcross(library: Library, width: number, scale = 1): number {
  const [to, from, steps, rows, stride, zeros] = [0, 1, 2, 3, 4, 5];
  return library.define(`packAcross${width} ${scale}`, {
    parameters: ['i32', 'i32', 'i32', 'i32', 'i32', 'i32'],
    results: [],
    write: (f) => {
      const addresses = rowAddresses(f, get(from), width, get(stride), get(rows), get(zeros));
      const k = f.let('i32', i32(0));
      const at = (i: number): Code => op('i32.add', get(addresses[i] as Local), op('i32.shl', get(k), i32(2)));
      const four = (i: number): Code => {
        const vector = load('v128.load', at(i));
        return scale === 1 ? vector : op('f32x4.mul', vector, f32x4(scale));
      };
      const limit = f.let('i32', op('i32.sub', get(steps), i32(3)));
      f.count(k, get(limit), 4, () => {
        let i = 0;
        for (; i + 4 <= width; i += 4) {
          const columns = transpose4(
            f,
            [0, 1, 2, 3].map((j) => four(i + j)),
          );
          for (const [j, column] of columns.entries()) f.store('v128.store', get(to), column, (j * width + i) * 4);
        }
        for (; i < width; i++) {
          const row = f.let('v128', four(i));
          for (const j of [0, 1, 2, 3]) storeLane(f, 'v128.store32_lane', get(to), row, j, (j * width + i) * 4);
        }
        f.set(to, op('i32.add', get(to), i32(4 * width * 4)));
      });
      f.count(k, get(steps), 1, () => {
        for (let i = 0; i < width; i++) {
          const element = load('f32.load', at(i));
          f.store('f32.store', get(to), scale === 1 ? element : op('f32.mul', element, f32(scale)), i * 4);
        }
        f.set(to, op('i32.add', get(to), i32(width * 4)));
      });
    },
  });
}

/**
 * along(to, from, steps, stride): panels one after the other, of which panel p holds columns p·width to
 * (p + 1)·width - 1: to[p][k][i] = from[k][p·width + i] for `steps` rows k. Past the last column there are zeros.
 */
export function definePackAlong(library: Library, width: number, columns: number): number {
  const [to, from, steps, stride] = [0, 1, 2, 3];
  return library.define(`packAlong${width} ${columns}`, {
    parameters: ['i32', 'i32', 'i32', 'i32'],
    results: [],
    write: (f) => {
      const panel = (present: number): void => {
        const at = f.let('i32', get(from));
        const k = f.let('i32', i32(0));
        f.count(k, get(steps), 1, () => {
          let i = 0;
          for (; i + 4 <= present; i += 4) f.store('v128.store', get(to), load('v128.load', get(at), i * 4), i * 4);
          for (; i < present; i++) f.store('f32.store', get(to), load('f32.load', get(at), i * 4), i * 4);
          for (; i < width; i++) f.store('f32.store', get(to), f32(0), i * 4);
          f.set(at, op('i32.add', get(at), get(stride)));
          f.set(to, op('i32.add', get(to), i32(width * 4)));
        });
        f.set(from, op('i32.add', get(from), i32(width * 4)));
      };
      const p = f.let('i32', i32(0));
      f.count(p, i32(Math.floor(columns / width)), 1, () => panel(width));
      if (columns % width > 0) panel(columns % width);
    },
  });
}

/**
 * unpack(to, from, rows, stride, discard, factors): to[i][c] = from[c][i] · factors[i] for `width` rows i and `columns`
 * columns c. Rows from `rows` on are written over each other at `discard`.
 */
export function defineUnpack(library: Library, width: number, columns: number): number {
  const [to, from, rows, stride, discard, factors] = [0, 1, 2, 3, 4, 5];
  return library.define(`unpack${width} ${columns}`, {
    parameters: ['i32', 'i32', 'i32', 'i32', 'i32', 'i32'],
    results: [],
    write: (f) => {
      const addresses = rowAddresses(f, get(to), width, get(stride), get(rows), get(discard));
      const scales = Array.from({ length: width / 4 }, (_, g) =>
        f.let('v128', load('v128.load', get(factors), g * 16)),
      );
      const c = f.let('i32', i32(0));
      const at = (i: number): Code => op('i32.add', get(addresses[i] as Local), op('i32.shl', get(c), i32(2)));
      const four = (j: number, g: number): Code =>
        op('f32x4.mul', load('v128.load', get(from), (j * width + g * 4) * 4), get(scales[g] as Local));
      f.count(c, i32(columns - 3), 4, () => {
        for (let g = 0; g < width / 4; g++) {
          const found = transpose4(
            f,
            [0, 1, 2, 3].map((j) => four(j, g)),
          );
          for (const [i, row] of found.entries()) f.store('v128.store', at(g * 4 + i), row);
        }
        f.set(from, op('i32.add', get(from), i32(4 * width * 4)));
      });
      for (let j = 0; j < columns % 4; j++) {
        for (let g = 0; g < width / 4; g++) {
          const column = f.let('v128', four(j, g));
          for (const i of [0, 1, 2, 3]) storeLane(f, 'v128.store32_lane', at(g * 4 + i), column, i, j * 4);
        }
      }
    },
  });
}

/**
 * turn(to, from, panels, stride): blocks of `width` by `width` transposed: to[p][i][j] = from[p][j][i]. The blocks of
 * `from` follow each other, and those of `to` are `stride` apart.
 */
export function defineTurn(library: Library, width: number): number {
  const [to, from, panels, stride] = [0, 1, 2, 3];
  return library.define(`turn${width}`, {
    parameters: ['i32', 'i32', 'i32', 'i32'],
    results: [],
    write: (f) => {
      const p = f.let('i32', i32(0));
      f.count(p, get(panels), 1, () => {
        for (let row = 0; row < width; row += 4) {
          for (let column = 0; column < width; column += 4) {
            const found = transpose4(
              f,
              [0, 1, 2, 3].map((j) => load('v128.load', get(from), ((row + j) * width + column) * 4)),
            );
            for (const [i, vector] of found.entries())
              f.store('v128.store', get(to), vector, ((column + i) * width + row) * 4);
          }
        }
        f.set(from, op('i32.add', get(from), i32(width * width * 4)));
        f.set(to, op('i32.add', get(to), get(stride)));
      });
    },
  });
}
