/**
 * Operations on fragments, the small matrices that a subgroup multiplies together, as text: the two ways in which
 * WGSL has written them, and functions over plain arrays that mean the same, for devices that have none.
 *
 * Halves are staged in units of eight, 16 bytes each; offsets and strides of staged matrices count units.
 */
import type { MatrixSyntax } from '../target.ts';
import type { ShaderText } from '../wgsl.ts';

/** Sizes of a product of fragments: result [m, n] += left [m, k] · right [k, n]. */
export interface FragmentShape {
  readonly m: number;
  readonly n: number;
  readonly k: number;
}

/** Halves in a unit. */
export const unitHalves = 8;

export type Role = 'left' | 'right';

/** Whether the units of a staged matrix run along its rows or its columns. */
export type Order = 'rows' | 'columns';

/** What eight halves of a unit come from: their values in f32, or the four words that hold them. */
export type UnitSource = { readonly values: readonly string[] } | { readonly words: string };

/** The subgroups of a workgroup: threads of each, how many there are, and how many fragments of sums each has. */
export interface Workgroup {
  readonly size: number;
  readonly subgroups: number;
  readonly sums: number;
}

export interface Fragments {
  /** Asks `shader` for what all texts need. */
  readonly prepare: (shader: ShaderText, shape: FragmentShape, workgroup: Workgroup) => void;
  /** Declares the workgroup's array of `units` units that `role`'s fragments are loaded from. */
  readonly declareStaged: (shader: ShaderText, array: string, units: number, role: Role) => void;
  /** Declares what storing results in the f32 array `array` needs. */
  readonly declareStore: (shader: ShaderText, array: string, shape: FragmentShape, workgroup: Workgroup) => void;
  /** Declares what loading sums from the f32 array `array` needs. */
  readonly declareLoad: (shader: ShaderText, array: string, shape: FragmentShape, workgroup: Workgroup) => void;
  /** Gives the fragment `sum` the elements of an f32 array from `offset` on, its rows `stride` elements apart. */
  readonly loadSum: (sum: string, array: string, offset: string, stride: string, shape: FragmentShape) => string;
  /** `value` as a half and back. */
  readonly rounded: (value: string) => string;
  /** Stores one unit. */
  readonly stage: (array: string, unit: string, source: UnitSource) => string[];
  /** The fragment whose first unit is `offset`, its rows (or columns) `stride` units apart. */
  readonly load: (
    role: Role,
    array: string,
    offset: string,
    stride: number,
    order: Order,
    shape: FragmentShape,
  ) => string;
  /** Declares the fragment of sums number `position`, all zeros. */
  readonly declareSum: (name: string, position: number, shape: FragmentShape, workgroup: Workgroup) => string;
  readonly multiply: (left: string, right: string, sum: string) => string;
  /** Stores `fragment` in an f32 array from element `offset` on, its rows `stride` elements apart. */
  readonly store: (array: string, offset: string, stride: string, fragment: string) => string;
}

const pairs = [0, 2, 4, 6] as const;

const halvesOfWords = (words: string): string[] =>
  ['x', 'y', 'z', 'w'].flatMap((c) => ['x', 'y'].map((d) => `bitcast<vec2<f16>>(${words}.${c}).${d}`));

/** The parts of both syntaxes that agree. */
const native = {
  prepare(shader: ShaderText): void {
    for (const extension of ['f16', 'subgroups', 'chromium_experimental_subgroup_matrix']) shader.enable(extension);
    // Loops end by sizes from the parameter block, which the analysis takes to differ between threads.
    shader.directive('diagnostic(off, chromium.subgroup_matrix_uniformity)');
  },
  declareStore(): void {},
  declareLoad(): void {},
  rounded: (value: string): string => `f32(f16(${value}))`,
  declareSum: (name: string, _position: number, shape: FragmentShape): string => `var ${name}: ${sumType(shape)};`,
  multiply: (left: string, right: string, sum: string): string =>
    `subgroupMatrixMultiplyAccumulate(${left}, ${right}, ${sum})`,
};

const sumType = ({ m, n }: FragmentShape): string => `subgroup_matrix_result<f32, ${n}, ${m}>`;

const operandType = (role: Role, { m, n, k }: FragmentShape): string =>
  role === 'left' ? `subgroup_matrix_left<f16, ${k}, ${m}>` : `subgroup_matrix_right<f16, ${n}, ${k}>`;

const elements: Fragments = {
  ...native,
  declareStaged: (shader, array, units) => shader.declare(`var<workgroup> ${array}: array<vec4<u32>, ${units}>;`),
  stage(array, unit, source) {
    if ('words' in source) return [`${array}[${unit}] = ${source.words};`];
    const word = (i: number): string => `bitcast<u32>(vec2<f16>(vec2f(${source.values[i]}, ${source.values[i + 1]})))`;
    return [`${array}[${unit}] = vec4u(${pairs.map(word).join(', ')});`];
  },
  load: (role, array, offset, stride, order, shape) =>
    `subgroupMatrixLoad<${operandType(role, shape)}, ${order === 'rows' ? 'row_major' : 'col_major'}>(&${array}, ${offset}, ${stride})`,
  loadSum: (sum, array, offset, stride, shape) =>
    `${sum} = subgroupMatrixLoad<${sumType(shape)}, row_major>(&${array}, ${offset}, ${stride});`,
  store: (array, offset, stride, fragment) =>
    `subgroupMatrixStore<row_major>(&${array}, ${offset}, ${fragment}, ${stride});`,
};

const components: Fragments = {
  ...native,
  declareStaged: (shader, array, units) =>
    shader.declare(`var<workgroup> ${array}: array<f16, ${units * unitHalves}>;`),
  stage(array, unit, source) {
    const halves = 'words' in source ? halvesOfWords(source.words) : source.values.map((value) => `f16(${value})`);
    return halves.map((half, j) => `${array}[(${unit}) * ${unitHalves} + ${j}] = ${half};`);
  },
  load: (role, array, offset, stride, order, shape) =>
    `subgroupMatrixLoad<${operandType(role, shape)}>(&${array}, (${offset}) * ${unitHalves}, ${order === 'columns'}, ${stride * unitHalves})`,
  loadSum: (sum, array, offset, stride, shape) =>
    `${sum} = subgroupMatrixLoad<${sumType(shape)}>(&${array}, ${offset}, false, ${stride});`,
  store: (array, offset, stride, fragment) =>
    `subgroupMatrixStore(&${array}, ${offset}, ${fragment}, false, ${stride});`,
};

/**
 * Operands are places in staged arrays, a vector of their first half and the steps from row to row and from column to
 * column. Sums lie in workgroup memory, a vector of their first element and the thread's number within its subgroup,
 * which computes every so-many-th of them.
 */
const emulated: Fragments = {
  prepare(shader, { m, n, k }, { size, subgroups, sums }) {
    shader.declare(`var<workgroup> sums: array<f32, ${subgroups * sums * m * n}>;
fn multiply_add(left: vec3<i32>, right: vec3<i32>, sum: vec2<i32>) -> vec2<i32> {
  for (var e = sum.y; e < ${m * n}; e += ${size}) {
    let a = left.x + e / ${n} * left.y;
    let b = right.x + e % ${n} * right.z;
    for (var k = 0; k < ${k}; k++) {
      sums[sum.x + e] += staged_left(a + k * left.z) * staged_right(b + k * right.y);
    }
  }
  return sum;
}`);
  },
  declareStaged(shader, array, units, role) {
    shader.declare(`var<workgroup> ${array}: array<vec4<u32>, ${units}>;
fn staged_${role}(half: i32) -> f32 {
  return unpack2x16float(${array}[half >> 3u][(half >> 1u) & 3] >> (u32(half & 1) * 16u)).x;
}`);
  },
  declareStore(shader, array, { m, n }, { size }) {
    shader.declare(`fn store_${array}(offset: i32, stride: i32, sum: vec2<i32>) {
  for (var e = sum.y; e < ${m * n}; e += ${size}) { ${array}[offset + e / ${n} * stride + e % ${n}] = sums[sum.x + e]; }
}`);
  },
  declareLoad(shader, array, { m, n }, { size }) {
    shader.declare(`fn load_${array}(offset: i32, stride: i32, sum: vec2<i32>) {
  for (var e = sum.y; e < ${m * n}; e += ${size}) { sums[sum.x + e] = ${array}[offset + e / ${n} * stride + e % ${n}]; }
}`);
  },
  loadSum: (sum, array, offset, stride) => `load_${array}(${offset}, ${stride}, ${sum});`,
  declareSum: (name, position, { m, n }, { size, sums }) =>
    `var ${name} = vec2<i32>((lane / ${size} * ${sums} + ${position}) * ${m * n}, lane % ${size});`,
  rounded: (value) => `unpack2x16float(half_bits(${value})).x`,
  stage(array, unit, source) {
    if ('words' in source) return [`${array}[${unit}] = ${source.words};`];
    const word = (i: number): string => `half_bits(${source.values[i]}) | (half_bits(${source.values[i + 1]}) << 16u)`;
    return [`${array}[${unit}] = vec4u(${pairs.map(word).join(', ')});`];
  },
  load: (_role, _array, offset, stride, order) => {
    const steps = order === 'rows' ? `${stride * unitHalves}, 1` : `1, ${stride * unitHalves}`;
    return `vec3<i32>((${offset}) * ${unitHalves}, ${steps})`;
  },
  multiply: (left, right, sum) => `multiply_add(${left}, ${right}, ${sum})`,
  store: (array, offset, stride, fragment) => `store_${array}(${offset}, ${stride}, ${fragment});`,
};

export const fragmentsBy: Readonly<Record<MatrixSyntax, Fragments>> = { elements, components, emulated };
