/**
 * Random numbers from a counter: element i of draw c of seed s is a hash of (i, c, s), the same on every backend.
 * The hash is pcg3d of Jarzynski and Olano, "Hash Functions for GPU Rendering" (JCGT 2020).
 */
import { ShapeError } from './errors.ts';
import { add, cast, constant, type Expr, input, mul, term } from './expr/expr.ts';
import type { Node } from './graph.ts';
import { apply, cast as castNode, constantLike } from './ops/elementwise.ts';
import { broadcastTo, iota } from './ops/generate.ts';
import { map } from './ops/map.ts';
import { argsortLast } from './ops/sort.ts';
import { reshape, slice } from './ops/view.ts';
import { live } from './runtime/live.ts';
import { type Shape, sizeOf } from './shape.ts';
import { Tensor } from './tensor.ts';

const word = (value: number): Expr => constant(value, 'u32');
const shifted = (x: Expr): Expr => term('xor', [x, term('shr', [x, word(16)])]);

/** pcg3d: three words in, three well-mixed words out. */
function hash(v: readonly [Expr, Expr, Expr]): [Expr, Expr, Expr] {
  let [x, y, z] = v.map((e) => add(mul(e, word(1664525)), word(1013904223))) as [Expr, Expr, Expr];
  const mix = (): void => {
    x = add(x, mul(y, z));
    y = add(y, mul(z, x));
    z = add(z, mul(x, y));
  };
  mix();
  [x, y, z] = [shifted(x), shifted(y), shifted(z)];
  mix();
  return [x, y, z];
}

/** A word as a float in [0, 1): its upper 24 bits, which a float holds exactly. */
const unit = (bits: Expr): Expr => mul(cast(term('shr', [bits, word(8)]), 'f32'), constant(2 ** -24));

/** Draws in order from one seed. Its whole state is two numbers, which a checkpoint can keep. */
export class Generator {
  readonly seed: number;
  /** Draws made so far. */
  counter: number;

  constructor(seed = 0, counter = 0) {
    if (!Number.isInteger(seed)) throw new ShapeError(`Generator: the seed ${seed} is not a whole number`);
    this.seed = seed >>> 0;
    this.counter = counter;
  }

  /** An element of `shape` as a term in the three hashed words of its index and this draw. */
  private draw(
    name: string,
    shape: Shape,
    value: (words: readonly [Expr, Expr, Expr]) => Expr,
    dtype: 'f32' | 'u32',
  ): Node {
    const key = live(() => [this.seed, this.counter++ >>> 0], [2], 'u32').node;
    const size = sizeOf(shape);
    const position = iota([size], 0, 'u32');
    const part = (i: number): Node => broadcastTo(slice(key, [i], [1]), [size]);
    const words = hash([input(0, 'u32'), input(1, 'u32'), input(2, 'u32')]);
    return reshape(map(name, [position, part(0), part(1)], value(words), dtype), shape);
  }

  /** Whole 32-bit words. */
  bits<const S extends Shape>(shape: S): Tensor<S> {
    return new Tensor(this.draw('randomBits', shape, ([x]) => x, 'u32'));
  }

  /** Uniform in [low, high). */
  uniform<const S extends Shape>(shape: S, low = 0, high = 1): Tensor<S> {
    const node = this.draw('uniform', shape, ([x]) => unit(x), 'f32');
    const scaled =
      low === 0 && high === 1
        ? node
        : apply('add', apply('mul', node, constantLike(node, high - low)), constantLike(node, low));
    return new Tensor(scaled);
  }

  /** Normal, by the method of Box and Muller. */
  normal<const S extends Shape>(shape: S, mean = 0, deviation = 1): Tensor<S> {
    const value = ([x, y]: readonly [Expr, Expr, Expr]): Expr => {
      // 1 - u lies in (0, 1]: its logarithm is finite.
      const radius = term('sqrt', [mul(constant(-2), term('log', [term('sub', [constant(1), unit(x)])]))]);
      return add(
        constant(mean),
        mul(constant(deviation), mul(radius, term('cos', [mul(constant(2 * Math.PI), unit(y))]))),
      );
    };
    return new Tensor(this.draw('normal', shape, value, 'f32'));
  }

  /** Whole numbers in [low, high), as i32. */
  integers<const S extends Shape>(shape: S, low: number, high: number): Tensor<S> {
    const bits = this.draw('randomIntegers', shape, ([x]) => x, 'u32');
    const span = map('randomIntegers', [bits], term('mod', [input(0, 'u32'), word(high - low)]), 'u32');
    const node = castNode(span, 'i32');
    return new Tensor(apply('add', node, constantLike(node, low)));
  }

  /** 1 with the given probability, else 0, as f32. */
  bernoulli<const S extends Shape>(shape: S, probability: number): Tensor<S> {
    const draws = this.uniform(shape).node;
    return new Tensor(castNode(apply('lt', draws, constantLike(draws, probability)), 'f32'));
  }

  /** The numbers 0 to n - 1 in random order, as i32. */
  permutation(n: number): Tensor {
    return new Tensor(argsortLast(this.bits([n]).node));
  }
}

let shared = new Generator(0);

/** Restarts the generator that `rand`, `randn` and dropout use where none is given. */
export function manualSeed(seed: number): Generator {
  shared = new Generator(seed);
  return shared;
}

export const defaultGenerator = (): Generator => shared;

export const rand = <const S extends Shape>(shape: S, generator: Generator = shared): Tensor<S> =>
  generator.uniform(shape);
export const randn = <const S extends Shape>(shape: S, generator: Generator = shared): Tensor<S> =>
  generator.normal(shape);
export const randint = <const S extends Shape>(
  low: number,
  high: number,
  shape: S,
  generator: Generator = shared,
): Tensor<S> => generator.integers(shape, low, high);

/**
 * Zeroes elements with probability p and divides the others by 1 - p.
 */
export function dropout<S extends Shape>(x: Tensor<S>, p: number, generator: Generator = shared): Tensor<S> {
  if (!(p >= 0 && p <= 1)) throw new ShapeError(`dropout: the probability ${p} is not in [0, 1]`);
  if (p === 0) return x;
  const kept = apply('div', generator.bernoulli(x.shape, 1 - p).node, constantLike(x.node, Math.max(1 - p, 2 ** -126)));
  return new Tensor(apply('mul', x.node, kept));
}
