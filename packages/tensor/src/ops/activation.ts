/** Activations with parameters, made of table rows; each fuses into one kernel with its neighbours. */
import type { Node } from '../graph.ts';
import { floating } from './composite.ts';
import { apply, constantLike, where } from './elementwise.ts';

const positive = (x: Node): Node => apply('gt', x, constantLike(x, 0));
const scaled = (x: Node, factor: number): Node => apply('mul', x, constantLike(x, factor));

/** x where positive, slope · x elsewhere. */
export function leakyRelu(x: Node, slope: number): Node {
  const real = floating(x);
  return where(positive(real), real, scaled(real, slope));
}

/** x where positive, alpha · (e^x - 1) elsewhere. The exponent is cut at 0, where the branch is not taken. */
export function elu(x: Node, alpha: number): Node {
  const real = floating(x);
  const one = constantLike(real, 1);
  const power = apply('exp', where(positive(real), constantLike(real, 0), real));
  return where(positive(real), real, scaled(apply('sub', power, one), alpha));
}

/** x · tanh(log(1 + e^x)). */
export function mish(x: Node): Node {
  const real = floating(x);
  return apply('mul', real, apply('tanh', apply('softplus', real)));
}

/** log(e^a + e^b) without overflow. */
export function logaddexp(a: Node, b: Node): Node {
  const difference = apply('sub', floating(a), floating(b));
  return apply('add', floating(b), apply('softplus', difference));
}
