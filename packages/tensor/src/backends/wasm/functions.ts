/**
 * The transcendental functions as WebAssembly functions on four f32 lanes: range reduction, then a polynomial, within
 * about 2 units in the last place. The coefficients of exp, log, sin, cos, tanh and atan are those of the Cephes
 * library (Moshier); those of erf are Chebyshev interpolants.
 */
import {
  type Code,
  type FunctionBuilder,
  f32x4,
  f64x2,
  get,
  i32,
  i32x4,
  type Local,
  op,
  shuffle,
  tee,
} from './assembler.ts';
import type { Library, LibraryFunction } from './library.ts';

const add = (a: Code, b: Code): Code => op('f32x4.add', a, b);
const sub = (a: Code, b: Code): Code => op('f32x4.sub', a, b);
const mul = (a: Code, b: Code): Code => op('f32x4.mul', a, b);
const choose = (mask: Code, yes: Code, no: Code): Code => op('v128.bitselect', yes, no, mask);
const above = (a: Code, bound: number): Code => op('f32x4.gt', a, f32x4(bound));

/** c[0]·xⁿ + c[1]·xⁿ⁻¹ + … + c[n] by Horner's rule. */
const polynomial = (library: Library, x: Code, coefficients: readonly number[]): Code =>
  coefficients
    .slice(1)
    .reduce<Code>((sum, c) => library.multiplyAdd(sum, x, f32x4(c)), f32x4(coefficients[0] as number));

/** The magnitude of `magnitude` with the sign of `sign`. */
const copySign = (magnitude: Code, sign: Code): Code =>
  op('v128.or', magnitude, op('v128.and', sign, i32x4(-(2 ** 31))));

/** 2ⁿ for integers n from -126 to 127. */
const powerOfTwo = (n: Code): Code => op('i32x4.shl', op('i32x4.add', n, i32x4(127)), i32(23));

/** The 1.5·2²³ whose addition rounds to an integer and leaves it in the low bits, and those bits of its own. */
const rounder = { value: 1.5 * 2 ** 23, bits: 0x4b400000 };

/** x = n·ln 2 + r with |r| ≤ ln 2 / 2, for |x| below 2²²: n as integers, and exp r - 1. */
function reduceExponent(f: FunctionBuilder, library: Library, x: Local): { n: Local; rest: Code } {
  const shifted = f.let('v128', library.multiplyAdd(get(x), f32x4(Math.LOG2E), f32x4(rounder.value)));
  const whole = f.let('v128', sub(get(shifted), f32x4(rounder.value)));
  const near = f.let('v128', library.multiplyAdd(get(whole), f32x4(-0.693359375), get(x)));
  const r = f.let('v128', library.multiplyAdd(get(whole), f32x4(2.1219444e-4), get(near)));
  const series = polynomial(
    library,
    get(r),
    [1.98756915e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1],
  );
  const n = f.let('v128', op('i32x4.sub', get(shifted), i32x4(rounder.bits)));
  return { n, rest: library.multiplyAdd(series, mul(get(r), get(r)), get(r)) };
}

/** exp x = 2ⁿ·exp r; 2ⁿ in two factors reaches the subnormal numbers. */
function exp(f: FunctionBuilder, library: Library, p: Local): void {
  const x = f.let('v128', op('f32x4.pmax', op('f32x4.pmin', get(p), f32x4(89)), f32x4(-104)));
  const { n, rest } = reduceExponent(f, library, x);
  const half = f.let('v128', op('i32x4.shr_s', get(n), i32(1)));
  const value = add(rest, f32x4(1));
  mul(mul(value, powerOfTwo(get(half))), powerOfTwo(op('i32x4.sub', get(n), get(half))))(f);
}

/** exp of numbers up to 0, and 0 where that is subnormal: with subnormal operands, arithmetic is many times slower. */
function expBelowOne(f: FunctionBuilder, library: Library, p: Local): void {
  const least = f32x4(-87.33);
  const { n, rest } = reduceExponent(f, library, f.let('v128', op('f32x4.pmax', get(p), least)));
  const value = mul(add(rest, f32x4(1)), powerOfTwo(get(n)));
  op('v128.andnot', value, op('f32x4.lt', get(p), least))(f);
}

/** x = 2ᵉ·m with m in [√½, √2), so log x = e·ln 2 + log(1 + (m - 1)). */
function log(f: FunctionBuilder, library: Library, p: Local): void {
  const subnormal = f.let('v128', op('f32x4.lt', get(p), f32x4(2 ** -126)));
  const x = f.let('v128', choose(get(subnormal), mul(get(p), f32x4(2 ** 23)), get(p)));
  const bias = choose(get(subnormal), i32x4(126 + 23), i32x4(126));
  const exponent = f.let('v128', op('i32x4.sub', op('i32x4.shr_u', get(x), i32(23)), bias));
  const m = f.let('v128', op('v128.or', op('v128.and', get(x), i32x4(0x7fffff)), i32x4(0x3f000000)));
  const low = f.let('v128', op('f32x4.lt', get(m), f32x4(Math.SQRT1_2)));
  const e = f.let('v128', op('f32x4.convert_i32x4_s', op('i32x4.add', get(exponent), get(low))));
  const t = f.let('v128', sub(add(get(m), op('v128.and', get(low), get(m))), f32x4(1)));
  const z = f.let('v128', mul(get(t), get(t)));
  const series = polynomial(
    library,
    get(t),
    [
      7.0376836292e-2, -1.151461031e-1, 1.167699874e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1,
      2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
    ],
  );
  const tail = add(mul(mul(series, get(t)), get(z)), mul(get(e), f32x4(-2.1219444e-4)));
  const finite = add(add(get(t), sub(tail, mul(get(z), f32x4(0.5)))), mul(get(e), f32x4(0.693359375)));
  const value = f.let('v128', finite);
  f.set(value, choose(op('f32x4.eq', get(p), f32x4(Number.POSITIVE_INFINITY)), get(p), get(value)));
  f.set(value, choose(op('f32x4.eq', get(p), f32x4(0)), f32x4(Number.NEGATIVE_INFINITY), get(value)));
  choose(op('f32x4.ge', get(p), f32x4(0)), get(value), f32x4(Number.NaN))(f);
}

/** The first 26 bits of π/2, whose products with n below 2²⁷ are exact, and what is left of π/2. */
const halfPi = Math.floor((Math.PI / 2) * 2 ** 25) / 2 ** 25;
const halfPiRest = Math.PI / 2 - halfPi + 6.123233995736766e-17;

/**
 * x = n·π/2 + r with |r| ≤ π/4: returns r (f32) and n modulo 2³² (i32). The reduction is done in 64 bits, which is exact
 * to f32 for |x| up to about 1e8; past that r stays bounded but loses its meaning.
 */
function reduceAngle(f: FunctionBuilder, _: Library, p: Local): void {
  const pair = (value: Code): { r: Code; quadrant: Code } => {
    const x = f.let('v128', op('f64x2.promote_low_f32x4', value));
    // Adding 1.5·2⁵² rounds to an integer and leaves it in the low bits.
    const shifted = f.let('v128', op('f64x2.add', op('f64x2.mul', get(x), f64x2(2 / Math.PI)), f64x2(1.5 * 2 ** 52)));
    const n = f.let('v128', op('f64x2.sub', get(shifted), f64x2(1.5 * 2 ** 52)));
    const high = op('f64x2.sub', get(x), op('f64x2.mul', get(n), f64x2(halfPi)));
    const rest = op('f64x2.sub', high, op('f64x2.mul', get(n), f64x2(halfPiRest)));
    const bounded = op('f64x2.pmax', op('f64x2.pmin', rest, f64x2(Math.PI / 4)), f64x2(-Math.PI / 4));
    return { r: op('f32x4.demote_f64x2_zero', bounded), quadrant: get(shifted) };
  };
  const low = pair(get(p));
  const high = pair(shuffle(get(p), get(p), [2, 3, 2, 3]));
  shuffle(low.r, high.r, [0, 1, 4, 5])(f);
  shuffle(low.quadrant, high.quadrant, [0, 2, 4, 6])(f);
}

/** The sine and cosine of the reduced angle, and the quadrant, of p. */
function sineAndCosine(
  f: FunctionBuilder,
  library: Library,
  p: Local,
): { sine: number; cosine: number; quadrant: number } {
  const [r, quadrant] = [f.local('v128'), f.local('v128')];
  library.inline('reduceAngle', get(p))(f);
  f.index(0x21, quadrant);
  f.index(0x21, r);
  const z = f.let('v128', mul(get(r), get(r)));
  const sine = polynomial(library, get(z), [-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1]);
  const cosine = polynomial(library, get(z), [2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2]);
  return {
    sine: f.let('v128', add(mul(mul(sine, get(z)), get(r)), get(r))),
    cosine: f.let('v128', add(sub(mul(mul(cosine, get(z)), get(z)), mul(get(z), f32x4(0.5))), f32x4(1))),
    quadrant,
  };
}

const oddQuadrant = (quadrant: Code): Code => op('i32x4.ne', op('v128.and', quadrant, i32x4(1)), i32x4(0));

const sinusoid =
  (shift: number): LibraryFunction['write'] =>
  (f, library, p) => {
    const { sine, cosine, quadrant } = sineAndCosine(f, library, p);
    const q = f.let('v128', op('i32x4.add', get(quadrant), i32x4(shift)));
    const sign = op('i32x4.shl', op('v128.and', get(q), i32x4(2)), i32(30));
    op('v128.xor', choose(oddQuadrant(get(q)), get(cosine), get(sine)), sign)(f);
  };

function tan(f: FunctionBuilder, library: Library, p: Local): void {
  const { sine, cosine, quadrant } = sineAndCosine(f, library, p);
  const odd = f.let('v128', oddQuadrant(get(quadrant)));
  const above = choose(get(odd), op('f32x4.neg', get(cosine)), get(sine));
  op('f32x4.div', above, choose(get(odd), get(sine), get(cosine)))(f);
}

/** x + x³·P(x²) near 0; from 0.625 on 1 - 2 / (exp 2|x| + 1), in which the quotient's error counts for less. */
function tanh(f: FunctionBuilder, library: Library, p: Local): void {
  const a = f.let('v128', op('f32x4.abs', get(p)));
  const z = f.let('v128', mul(get(p), get(p)));
  const near = polynomial(
    library,
    get(z),
    [-5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1],
  );
  const small = f.let('v128', library.multiplyAdd(mul(near, get(z)), get(p), get(p)));
  // From 10 on the quotient is lost beside 1.
  const { n, rest } = reduceExponent(f, library, f.let('v128', op('f32x4.pmin', add(get(a), get(a)), f32x4(20))));
  const power = f.let('v128', powerOfTwo(get(n)));
  const sum = library.multiplyAdd(get(power), rest, add(get(power), f32x4(1)));
  const large = sub(f32x4(1), op('f32x4.div', f32x4(2), sum));
  choose(above(get(a), 0.625), copySign(large, get(p)), get(small))(f);
}

/** |x| is brought to [0, tan π/8] by atan x = π/2 - atan 1/x and atan x = π/4 + atan (x - 1)/(x + 1). */
function atan(f: FunctionBuilder, library: Library, p: Local): void {
  const a = f.let('v128', op('f32x4.abs', get(p)));
  const far = f.let('v128', above(get(a), 1 + Math.SQRT2));
  const middle = f.let('v128', above(get(a), Math.SQRT2 - 1));
  const shifted = op('f32x4.div', sub(get(a), f32x4(1)), add(get(a), f32x4(1)));
  const reduced = choose(get(far), op('f32x4.div', f32x4(-1), get(a)), choose(get(middle), shifted, get(a)));
  const t = f.let('v128', reduced);
  const base = choose(get(far), f32x4(Math.PI / 2), op('v128.and', get(middle), f32x4(Math.PI / 4)));
  const z = f.let('v128', mul(get(t), get(t)));
  const series = polynomial(
    library,
    get(z),
    [8.05374449538e-2, -1.38776856032e-1, 1.99777106478e-1, -3.33329491539e-1],
  );
  // What f32 leaves of π/2 and π/4.
  const rest = choose(get(far), f32x4(-4.371139e-8), op('v128.and', get(middle), f32x4(-2.1855695e-8)));
  copySign(op('f32x4.abs', add(base, add(add(mul(mul(series, get(z)), get(t)), rest), get(t)))), get(p))(f);
}

/** x + x·P(x²) below 1; elsewhere 1 - exp(-Q(|x|)), with Q = -log erfc on [1, 4] and erf(4) = 1 in f32. */
function erf(f: FunctionBuilder, library: Library, p: Local): void {
  const a = f.let('v128', op('f32x4.abs', get(p)));
  const near = polynomial(
    library,
    mul(get(p), get(p)),
    [
      7.875875059881765e-5, -8.016864286584281e-4, 5.189087423409011e-3, -2.6854212010637937e-2, 1.1283594715160888e-1,
      -3.761262666672036e-1, 1.283791658483509e-1,
    ],
  );
  const small = f.let('v128', add(mul(near, get(p)), get(p)));
  const bounded = f.let('v128', op('f32x4.pmin', get(a), f32x4(4)));
  const q = polynomial(
    library,
    get(bounded),
    [
      -1.6371491610856436e-6, 4.6057997637889864e-5, -5.968052430477954e-4, 4.759594495142638e-3,
      -2.6421130904282226e-2, 1.1008007402101778e-1, 6.318260609587943e-1, 1.1302334294009482, -3.20136720331327e-4,
    ],
  );
  const large = sub(f32x4(1), library.inline('exp', op('f32x4.neg', q)));
  choose(op('f32x4.lt', get(a), f32x4(1)), get(small), copySign(large, get(p)))(f);
}

/** x of the bits of a half-precision number in each lane: rescaling the exponent also makes subnormals right. */
function halfToFloat(f: FunctionBuilder, _: Library, p: Local): void {
  const magnitude = op('i32x4.shl', op('v128.and', get(p), i32x4(0x7fff)), i32(13));
  const scaled = f.let('v128', mul(magnitude, f32x4(2 ** 112)));
  const special = op('i32x4.eq', op('v128.and', get(p), i32x4(0x7c00)), i32x4(0x7c00));
  const exponent = op('v128.and', special, i32x4(0x7f800000));
  const sign = op('i32x4.shl', op('v128.and', get(p), i32x4(0x8000)), i32(16));
  op('v128.or', op('v128.or', get(scaled), exponent), sign)(f);
}

/** The half-precision bits nearest to x, ties to even. Adding ½ rounds subnormals at their last bit, 2⁻²⁴. */
function floatToHalf(f: FunctionBuilder, _: Library, p: Local): void {
  const bits = f.local('v128');
  const magnitude = f.let('v128', op('v128.and', tee(bits, get(p)), i32x4(0x7fffffff)));
  const odd = op('v128.and', op('i32x4.shr_u', get(magnitude), i32(13)), i32x4(1));
  const rounded = op('i32x4.add', op('i32x4.add', get(magnitude), i32x4(0xfff - (112 << 23))), odd);
  const subnormal = op('i32x4.sub', add(get(magnitude), f32x4(0.5)), i32x4(0x3f000000));
  const value = f.let(
    'v128',
    choose(op('i32x4.lt_s', get(magnitude), i32x4(0x38800000)), subnormal, op('i32x4.shr_u', rounded, i32(13))),
  );
  f.set(value, choose(op('i32x4.ge_s', get(magnitude), i32x4(0x477ff000)), i32x4(0x7c00), get(value)));
  f.set(value, choose(op('i32x4.gt_s', get(magnitude), i32x4(0x7f800000)), i32x4(0x7e00), get(value)));
  op('v128.or', get(value), op('v128.and', op('i32x4.shr_u', get(bits), i32(16)), i32x4(0x8000)))(f);
}

/** The number of half precision nearest to x, ties to even. Adding ½ rounds subnormals at their last bit, 2⁻²⁴. */
function half(f: FunctionBuilder, _: Library, p: Local): void {
  const magnitude = f.let('v128', op('v128.and', get(p), i32x4(0x7fffffff)));
  const odd = op('v128.and', op('i32x4.shr_u', get(magnitude), i32(13)), i32x4(1));
  const normal = op('v128.and', op('i32x4.add', op('i32x4.add', get(magnitude), i32x4(0xfff)), odd), i32x4(~0x1fff));
  const subnormal = sub(add(get(magnitude), f32x4(0.5)), f32x4(0.5));
  const value = f.let('v128', choose(op('i32x4.lt_s', get(magnitude), i32x4(0x38800000)), subnormal, normal));
  // Infinity from 65520 on; NaN stays NaN.
  const beyond = op('i32x4.max_s', get(magnitude), i32x4(0x7f800000));
  f.set(value, choose(op('i32x4.ge_s', get(magnitude), i32x4(0x477ff000)), beyond, get(value)));
  op('v128.or', get(value), op('v128.and', get(p), i32x4(-(2 ** 31))))(f);
}

const vector = (write: LibraryFunction['write']): LibraryFunction => ({
  parameters: ['v128'],
  results: ['v128'],
  write,
});

export const vectorFunctions: Readonly<Record<string, LibraryFunction>> = {
  exp: vector(exp),
  expBelowOne: vector(expBelowOne),
  log: vector(log),
  sin: vector(sinusoid(0)),
  cos: vector(sinusoid(1)),
  tan: vector(tan),
  tanh: vector(tanh),
  atan: vector(atan),
  erf: vector(erf),
  half: vector(half),
  halfToFloat: vector(halfToFloat),
  floatToHalf: vector(floatToHalf),
  reduceAngle: { parameters: ['v128'], results: ['v128', 'v128'], write: reduceAngle },
};
