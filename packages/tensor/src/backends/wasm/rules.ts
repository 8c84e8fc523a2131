/** How each scalar operation is computed: one table for scalars on the stack, one for four lanes of a v128. */
import type { ScalarType } from '../../dtype.ts';
import { DTypeError } from '../../errors.ts';
import type { ScalarOp } from '../../expr/expr.ts';
import { type Code, call, extract, f32, f32x4, i32, i32x4, op, replace } from './assembler.ts';
import type { Library } from './library.ts';

/** The code of an operation on the code of its operands, which may be used more than once. */
export type Rule = (library: Library, a: Code, b: Code) => Code;
type Rules = Readonly<Partial<Record<ScalarOp, Rule>>>;

const one =
  (name: string): Rule =>
  (_, a) =>
    op(name, a);
const two =
  (name: string): Rule =>
  (_, a, b) =>
    op(name, a, b);
const same: Rule = (_, a) => a;

/** Rules for operations that have the same name in WebAssembly, but for the type before the dot. */
function named(type: string, unary: Readonly<Record<string, string>>, binary: Readonly<Record<string, string>>): Rules {
  const rules: Record<string, Rule> = {};
  for (const [name, instruction] of Object.entries(unary)) rules[name] = one(`${type}.${instruction}`);
  for (const [name, instruction] of Object.entries(binary)) rules[name] = two(`${type}.${instruction}`);
  return rules;
}

const floatUnary = {
  neg: 'neg',
  abs: 'abs',
  floor: 'floor',
  ceil: 'ceil',
  round: 'nearest',
  trunc: 'trunc',
  sqrt: 'sqrt',
};
const floatBinary = {
  add: 'add',
  sub: 'sub',
  mul: 'mul',
  div: 'div',
  min: 'min',
  max: 'max',
  lt: 'lt',
  le: 'le',
  eq: 'eq',
  ne: 'ne',
};
/** Functions of the library under their own names, on four lanes. */
const functionNames = ['exp', 'log', 'sin', 'cos', 'tan', 'tanh', 'erf', 'atan', 'half'] as const;

/** Operations that leave an integer as it is. */
const integral: Rules = { floor: same, ceil: same, round: same, trunc: same };

const library =
  (name: string): Rule =>
  (functions, a, b) =>
    call(functions.index(name), a, b);

// ---- Scalars --------------------------------------------------------------------------------------------------------

/** A function of four lanes applied to one number. */
export const throughLanes = (functions: Library, name: string, a: Code): Code =>
  extract('f32x4', call(functions.index(name), op('f32x4.splat', a)), 0);

const scalarFloat: Rules = {
  ...named('f32', floatUnary, floatBinary),
  ...Object.fromEntries(
    functionNames.map((name): [string, Rule] => [name, (functions, a) => throughLanes(functions, name, a)]),
  ),
  mod: library('floatRemainder'),
  pow: library('floatPower'),
  sign: (_, a) =>
    op('select', op('f32.copysign', f32(1), a), a, op('i32.or', op('f32.lt', a, f32(0)), op('f32.gt', a, f32(0)))),
};

const scalarInteger = (suffix: 's' | 'u'): Rules => {
  const isSigned = suffix === 's';
  const less = `i32.lt_${suffix}`;
  return {
    ...integral,
    ...named(
      'i32',
      {},
      {
        add: 'add',
        sub: 'sub',
        mul: 'mul',
        and: 'and',
        or: 'or',
        xor: 'xor',
        shl: 'shl',
        shr: `shr_${suffix}`,
        lt: `lt_${suffix}`,
        le: `le_${suffix}`,
        eq: 'eq',
        ne: 'ne',
      },
    ),
    neg: (_, a) => op('i32.sub', i32(0), a),
    not: (_, a) => op('i32.xor', a, i32(-1)),
    abs: isSigned ? (_, a) => op('select', op('i32.sub', i32(0), a), a, op('i32.lt_s', a, i32(0))) : same,
    sign: isSigned
      ? (_, a) => op('i32.sub', op('i32.gt_s', a, i32(0)), op('i32.lt_s', a, i32(0)))
      : (_, a) => op('i32.ne', a, i32(0)),
    min: (_, a, b) => op('select', a, b, op(less, a, b)),
    max: (_, a, b) => op('select', b, a, op(less, a, b)),
    div: library(isSigned ? 'divideSigned' : 'divideUnsigned'),
    mod: library(isSigned ? 'remainderSigned' : 'remainderUnsigned'),
    pow: library(isSigned ? 'powerSigned' : 'powerUnsigned'),
  };
};

/** Truth values are 0 and 1: arithmetic on them is arithmetic of integers, with every result but 0 as 1. */
const truth: Readonly<Record<string, string>> = {
  and: 'and',
  mul: 'and',
  min: 'and',
  or: 'or',
  max: 'or',
  add: 'or',
  xor: 'xor',
  sub: 'xor',
  ne: 'xor',
};

const scalarTruth: Rules = {
  ...integral,
  ...named('i32', {}, { ...truth, eq: 'eq', lt: 'lt_u', le: 'le_u' }),
  not: one('i32.eqz'),
  neg: same,
  abs: same,
  sign: same,
};

export const scalarRules: Readonly<Record<ScalarType, Rules>> = {
  f32: scalarFloat,
  i32: scalarInteger('s'),
  u32: scalarInteger('u'),
  bool: scalarTruth,
};

export const scalarCasts: Readonly<Record<string, Rule>> = {
  'f32 i32': one('i32.trunc_sat_f32_s'),
  'f32 u32': one('i32.trunc_sat_f32_u'),
  'f32 bool': (_, a) => op('f32.ne', a, f32(0)),
  'i32 f32': one('f32.convert_i32_s'),
  'i32 u32': same,
  'i32 bool': (_, a) => op('i32.ne', a, i32(0)),
  'u32 f32': one('f32.convert_i32_u'),
  'u32 i32': same,
  'u32 bool': (_, a) => op('i32.ne', a, i32(0)),
  'bool f32': one('f32.convert_i32_s'),
  'bool i32': same,
  'bool u32': same,
};

export const scalarBitcasts: Readonly<Record<string, Rule>> = {
  'f32 i32': one('i32.reinterpret_f32'),
  'f32 u32': one('i32.reinterpret_f32'),
  'i32 f32': one('f32.reinterpret_i32'),
  'u32 f32': one('f32.reinterpret_i32'),
};

// ---- Four lanes -----------------------------------------------------------------------------------------------------

/** The v128 whose lanes are `scalar` of the lanes of a and b. */
const lanewise =
  (type: 'f32x4' | 'i32x4', scalar: Rule): Rule =>
  (functions, a, b) => {
    const lane = (i: number): Code => scalar(functions, extract(type, a, i), extract(type, b, i));
    return [1, 2, 3].reduce<Code>((vector, i) => replace(type, vector, i, lane(i)), op(`${type}.splat`, lane(0)));
  };

const vectorFloat: Rules = {
  ...named('f32x4', floatUnary, floatBinary),
  ...Object.fromEntries(
    functionNames.map((name): [string, Rule] => [name, (functions, a) => functions.inline(name, a)]),
  ),
  mod: lanewise('f32x4', library('floatRemainder')),
  pow: lanewise('f32x4', library('floatPower')),
  sign: (_, a) => {
    const magnitude = op('v128.or', op('v128.and', a, i32x4(-(2 ** 31))), f32x4(1));
    const nonzero = op('v128.or', op('f32x4.lt', a, f32x4(0)), op('f32x4.gt', a, f32x4(0)));
    return op('v128.bitselect', magnitude, a, nonzero);
  },
};

const vectorInteger = (suffix: 's' | 'u'): Rules => {
  const isSigned = suffix === 's';
  const each = (name: ScalarOp): Rule => lanewise('i32x4', scalarInteger(suffix)[name] as Rule);
  return {
    ...integral,
    ...named(
      'i32x4',
      { neg: 'neg' },
      {
        add: 'add',
        sub: 'sub',
        mul: 'mul',
        min: `min_${suffix}`,
        max: `max_${suffix}`,
        lt: `lt_${suffix}`,
        le: `le_${suffix}`,
        eq: 'eq',
        ne: 'ne',
      },
    ),
    and: two('v128.and'),
    or: two('v128.or'),
    xor: two('v128.xor'),
    not: one('v128.not'),
    abs: isSigned ? one('i32x4.abs') : same,
    sign: isSigned
      ? (_, a) => op('i32x4.sub', op('i32x4.lt_s', a, i32x4(0)), op('i32x4.gt_s', a, i32x4(0)))
      : (_, a) => op('i32x4.neg', op('i32x4.ne', a, i32x4(0))),
    shl: each('shl'),
    shr: each('shr'),
    div: each('div'),
    mod: each('mod'),
    pow: each('pow'),
  };
};

/** Truth values are lane masks, all ones or all zeros. */
const vectorTruth: Rules = {
  ...integral,
  ...named('v128', {}, truth),
  eq: (_, a, b) => op('v128.not', op('v128.xor', a, b)),
  lt: (_, a, b) => op('v128.andnot', b, a),
  le: (_, a, b) => op('v128.or', op('v128.not', a), b),
  not: one('v128.not'),
  neg: same,
  abs: same,
  sign: same,
};

export const vectorRules: Readonly<Record<ScalarType, Rules>> = {
  f32: vectorFloat,
  i32: vectorInteger('s'),
  u32: vectorInteger('u'),
  bool: vectorTruth,
};

const nonzero: Rule = (_, a) => op('i32x4.ne', a, i32x4(0));

export const vectorCasts: Readonly<Record<string, Rule>> = {
  'f32 i32': one('i32x4.trunc_sat_f32x4_s'),
  'f32 u32': one('i32x4.trunc_sat_f32x4_u'),
  'f32 bool': (_, a) => op('f32x4.ne', a, f32x4(0)),
  'i32 f32': one('f32x4.convert_i32x4_s'),
  'i32 u32': same,
  'i32 bool': nonzero,
  'u32 f32': one('f32x4.convert_i32x4_u'),
  'u32 i32': same,
  'u32 bool': nonzero,
  'bool f32': (_, a) => op('v128.and', a, f32x4(1)),
  'bool i32': (_, a) => op('v128.and', a, i32x4(1)),
  'bool u32': (_, a) => op('v128.and', a, i32x4(1)),
};

/** The rule of `name` in a table, or an error that names the operation and the type. */
export function rule(rules: Rules, name: ScalarOp, type: ScalarType): Rule {
  const found = rules[name];
  if (!found) throw new DTypeError(`'${name}' has no meaning on ${type}`, 'cast the operand to f32 first');
  return found;
}
