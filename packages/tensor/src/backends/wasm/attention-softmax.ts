/**
 * Softmax and its gradient down the columns of a panel of scores [keys][width]: every lane is a query, so that nothing
 * is added up across lanes.
 */
import { type Code, type FunctionBuilder, f32x4, get, i32, i32x4, type Local, load, op } from './assembler.ts';
import type { Library } from './library.ts';

/** What hides keys from queries. The panel of a mask is laid out as the scores are. */
export interface Visibility {
  readonly mask: 'none' | 'added' | 'boolean';
  /** Query i sees keys 0 to i. */
  readonly causal: boolean;
}

interface Row {
  readonly at: Local;
  readonly key: Local;
  readonly mask: Local;
}

/** Runs `body` for every key: `panels` are the addresses of its rows in panels of `width` columns. */
function overKeys(
  f: FunctionBuilder,
  keys: Local,
  width: number,
  panels: readonly Local[],
  body: (key: Local) => void,
): void {
  const key = f.let('i32', i32(0));
  f.count(key, get(keys), 1, () => {
    body(key);
    for (const panel of panels) f.set(panel, op('i32.add', get(panel), i32(width * 4)));
  });
}

/** Lane masks for vector `g` of a row: where the queries see the key; undefined where they see every key. */
function seen(
  f: FunctionBuilder,
  { mask, causal }: Visibility,
  row: Omit<Row, 'at'>,
  queries: readonly Local[],
  g: number,
): Local | undefined {
  const parts: Code[] = [];
  if (mask === 'boolean') parts.push(op('i32x4.ne', load('v128.load', get(row.mask), g * 16), i32x4(0)));
  if (causal) parts.push(op('i32x4.ge_s', get(queries[g] as Local), op('i32x4.splat', get(row.key))));
  return parts.length === 0
    ? undefined
    : f.let(
        'v128',
        parts.reduce((a, b) => op('v128.and', a, b)),
      );
}

const vectors = (f: FunctionBuilder, width: number, value: (g: number) => Code): Local[] =>
  Array.from({ length: width / 4 }, (_, g) => f.let('v128', value(g)));

/** The numbers of the queries in the lanes, from `first` on. */
const queryNumbers = (f: FunctionBuilder, width: number, first: Local): Local[] =>
  vectors(f, width, (g) =>
    op('i32x4.add', op('i32x4.splat', get(first)), i32x4(4 * g, 4 * g + 1, 4 * g + 2, 4 * g + 3)),
  );

const named = (name: string, width: number, { mask, causal }: Visibility): string =>
  `${name}${width} ${mask} ${causal ? 'causal' : ''}`;

/**
 * powers(scores, keys, factors, mask, query): scores become e^(score - largest), and factors the reciprocals of their
 * sums. The first column is query `query`. NaN and rows without a key give NaN, as in the definition.
 */
export function definePowers(library: Library, width: number, visibility: Visibility): number {
  const [scores, keys, factors, mask, query] = [0, 1, 2, 3, 4];
  return library.define(named('powers', width, visibility), {
    parameters: ['i32', 'i32', 'i32', 'i32', 'i32'],
    results: [],
    write: (f) => {
      const queries = visibility.causal ? queryNumbers(f, width, query) : [];
      const lowest = f32x4(Number.NEGATIVE_INFINITY);
      const largest = vectors(f, width, () => lowest);
      const at = f.let('i32', get(scores));
      overKeys(f, keys, width, [at, mask], (key) => {
        for (const [g, bound] of largest.entries()) {
          let score = load('v128.load', get(at), g * 16);
          if (visibility.mask === 'added') score = op('f32x4.add', score, load('v128.load', get(mask), g * 16));
          const shown = seen(f, visibility, { key, mask }, queries, g);
          if (shown !== undefined) score = op('v128.bitselect', score, lowest, get(shown));
          const value = f.let('v128', score);
          if (visibility.mask === 'added' || shown !== undefined) f.store('v128.store', get(at), get(value), g * 16);
          f.set(bound, op('f32x4.pmax', get(bound), get(value)));
        }
      });
      const sums = vectors(f, width, () => f32x4(0));
      f.set(at, get(scores));
      overKeys(f, keys, width, [at], () => {
        for (const [g, sum] of sums.entries()) {
          const shifted = op('f32x4.sub', load('v128.load', get(at), g * 16), get(largest[g] as Local));
          const power = f.let('v128', library.inline('expBelowOne', shifted));
          f.store('v128.store', get(at), get(power), g * 16);
          f.set(sum, op('f32x4.add', get(sum), get(power)));
        }
      });
      for (const [g, sum] of sums.entries())
        f.store('v128.store', get(factors), op('f32x4.div', f32x4(1), get(sum)), g * 16);
    },
  });
}

/**
 * slopes(powers, slopes, keys, factors, mask, query): powers become weights, their products with the factors, and the
 * weights' slopes become those of the scores: weight · (slope - Σ weight · slope), and 0 where there is no score.
 */
export function defineSlopes(library: Library, width: number, visibility: Visibility): number {
  const [powers, slopes, keys, factors, mask, query] = [0, 1, 2, 3, 4, 5];
  return library.define(named('slopes', width, visibility), {
    parameters: ['i32', 'i32', 'i32', 'i32', 'i32', 'i32'],
    results: [],
    write: (f) => {
      const queries = visibility.causal ? queryNumbers(f, width, query) : [];
      const scales = vectors(f, width, (g) => load('v128.load', get(factors), g * 16));
      const totals = vectors(f, width, () => f32x4(0));
      const [weightAt, slopeAt] = [f.let('i32', get(powers)), f.let('i32', get(slopes))];
      overKeys(f, keys, width, [weightAt, slopeAt], () => {
        for (const [g, total] of totals.entries()) {
          const power = load('v128.load', get(weightAt), g * 16);
          const weight = f.let('v128', op('f32x4.mul', power, get(scales[g] as Local)));
          f.store('v128.store', get(weightAt), get(weight), g * 16);
          const product = op('f32x4.mul', get(weight), load('v128.load', get(slopeAt), g * 16));
          f.set(total, op('f32x4.add', get(total), product));
        }
      });
      f.set(weightAt, get(powers));
      f.set(slopeAt, get(slopes));
      overKeys(f, keys, width, [weightAt, slopeAt, mask], (key) => {
        for (const [g, total] of totals.entries()) {
          const change = op('f32x4.sub', load('v128.load', get(slopeAt), g * 16), get(total));
          const slope = op('f32x4.mul', load('v128.load', get(weightAt), g * 16), change);
          const shown = seen(f, visibility, { key, mask }, queries, g);
          const kept = shown === undefined ? slope : op('v128.and', slope, get(shown));
          f.store('v128.store', get(slopeAt), kept, g * 16);
        }
      });
    },
  });
}
