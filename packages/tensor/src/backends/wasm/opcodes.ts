/** The WebAssembly instructions that the kernels use, by their names in the specification. */

/** Names at consecutive opcodes from `first` on; `_` marks a number that is not used here. */
function consecutive(first: number, names: string): [string, number][] {
  return names
    .split(' ')
    .map((name, i): [string, number] => [name, first + i])
    .filter(([name]) => name !== '_');
}

const family = (type: string, operations: string): string =>
  operations
    .split(' ')
    .map((operation) => (operation === '_' ? '_' : `${type}.${operation}`))
    .join(' ');

const integerComparisons = 'eq ne lt_s lt_u gt_s gt_u le_s le_u ge_s ge_u';
const floatComparisons = 'eq ne lt gt le ge';
const integerArithmetic = 'clz ctz popcnt add sub mul div_s div_u rem_s rem_u and or xor shl shr_s shr_u rotl rotr';
const floatArithmetic = 'abs neg ceil floor trunc nearest sqrt add sub mul div min max copysign';

const single: readonly [string, number][] = [
  ...consecutive(0x45, family('i32', `eqz ${integerComparisons}`)),
  ...consecutive(0x50, family('i64', `eqz ${integerComparisons}`)),
  ...consecutive(0x5b, family('f32', floatComparisons)),
  ...consecutive(0x61, family('f64', floatComparisons)),
  ...consecutive(0x67, family('i32', integerArithmetic)),
  ...consecutive(0x79, family('i64', integerArithmetic)),
  ...consecutive(0x8b, family('f32', floatArithmetic)),
  ...consecutive(0x99, family('f64', floatArithmetic)),
  ...consecutive(0xa7, 'i32.wrap_i64 _ _ _ _ i64.extend_i32_s i64.extend_i32_u'),
  ...consecutive(0xb2, 'f32.convert_i32_s f32.convert_i32_u f32.convert_i64_s f32.convert_i64_u f32.demote_f64'),
  ...consecutive(0xb7, 'f64.convert_i32_s f64.convert_i32_u f64.convert_i64_s f64.convert_i64_u f64.promote_f32'),
  ...consecutive(0xbc, 'i32.reinterpret_f32 i64.reinterpret_f64 f32.reinterpret_i32 f64.reinterpret_i64'),
  ['drop', 0x1a],
  ['select', 0x1b],
  ['return', 0x0f],
];

const saturating = consecutive(
  0,
  'i32.trunc_sat_f32_s i32.trunc_sat_f32_u i32.trunc_sat_f64_s i32.trunc_sat_f64_u i64.trunc_sat_f32_s i64.trunc_sat_f32_u i64.trunc_sat_f64_s',
);

const simd: readonly [string, number][] = [
  ...consecutive(15, 'i8x16.splat i16x8.splat i32x4.splat i64x2.splat f32x4.splat f64x2.splat'),
  ...consecutive(55, family('i32x4', integerComparisons)),
  ...consecutive(65, family('f32x4', floatComparisons)),
  ...consecutive(71, family('f64x2', floatComparisons)),
  ...consecutive(77, family('v128', 'not and andnot or xor bitselect any_true')),
  ...consecutive(94, 'f32x4.demote_f64x2_zero f64x2.promote_low_f32x4'),
  ...consecutive(103, family('f32x4', 'ceil floor trunc nearest')),
  ...consecutive(116, 'f64x2.ceil f64x2.floor'),
  ...consecutive(137, 'i16x8.extend_low_i8x16_u'),
  ...consecutive(148, 'f64x2.nearest'),
  ...consecutive(160, family('i32x4', 'abs neg _ all_true bitmask')),
  ...consecutive(169, 'i32x4.extend_low_i16x8_u'),
  ...consecutive(171, family('i32x4', 'shl shr_s shr_u add _ _ sub _ _ _ mul min_s min_u max_s max_u')),
  ...consecutive(203, family('i64x2', 'shl shr_s shr_u add _ _ sub')),
  ...consecutive(222, 'i64x2.extmul_low_i32x4_u i64x2.extmul_high_i32x4_u'),
  ...consecutive(224, family('f32x4', 'abs neg _ sqrt add sub mul div min max pmin pmax')),
  ...consecutive(236, family('f64x2', 'abs neg _ sqrt add sub mul div min max pmin pmax')),
  ...consecutive(248, 'i32x4.trunc_sat_f32x4_s i32x4.trunc_sat_f32x4_u f32x4.convert_i32x4_s f32x4.convert_i32x4_u'),
  ...consecutive(252, 'i32x4.trunc_sat_f64x2_s_zero'),
  ['f32x4.relaxed_madd', 0x105],
];

/** Instructions that take an address and an offset, and after these a lane where the name ends in `_lane`. */
const memory: readonly [string, number, number][] = [
  ...consecutive(0x28, 'i32.load i64.load f32.load f64.load i32.load8_s i32.load8_u i32.load16_s i32.load16_u'),
  ...consecutive(0x36, 'i32.store i64.store f32.store f64.store i32.store8 i32.store16'),
].map(([name, code]): [string, number, number] => [name, 0, code]);

const simdMemory = [
  ...consecutive(0, family('v128', 'load load8x8_s load8x8_u load16x4_s load16x4_u')),
  ...consecutive(9, family('v128', 'load32_splat load64_splat store')),
  ...consecutive(84, family('v128', 'load8_lane load16_lane load32_lane load64_lane')),
  ...consecutive(88, family('v128', 'store8_lane store16_lane store32_lane store64_lane load32_zero load64_zero')),
].map(([name, code]): [string, number, number] => [name, 0xfd, code]);

const atomic = (
  [
    ['memory.atomic.notify', 0],
    ['memory.atomic.wait32', 1],
    ['i32.atomic.load', 0x10],
    ['i32.atomic.store', 0x17],
    ['i32.atomic.rmw.add', 0x1e],
    ['i32.atomic.rmw.sub', 0x25],
  ] as const
).map(([name, code]): [string, number, number] => [name, 0xfe, code]);

const lanes = [
  ['i32x4.extract_lane', 27],
  ['i32x4.replace_lane', 28],
  ['f32x4.extract_lane', 31],
  ['f32x4.replace_lane', 32],
  ['f64x2.extract_lane', 33],
] as const;

export interface Instruction {
  /** 0 for one-byte instructions. */
  readonly prefix: number;
  readonly code: number;
}

const table = (rows: readonly (readonly [string, number, number])[]): ReadonlyMap<string, Instruction> =>
  new Map(rows.map(([name, prefix, code]) => [name, { prefix, code }]));

/** Instructions without immediate operands. */
export const plainInstructions: ReadonlyMap<string, Instruction> = table([
  ...single.map(([name, code]): [string, number, number] => [name, 0, code]),
  ...saturating.map(([name, code]): [string, number, number] => [name, 0xfc, code]),
  ...simd.map(([name, code]): [string, number, number] => [name, 0xfd, code]),
]);

export const memoryInstructions: ReadonlyMap<string, Instruction> = table([...memory, ...simdMemory, ...atomic]);

export const laneInstructions: ReadonlyMap<string, Instruction> = table(
  lanes.map(([name, code]) => [name, 0xfd, code] as const),
);
