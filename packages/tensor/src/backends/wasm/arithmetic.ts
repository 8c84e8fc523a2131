/** Scalar operations that take more than an instruction: guarded division, floating remainder and powers. */
import { type Code, type FunctionBuilder, f32, f64, get, i32, i64, op } from './assembler.ts';
import type { LibraryFunction } from './library.ts';

const result = (f: FunctionBuilder, value: Code): void => {
  value(f);
  f.plain('return');
};

/** x div 0 = x and the quotient of the least integer by -1 wraps, so nothing traps. */
function divideSigned(f: FunctionBuilder): void {
  f.when(op('i32.eqz', get(1)), () => result(f, get(0)));
  f.when(op('i32.eq', get(1), i32(-1)), () => result(f, op('i32.sub', i32(0), get(0))));
  op('i32.div_s', get(0), get(1))(f);
}

function divideUnsigned(f: FunctionBuilder): void {
  f.when(op('i32.eqz', get(1)), () => result(f, get(0)));
  op('i32.div_u', get(0), get(1))(f);
}

const remainder =
  (name: string): LibraryFunction['write'] =>
  (f) => {
    f.when(op('i32.eqz', get(1)), () => result(f, i32(0)));
    op(name, get(0), get(1))(f);
  };

/** x to the power n modulo 2³² by squaring; a negative power of anything but 1 and -1 truncates to 0. */
const integerPower =
  (isSigned: boolean): LibraryFunction['write'] =>
  (f) => {
    const power = f.let('i32', i32(1));
    if (isSigned) {
      f.when(op('i32.lt_s', get(1), i32(0)), () => {
        f.when(op('i32.eq', get(0), i32(1)), () => result(f, i32(1)));
        f.when(op('i32.ne', get(0), i32(-1)), () => result(f, i32(0)));
        f.set(1, op('i32.and', get(1), i32(1)));
      });
    }
    f.while(get(1), () => {
      f.when(op('i32.and', get(1), i32(1)), () => f.set(power, op('i32.mul', get(power), get(0))));
      f.set(0, op('i32.mul', get(0), get(0)));
      f.set(1, op('i32.shr_u', get(1), i32(1)));
    });
    get(power)(f);
  };

/**
 * The exact remainder of x by y with the sign of x. Subtracting q·y·2²⁸ᵏ with q below 2²⁹ is exact in 64 bits, and
 * quotients of f32 numbers that small are never rounded up across an integer.
 */
function floatRemainder(f: FunctionBuilder): void {
  const x = f.let('f64', op('f64.abs', op('f64.promote_f32', get(0))));
  const y = f.let('f64', op('f64.abs', op('f64.promote_f32', get(1))));
  const step = f.local('f64');
  const valid = op('i32.and', op('f64.lt', get(x), f64(Number.POSITIVE_INFINITY)), op('f64.gt', get(y), f64(0)));
  f.when(op('i32.eqz', valid), () => result(f, f32(Number.NaN)));
  f.when(op('f64.lt', get(x), get(y)), () => result(f, get(0)));
  f.while(op('f64.ge', get(x), get(y)), () => {
    f.set(step, get(y));
    f.while(op('f64.le', op('f64.mul', get(step), f64(2 ** 28)), get(x)), () => {
      f.set(step, op('f64.mul', get(step), f64(2 ** 28)));
    });
    const quotient = op('f64.trunc', op('f64.div', get(x), get(step)));
    f.set(x, op('f64.sub', get(x), op('f64.mul', quotient, get(step))));
  });
  op('f32.copysign', op('f32.demote_f64', get(x)), get(0))(f);
}

/** c[0]·xⁿ + … + c[n] in 64 bits. */
const polynomial = (x: Code, coefficients: readonly number[]): Code =>
  coefficients
    .slice(1)
    .reduce<Code>((sum, c) => op('f64.add', op('f64.mul', sum, x), f64(c)), f64(coefficients[0] as number));

/** 2^(y·log2|x|) in 64 bits, with the sign and the exceptions of IEEE pow (1 to an infinite power is NaN, as in JavaScript). */
function floatPower(f: FunctionBuilder): void {
  const y = f.let('f64', op('f64.promote_f32', get(1)));
  f.when(op('f64.eq', get(y), f64(0)), () => result(f, f32(1)));
  const x = f.let('f64', op('f64.abs', op('f64.promote_f32', get(0))));
  // x = 2ᵉ·m with m in [√½, √2); log m = 2·atanh((m - 1) / (m + 1)).
  const bits = f.let('i64', op('i64.reinterpret_f64', get(x)));
  const exponent = op('i64.shr_u', op('i64.sub', get(bits), i64(0x3fe6a09e667f3bcdn)), i64(52n));
  const e = f.let('i32', op('i32.shr_s', op('i32.shl', op('i32.wrap_i64', exponent), i32(20)), i32(20)));
  const shifted = op('i64.sub', get(bits), op('i64.shl', op('i64.extend_i32_s', get(e)), i64(52n)));
  const m = f.let('f64', op('f64.reinterpret_i64', shifted));
  const s = f.let('f64', op('f64.div', op('f64.sub', get(m), f64(1)), op('f64.add', get(m), f64(1))));
  const series = polynomial(op('f64.mul', get(s), get(s)), [1 / 15, 1 / 13, 1 / 11, 1 / 9, 1 / 7, 1 / 5, 1 / 3, 1]);
  const fraction = op('f64.mul', op('f64.mul', series, get(s)), f64(2 * Math.LOG2E));
  const logarithm = f.let('f64', op('f64.add', op('f64.convert_i32_s', get(e)), fraction));
  f.when(op('f64.eq', get(x), f64(0)), () => f.set(logarithm, f64(Number.NEGATIVE_INFINITY)));
  f.when(op('f64.eq', get(x), f64(Number.POSITIVE_INFINITY)), () => f.set(logarithm, get(x)));
  f.when(op('f64.ne', get(x), get(x)), () => f.set(logarithm, get(x)));
  const product = op('f64.mul', get(y), get(logarithm));
  const power = f.let('f64', op('f64.max', op('f64.min', product, f64(300)), f64(-300)));
  const whole = f.let('f64', op('f64.nearest', get(power)));
  const r = f.let('f64', op('f64.mul', op('f64.sub', get(power), get(whole)), f64(Math.LN2)));
  const factorials = [1 / 3628800, 1 / 362880, 1 / 40320, 1 / 5040, 1 / 720, 1 / 120, 1 / 24, 1 / 6, 1 / 2, 1, 1];
  const scale = op('i64.shl', op('i64.add', op('i64.trunc_sat_f64_s', get(whole)), i64(1023n)), i64(52n));
  const magnitude = op('f64.mul', polynomial(get(r), factorials), op('f64.reinterpret_i64', scale));
  const value = f.let('f32', op('f32.demote_f64', magnitude));
  f.when(op('i32.lt_s', op('i32.reinterpret_f32', get(0)), i32(0)), () => {
    const half = op('f64.mul', get(y), f64(0.5));
    f.when(op('f64.ne', op('f64.trunc', get(y)), get(y)), () => {
      const finite = op('f64.lt', get(x), f64(Number.POSITIVE_INFINITY));
      f.when(op('i32.and', finite, op('f64.gt', get(x), f64(0))), () => result(f, f32(Number.NaN)));
      result(f, get(value));
    });
    f.when(op('f64.ne', op('f64.trunc', half), half), () => result(f, op('f32.neg', get(value))));
  });
  get(value)(f);
}

const integer = (write: LibraryFunction['write']): LibraryFunction => ({
  parameters: ['i32', 'i32'],
  results: ['i32'],
  write,
});
const floating = (write: LibraryFunction['write']): LibraryFunction => ({
  parameters: ['f32', 'f32'],
  results: ['f32'],
  write,
});

export const scalarFunctions: Readonly<Record<string, LibraryFunction>> = {
  divideSigned: integer(divideSigned),
  divideUnsigned: integer(divideUnsigned),
  remainderSigned: integer(remainder('i32.rem_s')),
  remainderUnsigned: integer(remainder('i32.rem_u')),
  powerSigned: integer(integerPower(true)),
  powerUnsigned: integer(integerPower(false)),
  floatRemainder: floating(floatRemainder),
  floatPower: floating(floatPower),
};
