/**
 * Contractions as a tiled matrix product: a workgroup computes one tile of the output, for which it stages strips of
 * both factors in workgroup memory. The factors are terms, evaluated while staging, and the outputs' values are terms
 * over the finished sums, so views, elementwise producers and epilogues need no kernels of their own.
 */
import { type Expr, walk } from '../../../expr/expr.ts';
import { affine } from '../../../expr/simplify.ts';
import { bindingsOf, elementsPerThread, storeAll, wordDeclarations } from '../storage.ts';
import type { Target } from '../target.ts';
import { axesOf, bindCoordinates, product, rowMajor, Scope, type Shader, ShaderText } from '../wgsl.ts';
import { type Contraction, sizesOf } from './contraction.ts';
import type { GemmVariant } from './variant.ts';

/** Sizes of the tiles. A thread computes `rows` x 4 neighbouring outputs, so a row of threads covers tileN / 4 columns. */
export interface TileSchedule {
  readonly kind: 'tiles';
  readonly tileM: number;
  readonly tileN: number;
  readonly tileK: number;
  readonly rows: number;
}

/** Columns of a thread: they are neighbours, so that elements that share a word have one owner. */
const columns = 4;

const large: TileSchedule = { kind: 'tiles', tileM: 64, tileN: 64, tileK: 16, rows: 4 };
const small: TileSchedule = { kind: 'tiles', tileM: 16, tileN: 16, tileK: 16, rows: 1 };

/**
 * Both schedules, the better one by the shape first. None where the plain loop is as good (a dimension below 4) or
 * where rows of words-sharing outputs would not start at a word.
 */
function candidates(kernel: Contraction, target: Target): readonly TileSchedule[] {
  const { m, n, k } = sizesOf(kernel);
  if (Math.min(m, n, k) < 4) return [];
  const bindings = bindingsOf(kernel.inputs, kernel.outputs, target);
  if (n % elementsPerThread(kernel.outputs, bindings) !== 0) return [];
  return m >= 48 && n >= 48 ? [large, small] : [small, large];
}

/** Whether most loads of `factor` have neighbouring elements along `axis`: the axis that neighbouring threads then take. */
function contiguousAlong(factor: Expr, axis: number, axes: number): boolean {
  let votes = 0;
  walk(factor, (e) => {
    if (e.op !== 'load') return;
    const strides = affine(e.args[0] as Expr, axes)?.strides;
    if (strides) votes += strides[axis] === 1 ? 1 : strides.includes(1) ? -1 : 0;
  });
  return votes > 0;
}

/** The shader of a contraction. */
function tileShader(kernel: Contraction, target: Target, schedule: TileSchedule): Shader {
  const { reduce } = kernel;
  const { batch, m, n, k } = sizesOf(kernel);
  const { tileM, tileN, tileK, rows } = schedule;
  const rank = kernel.shape.length;
  const bindings = bindingsOf(kernel.inputs, kernel.outputs, target);
  const shader = new ShaderText(kernel.inputs, bindings);
  const threadsX = tileN / columns;
  const threads = threadsX * (tileM / rows);
  const tilesM = Math.ceil(m / tileM);
  const tilesN = Math.ceil(n / tileN);
  const workgroups = product(batch) * tilesM * tilesN;
  const size = { m: shader.parameter(m), n: shader.parameter(n), k: shader.parameter(k) };
  const tiles = { m: shader.parameter(tilesM), n: shader.parameter(tilesN) };

  shader.declare(`var<workgroup> staged_a: array<f32, ${tileK * tileM}>;`);
  shader.declare(`var<workgroup> staged_b: array<f32, ${tileK * tileN}>;`);
  const root = new Scope(shader);
  root.lines.push(
    `if (group >= ${shader.parameter(workgroups)}) { return; }`,
    `let tile_n = (group % ${tiles.n}) * ${tileN};`,
    `let tile_m = ((group / ${tiles.n}) % ${tiles.m}) * ${tileM};`,
    `let batch = group / (${tiles.n} * ${tiles.m});`,
    `let row = (lane / ${threadsX}) * ${rows};`,
    `let column = (lane % ${threadsX}) * ${columns};`,
  );
  const terms = [...reduce.factors, ...kernel.outputs.map((output) => output.value)];
  const whole = rowMajor(kernel.shape);
  bindCoordinates(shader, root, 'batch', batch, axesOf(terms, whole));
  for (let i = 0; i < rows; i++) root.lines.push(`var sum${i} = vec4f();`);

  const strip = new Scope(shader, root);
  const stage = (factor: Expr, matrix: 'a' | 'b', free: 'm' | 'n', freeAxis: number, tile: number): void => {
    const alongK = contiguousAlong(factor, rank, rank + 1);
    const scope = new Scope(shader, strip);
    scope.lines.push(
      alongK ? `let local_k = e % ${tileK};` : `let local_k = e / ${tile};`,
      alongK ? `let local = e / ${tileK};` : `let local = e % ${tile};`,
      `let ${free} = min(tile_${free} + local, ${size[free]} - 1);`,
      `let k = min(strip + local_k, ${size.k} - 1);`,
    );
    scope.bindAxis(freeAxis, free);
    scope.bindAxis(rank, 'k');
    const value = scope.emit(factor);
    scope.lines.push(
      `staged_${matrix}[local_k * ${tile} + local] = select(0f, ${value}, strip + local_k < ${size.k});`,
    );
    strip.nest(`for (var e = lane; e < ${tile * tileK}; e += ${threads})`, scope);
  };
  stage(reduce.factors[0], 'a', 'm', rank - 2, tileM);
  stage(reduce.factors[1], 'b', 'n', rank - 1, tileN);
  const b = [0, 1, 2, 3].map((j) => `staged_b[kk * ${tileN} + column + ${j}]`).join(', ');
  strip.lines.push('workgroupBarrier();', `for (var kk = 0; kk < ${tileK}; kk++) {`, `  let b = vec4f(${b});`);
  for (let i = 0; i < rows; i++) {
    strip.lines.push(`  sum${i} = fma(vec4f(staged_a[kk * ${tileM} + row + ${i}]), b, sum${i});`);
  }
  strip.lines.push('}', 'workgroupBarrier();');
  root.nest(`for (var strip = 0; strip < ${size.k}; strip += ${tileK})`, strip);

  epilogue(kernel, shader, root, rows, size, whole);
  return {
    name: kernel.name,
    code: shader.module(root.lines, threads),
    bindings,
    parameters: shader.parameters,
    workgroups,
  };
}

/** Two loops over the thread's rows and columns that store the outputs' values at those that exist. */
function epilogue(
  kernel: Contraction,
  shader: ShaderText,
  root: Scope,
  rows: number,
  size: { readonly m: string; readonly n: string },
  whole: Expr,
): void {
  const rank = kernel.shape.length;
  const sums = Array.from({ length: rows }, (_, i) => `sum${i}`).join(', ');
  root.lines.push(`var sums = array<vec4f, ${rows}>(${sums});`);
  const rowScope = new Scope(shader, root);
  rowScope.lines.push(
    'let m = tile_m + row + i;',
    `if (m >= ${size.m}) { break; }`,
    ...wordDeclarations(kernel.outputs, shader.bindings),
  );
  rowScope.bindAxis(rank - 2, 'm');
  const element = new Scope(shader, rowScope);
  element.lines.push(
    'let n = tile_n + column + j;',
    `if (n >= ${size.n}) { break; }`,
    `let index = (batch * ${size.m} + m) * ${size.n} + n;`,
    'let folded = sums[i][j];',
  );
  element.bindAxis(rank - 1, 'n');
  element.bindTerm(whole, 'index');
  element.bindAccumulator('folded');
  // All values come before the first store: an output may overwrite what another one's value loads.
  const values = kernel.outputs.map((output) => element.emit(output.value));
  // Columns that do not exist have left the loop, so every position is within the output.
  element.lines.push(...storeAll(kernel.outputs, shader.bindings, values, { position: 'index', step: 'j' }));
  rowScope.nest(`for (var j = 0; j < ${columns}; j++)`, element);
  root.nest(`for (var i = 0; i < ${rows}; i++)`, rowScope);
}

/** Matrix products by tiles of named registers: any factors, any device. */
export const tiles: GemmVariant<TileSchedule> = {
  candidates,
  shaders: (kernel, target, schedule) => ({ shaders: [tileShader(kernel, target, schedule)] }),
};
