/** Random shapes, values, tensors and chains of views for the property tests. */
import type { Tensor } from '@actionclip/tensor';
import { concat } from '@actionclip/tensor';
import fc from 'fast-check';
import { at, broadcastAt, build, type NaiveArray, sizeOf } from './naive.ts';

/** Sizes that kernels get wrong: nothing, one, odd ones, primes, and one just past a vector's width. */
export const extent: fc.Arbitrary<number> = fc.constantFrom(0, 1, 1, 2, 3, 4, 5, 7);
export const positiveExtent: fc.Arbitrary<number> = fc.constantFrom(1, 1, 2, 3, 4, 5, 7);

/** A shape of at most `most` elements. */
export function shapes(
  options: { minRank?: number; maxRank?: number; most?: number; empty?: boolean } = {},
): fc.Arbitrary<number[]> {
  const { minRank = 0, maxRank = 4, most = 400, empty = true } = options;
  return fc.array(empty ? extent : positiveExtent, { minLength: minRank, maxLength: maxRank }).map((shape) => {
    const small = [...shape];
    for (let i = 0; sizeOf(small.filter((e) => e > 0)) > most; i = (i + 1) % small.length)
      small[i] = Math.ceil((small[i] ?? 1) / 2);
    return small;
  });
}

/** Numbers with few digits, ties included. */
export const plainNumber: fc.Arbitrary<number> = fc.integer({ min: -24, max: 24 }).map((n) => n / 8);

/** Numbers of a range at which nothing special happens. */
export function numberIn([low, high]: readonly [number, number]): fc.Arbitrary<number> {
  return fc.integer({ min: 1, max: 9999 }).map((n) => low + ((high - low) * n) / 10000);
}

/** An array of a given shape. */
export function arrayOf(shape: readonly number[], value: fc.Arbitrary<number> = plainNumber): fc.Arbitrary<NaiveArray> {
  const size = sizeOf(shape);
  return fc.array(value, { minLength: size, maxLength: size, size: 'max' }).map((data) => ({ shape, data }));
}

/** An array of a random shape. */
export function arrays(
  options: Parameters<typeof shapes>[0] = {},
  value: fc.Arbitrary<number> = plainNumber,
): fc.Arbitrary<NaiveArray> {
  return shapes(options).chain((shape) => arrayOf(shape, value));
}

/** `count` shapes that broadcast together, to at most `most` elements. */
export function broadcastable(count: number, most = 200, maxRank = 4): fc.Arbitrary<number[][]> {
  return shapes({ maxRank, most }).chain((full) =>
    fc.tuple(
      ...Array.from({ length: count }, () =>
        fc
          .tuple(fc.nat(full.length), fc.array(fc.boolean(), { minLength: full.length, maxLength: full.length }))
          .map(([dropped, ones]) => full.map((e, i) => (ones[i] ? 1 : e)).slice(dropped)),
      ),
    ),
  );
}

/** A step of a view chain: what it does to a tensor, and the same index by index. */
export interface ViewStep {
  readonly name: string;
  readonly tensor: (x: Tensor) => Tensor;
  readonly naive: (x: NaiveArray) => NaiveArray;
}

type ViewKind = (x: NaiveArray, draw: (limit: number) => number) => ViewStep | undefined;

const axisOf = (x: NaiveArray, draw: (limit: number) => number): number => draw(x.shape.length);

const replace = (list: readonly number[], i: number, value: number): number[] =>
  list.map((entry, k) => (k === i ? value : entry));

/** Every kind of view. `draw(n)` gives a random whole number below n. Undefined where the kind does not apply. */
const views: Readonly<Record<string, ViewKind>> = {
  permute: (x, draw) => {
    const order = x.shape.map((_, i) => i);
    for (let i = order.length - 1; i > 0; i--) {
      const j = draw(i + 1);
      [order[i], order[j]] = [order[j] ?? 0, order[i] ?? 0];
    }
    return {
      name: `permute(${order})`,
      tensor: (t) => t.permute(...order),
      naive: (a) =>
        build(
          order.map((axis) => a.shape[axis] ?? 1),
          (index) => {
            const source: number[] = [];
            order.forEach((axis, i) => {
              source[axis] = index[i] ?? 0;
            });
            return at(a, source);
          },
        ),
    };
  },
  reshape: (x, draw) => {
    const shape = [...x.shape];
    const place = draw(shape.length + 1);
    const next = shape[place];
    const after = shape[place + 1];
    let wanted: number[];
    if (next !== undefined && after !== undefined && draw(2) === 0)
      wanted = [...shape.slice(0, place), next * after, ...shape.slice(place + 2)];
    else if (next !== undefined && next % 2 === 0 && next > 0)
      wanted = [...shape.slice(0, place), 2, next / 2, ...shape.slice(place + 1)];
    else wanted = [...shape.slice(0, place), 1, ...shape.slice(place)];
    if (wanted.length > 6) wanted = [sizeOf(shape)];
    return {
      name: `reshape(${wanted})`,
      tensor: (t) => t.reshape(wanted),
      naive: (a) => ({ shape: wanted, data: a.data }),
    };
  },
  expand: (x, draw) => {
    const axis = x.shape.indexOf(1);
    if (axis < 0 || sizeOf(x.shape) > 100) return undefined;
    const shape = replace(x.shape, axis, 1 + draw(4));
    return {
      name: `expand(${shape})`,
      tensor: (t) => t.expand(...shape),
      naive: (a) => build(shape, (index) => broadcastAt(a, index)),
    };
  },
  slice: (x, draw) => {
    const axis = axisOf(x, draw);
    const size = x.shape[axis] ?? 0;
    const start = draw(size + 1);
    const end = start + draw(size - start + 1);
    const step = 1 + draw(3);
    return {
      name: `slice(${axis}, ${start}, ${end}, ${step})`,
      tensor: (t) => t.slice(axis, start, end, step),
      naive: (a) =>
        build(replace(a.shape, axis, Math.ceil((end - start) / step)), (index) =>
          at(a, replace(index, axis, start + (index[axis] ?? 0) * step)),
        ),
    };
  },
  sliceBack: (x, draw) => {
    const axis = axisOf(x, draw);
    const size = x.shape[axis] ?? 0;
    if (size === 0) return undefined;
    const first = draw(size);
    const step = 1 + draw(3);
    return {
      name: `slice(${axis}, ${first}, , -${step})`,
      tensor: (t) => t.slice(axis, first, undefined, -step),
      naive: (a) =>
        build(replace(a.shape, axis, Math.floor(first / step) + 1), (index) =>
          at(a, replace(index, axis, first - (index[axis] ?? 0) * step)),
        ),
    };
  },
  flip: (x, draw) => {
    const axis = axisOf(x, draw);
    return {
      name: `flip(${axis})`,
      tensor: (t) => t.flip(axis),
      naive: (a) =>
        build(a.shape, (index) => at(a, replace(index, axis, (a.shape[axis] ?? 1) - 1 - (index[axis] ?? 0)))),
    };
  },
  pad: (x, draw) => {
    const axis = axisOf(x, draw);
    const [before, after] = [draw(3), draw(3)];
    const value = draw(2) * 2.5;
    return {
      name: `pad(${axis}: ${before}, ${after}; ${value})`,
      tensor: (t) =>
        t.pad(
          t.shape.slice(axis).map((_, i) => (i === 0 ? [before, after] : [0, 0]) as [number, number]),
          value,
        ),
      naive: (a) => {
        const size = a.shape[axis] ?? 0;
        return build(replace(a.shape, axis, before + size + after), (index) => {
          const position = (index[axis] ?? 0) - before;
          return position < 0 || position >= size ? value : at(a, replace(index, axis, position));
        });
      },
    };
  },
  concat: (x, draw) => {
    const axis = axisOf(x, draw);
    if (sizeOf(x.shape) > 100) return undefined;
    return {
      name: `concat(x, flip x, ${axis})`,
      tensor: (t) => concat([t, t.flip(axis)], axis),
      naive: (a) => {
        const size = a.shape[axis] ?? 0;
        return build(replace(a.shape, axis, 2 * size), (index) => {
          const position = index[axis] ?? 0;
          return at(a, replace(index, axis, position < size ? position : 2 * size - 1 - position));
        });
      },
    };
  },
  unfold: (x, draw) => {
    const axis = axisOf(x, draw);
    const extent = x.shape[axis] ?? 0;
    if (extent === 0 || x.shape.length >= 6 || sizeOf(x.shape) > 100) return undefined;
    const size = 1 + draw(Math.min(3, extent));
    const step = 1 + draw(2);
    return {
      name: `unfold(${axis}, ${size}, ${step})`,
      tensor: (t) => t.unfold(axis, size, step),
      naive: (a) =>
        build([...replace(a.shape, axis, Math.floor((extent - size) / step) + 1), size], (index) => {
          const within = index[index.length - 1] ?? 0;
          return at(a, replace(index.slice(0, -1), axis, (index[axis] ?? 0) * step + within));
        }),
    };
  },
  roll: (x, draw) => {
    const axis = axisOf(x, draw);
    const shift = draw(9) - 4;
    return {
      name: `roll(${shift}, ${axis})`,
      tensor: (t) => t.roll(shift, axis),
      naive: (a) => {
        const size = a.shape[axis] ?? 0;
        return build(a.shape, (index) =>
          at(a, replace(index, axis, ((((index[axis] ?? 0) - shift) % size) + size) % size)),
        );
      },
    };
  },
  repeat: (x, draw) => {
    if (sizeOf(x.shape) > 60) return undefined;
    const counts = x.shape.map(() => 1 + draw(2));
    return {
      name: `repeat(${counts})`,
      tensor: (t) => t.repeat(...counts),
      naive: (a) =>
        build(
          a.shape.map((e, i) => e * (counts[i] ?? 1)),
          (index) =>
            at(
              a,
              index.map((position, i) => position % (a.shape[i] ?? 1)),
            ),
        ),
    };
  },
  triangle: (x, draw) => {
    if (x.shape.length < 2) return undefined;
    const offset = draw(3) - 1;
    return {
      name: `tril(${offset})`,
      tensor: (t) => t.tril(offset),
      naive: (a) =>
        build(a.shape, (index) => {
          const [row = 0, column = 0] = index.slice(-2);
          return column - row <= offset ? at(a, index) : 0;
        }),
    };
  },
};

export interface ViewChain {
  readonly source: NaiveArray;
  readonly steps: readonly ViewStep[];
  readonly expected: NaiveArray;
}

/** An array and up to `most` views of it in a row, each chosen to fit what came before. */
export function viewChains(most: number, options: Parameters<typeof shapes>[0] = {}): fc.Arbitrary<ViewChain> {
  const names = Object.keys(views);
  return fc
    .tuple(
      arrays({ minRank: 1, maxRank: 4, most: 60, ...options }),
      fc.array(fc.tuple(fc.constantFrom(...names), fc.array(fc.nat(1 << 20), { minLength: 8, maxLength: 8 })), {
        minLength: 1,
        maxLength: most,
      }),
    )
    .map(([source, plan]) => {
      let expected = source;
      const steps: ViewStep[] = [];
      for (const [name, numbers] of plan) {
        let next = 0;
        const draw = (limit: number): number => (numbers[next++ % numbers.length] ?? 0) % Math.max(1, limit);
        const step = expected.shape.length === 0 ? undefined : views[name]?.(expected, draw);
        if (!step) continue;
        steps.push(step);
        expected = step.naive(expected);
      }
      return { source, steps, expected };
    });
}

/** The chain in words, for messages. */
export const describeChain = ({ source, steps }: ViewChain): string =>
  `[${source.shape}] ${steps.map(({ name }) => name).join(' ')}`;
