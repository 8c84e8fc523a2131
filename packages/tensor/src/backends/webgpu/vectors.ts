/**
 * Four neighbouring elements at once: how they lie in a buffer that is bound as an array of vectors, and which loads of
 * a term can be read so.
 */
import type { BufferUse } from '../../compile/kernel.ts';
import type { DType } from '../../dtype.ts';
import { add, axis, constant, type Expr, mul, substitute, walk } from '../../expr/expr.ts';
import { linear } from '../../expr/simplify.ts';
import { type Binding, type StoredType, startOf } from './storage.ts';
import type { Target } from './target.ts';

/** The elements of one vector. */
export const lanes = 4;
export const components = ['x', 'y', 'z', 'w'] as const;

export interface VectorForm {
  /** The type of the bound array's elements, each of which holds four of the buffer's. */
  readonly type: StoredType;
  /** The four elements that `vector` holds, in their scalar type. */
  readonly unpack: (vector: string) => readonly string[];
  /** The vector of four scalars. */
  readonly pack: (values: readonly string[]) => string;
}

const whole = (type: 'f32' | 'i32' | 'u32'): VectorForm => ({
  type: `vec4<${type}>`,
  unpack: (vector) => components.map((c) => `${vector}.${c}`),
  pack: (values) => `vec4<${type}>(${values.join(', ')})`,
});

const forms: Readonly<Record<Exclude<DType, 'f16'>, VectorForm>> = {
  f32: whole('f32'),
  i32: whole('i32'),
  u32: whole('u32'),
  bool: {
    type: 'vec4<u32>',
    unpack: (vector) => components.map((c) => `(${vector}.${c} != 0u)`),
    pack: (values) => `select(vec4<u32>(), vec4<u32>(1u), vec4<bool>(${values.join(', ')}))`,
  },
  u8: {
    type: 'u32',
    unpack: (vector) => components.map((_, j) => `extractBits(${vector}, ${8 * j}u, 8u)`),
    pack: (values) => values.map((value, j) => `((${value} & 255u) << ${8 * j}u)`).join(' | '),
  },
};

const nativeHalves: VectorForm = {
  type: 'vec4<f16>',
  unpack: (vector) => components.map((c) => `f32(${vector}.${c})`),
  pack: (values) => `vec4<f16>(vec4<f32>(${values.join(', ')}))`,
};

const packedHalves: VectorForm = {
  type: 'vec2<u32>',
  unpack: (vector) => components.map((_, j) => `unpack2x16float(${vector}.${j < 2 ? 'x' : 'y'}).${j % 2 ? 'y' : 'x'}`),
  pack: ([a, b, c, d]) =>
    `vec2<u32>(half_bits(${a}) | (half_bits(${b}) << 16u), half_bits(${c}) | (half_bits(${d}) << 16u))`,
};

/** How four elements of `dtype` lie in a buffer of `target`. */
export function vectorForm(dtype: DType, { f16 }: Target): VectorForm {
  if (dtype === 'f16') return f16 ? nativeHalves : packedHalves;
  return forms[dtype];
}

/** The binding of a buffer as an array of vectors. */
export function vectorBindingOf(use: BufferUse, bindings: readonly Binding[]): Binding {
  const start = startOf(use);
  return bindings.find(
    ({ buffer, scratch, vector, range }) =>
      vector && !scratch && buffer === use.buffer && (range?.offset ?? 0) === start,
  ) as Binding;
}

/** Loop variables beyond those of any kernel: the number of a vector along an axis, and an element's place in it. */
const vectorAxes = 64;
const laneAxis = axis(2 * vectorAxes, lanes);

/** The variable that counts the vectors along axis `along` of `extent` elements. Its position in a scope is `vectorPosition`. */
export const vectorAxis = (along: number, extent: number): Expr => axis(vectorAxes + along, extent / lanes);
export const vectorPosition = (along: number): number => vectorAxes + along;

/** The element index that lane `lane` has in the vector that `vectorAxis` counts. */
export const elementOf = (along: number, extent: number, lane: number): Expr =>
  add(mul(vectorAxis(along, extent), constant(lanes, 'i32')), constant(lane, 'i32'));

/**
 * The loads of `terms` whose elements at four neighbouring points along axis `along` (of `extent` elements) are one
 * aligned vector, with the number of that vector in terms of `vectorAxis`. None where the extent is no multiple of 4.
 */
export function vectorLoads(terms: readonly Expr[], along: number, extent: number): Map<Expr, Expr> {
  const found = new Map<Expr, Expr>();
  if (extent % lanes !== 0) return found;
  const element = add(mul(vectorAxis(along, extent), constant(lanes, 'i32')), laneAxis);
  const seen = new Set<Expr>();
  const visit = (e: Expr): void => {
    if (e.op !== 'load') return;
    const index = substitute(e.args[0] as Expr, (leaf) =>
      leaf.op === 'axis' && leaf.value === along ? element : undefined,
    );
    const vector = vectorNumber(index);
    if (vector) found.set(e, vector);
  };
  for (const term of terms) walk(term, visit, seen);
  return found;
}

/** `index` / 4 without its lane, where it is 4 times a term plus the lane; undefined elsewhere. */
function vectorNumber(index: Expr): Expr | undefined {
  const form = linear(index);
  if (form.terms.get(laneAxis) !== 1 || form.constant % lanes !== 0) return undefined;
  let number = constant(form.constant / lanes, 'i32');
  for (const [part, factor] of form.terms) {
    if (part === laneAxis) continue;
    let free = factor % lanes === 0;
    walk(part, (e) => (free &&= e !== laneAxis));
    if (!free) return undefined;
    number = add(number, mul(part, constant(factor / lanes, 'i32')));
  }
  return number;
}
