/**
 * Tiled products of strided matrices, several in one dispatch: a workgroup computes one tile of one of them, each
 * thread 4 x 4 elements. Both factors are staged with their free axis along vectors of four, one line for each step.
 */

import { indented, type ShaderText } from '../wgsl.ts';
import { floatParameter } from './matrices.ts';
import type { MaterialisedSchedule } from './schedule.ts';

/** Element (f, k) of a factor, with f along its free axis and k along the sum, is at start + f · free + k · step. */
export interface Factor {
  readonly name: string;
  readonly start: string;
  /** Elements from one to the next; '1' where they are neighbours. */
  readonly free: string;
  readonly step: string;
}

/** result[m, n] = scale · sum over k of left[m, k] · right[n, k], at every point of a batch. */
export interface Product {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly left: Factor;
  readonly right: Factor;
  readonly scale: number;
  /** Element (m, n) is at start + m · row + n. */
  readonly result: { readonly name: string; readonly start: string; readonly row: string };
  /** The part of the sum that counts for the tile from row `tile_m` on, i32 texts; all of it where absent. */
  readonly from?: string;
  readonly to?: string;
}

export const threadsOf = ({ tileM, tileN }: MaterialisedSchedule): number => (tileM / 4) * (tileN / 4);

export const tilesOf = ({ m, n }: Pick<Product, 'm' | 'n'>, { tileM, tileN }: MaterialisedSchedule): number =>
  Math.ceil(m / tileM) * Math.ceil(n / tileN);

/** Declares the memory that all products of a shader stage their factors in. */
export function declareStaging(shader: ShaderText, { tileM, tileN, tileK }: MaterialisedSchedule): void {
  shader.declare(`var<workgroup> staged_left: array<vec4f, ${tileK * lineOf(tileM)}>;`);
  shader.declare(`var<workgroup> staged_right: array<vec4f, ${tileK * lineOf(tileN)}>;`);
}

/** Bytes that the staged factors need. */
export const stagingBytes = ({ tileM, tileN, tileK }: MaterialisedSchedule): number =>
  16 * tileK * (lineOf(tileM) + lineOf(tileN));

/** Vectors of a staged line: one more than are used, so that threads which write neighbouring lines use different banks. */
const lineOf = (tile: number): number => tile / 4 + 1;

/** The lines that compute tile `tile`, an i32 name, of a product at the point that its factors lie at. */
export function productLines(shader: ShaderText, product: Product, schedule: MaterialisedSchedule): string[] {
  const { tileM, tileN, tileK } = schedule;
  const [m, n, k] = [product.m, product.n, product.k].map((size) => shader.parameter(size)) as [string, string, string];
  const tilesN = shader.parameter(Math.ceil(product.n / tileN));
  const { result, from = '0', to = k } = product;
  const threads = threadsOf(schedule);
  const columns = tileN / 4;
  const stage = (side: 'left' | 'right', axis: 'm' | 'n', tile: number, extent: string): string[] => {
    const factor = product[side];
    const vectors = tile / 4;
    const alongStep = factor.step === '1';
    const scaled = (index: string, stride: string): string => (stride === '1' ? index : `${index} * ${stride}`);
    // Rows past the end are the last one again, so that every address is within the matrix.
    const place = (i: number): string => scaled(`min(tile_${axis} + f + ${i}, ${extent} - 1)`, factor.free);
    const elements = [0, 1, 2, 3].map((i) => `${factor.name}[at + ${place(i)}]`);
    return [
      `for (var e = lane; e < ${vectors * tileK}; e += ${threads}) {`,
      `  let step = ${alongStep ? `e % ${tileK}` : `e / ${vectors}`};`,
      `  let f = (${alongStep ? `e / ${tileK}` : `e % ${vectors}`}) * 4;`,
      `  let at = ${factor.start} + ${scaled(`min(strip + step, ${k} - 1)`, factor.step)};`,
      `  let value = vec4f(${elements.join(', ')});`,
      `  staged_${side}[step * ${lineOf(tile)} + (f >> 2u)] = select(vec4f(), value, strip + step < end);`,
      '}',
    ];
  };
  return [
    `let tile_m = (tile / ${tilesN}) * ${tileM};`,
    `let tile_n = (tile % ${tilesN}) * ${tileN};`,
    `let row = lane / ${columns};`,
    `let column = lane % ${columns};`,
    `let end = ${to};`,
    ...[0, 1, 2, 3].map((i) => `var sum${i} = vec4f();`),
    `for (var strip = ${from}; strip < end; strip += ${tileK}) {`,
    ...indented([
      ...stage('left', 'm', tileM, m),
      ...stage('right', 'n', tileN, n),
      'workgroupBarrier();',
      `for (var step = 0; step < ${tileK}; step++) {`,
      `  let left = staged_left[step * ${lineOf(tileM)} + row];`,
      `  let right = staged_right[step * ${lineOf(tileN)} + column];`,
      ...[...'xyzw'].map((component, i) => `  sum${i} = fma(vec4f(left.${component}), right, sum${i});`),
      '}',
      'workgroupBarrier();',
    ]),
    '}',
    'var sums = array<vec4f, 4>(sum0, sum1, sum2, sum3);',
    'for (var i = 0; i < 4; i++) {',
    ...indented([
      'let element_row = tile_m + row * 4 + i;',
      `if (element_row >= ${m}) { break; }`,
      'for (var j = 0; j < 4; j++) {',
      '  let element_column = tile_n + column * 4 + j;',
      `  if (element_column >= ${n}) { break; }`,
      `  ${result.name}[${result.start} + element_row * ${result.row} + element_column] = sums[i][j]${product.scale === 1 ? '' : ` * ${floatParameter(shader, product.scale)}`};`,
      '}',
    ]),
    '}',
  ];
}
