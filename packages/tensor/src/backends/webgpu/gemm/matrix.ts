/**
 * Matrix products by subgroup matrices: factors rounded to half precision, sums in 32 bits. A workgroup computes one
 * tile of the output. It stages strips of both factors in workgroup memory as halves, whatever their terms and
 * layouts, and its subgroups multiply them fragment by fragment.
 */

import type { Contraction } from '../../../compile/kernel.ts';
import type { KernelShaders } from '../kernels.ts';
import { type Binding, bindingsOf } from '../storage.ts';
import type { Target } from '../target.ts';
import { axesOf, bindCoordinates, product, rowMajor, Scope, type Shader, ShaderText } from '../wgsl.ts';
import { sizesOf } from './contraction.ts';
import { fragmentsBy, type Workgroup } from './fragments.ts';
import { finishResults, type Results, storeDirectly } from './matrix-results.ts';
import { type MatrixSchedule, matrixCandidates, subgroupSize } from './matrix-schedule.ts';
import { scaledFactors, splitSums, withScratch } from './matrix-stages.ts';
import { startOfSums } from './matrix-start.ts';
import { type FactorAxes, makeStrip, planStrip, type Strip, widened } from './matrix-strips.ts';
import type { GemmVariant } from './variant.ts';

/** Tiles in a band of rows: workgroups that run together share the strips of both factors in the cache. */
const bandTiles = 8;

/** The shader that computes `kernel`; with a split its output has one slab more for every further part. */
function matrixShader(kernel: Contraction, target: Target, schedule: MatrixSchedule): Shader {
  const { batch, m, n, k } = sizesOf(kernel);
  const { tileM, tileN, tileK, subgroupsM, subgroupsN, fragment, split, products } = schedule;
  const rank = kernel.shape.length;
  const size = subgroupSize(target) as number;
  const threads = subgroupsM * subgroupsN * size;
  const fragments = fragmentsBy[target.matrixSyntax as NonNullable<Target['matrixSyntax']>];

  const axes = { m: { axis: rank - 2, extent: m }, n: { axis: rank - 1, extent: n }, k: { axis: rank, extent: k } };
  const scalar = bindingsOf(kernel.inputs, kernel.outputs, target);
  const fixed = buffersBoundAsTheyAre(kernel, scalar);
  const factorAxes: readonly FactorAxes[] = [
    { free: axes.m, k: axes.k },
    { free: axes.n, k: axes.k },
  ];
  const plans = kernel.reduce.factors.map((factor, i) =>
    planStrip(factor, factorAxes[i] as FactorAxes, kernel.inputs, fixed),
  );
  const shader = new ShaderText(kernel.inputs, widened(scalar, plans, kernel.inputs));
  const names = sumNames(schedule);
  const workgroup: Workgroup = { size, subgroups: subgroupsM * subgroupsN, sums: names.length };
  fragments.prepare(shader, fragment, workgroup);
  if (target.subgroups && target.subgroups.smallest !== target.subgroups.largest) {
    shader.enable('subgroup_size_control');
    shader.attribute(`@subgroup_size(${size})`);
  }

  const tilesM = Math.ceil(m / tileM);
  const tilesN = Math.ceil(n / tileN);
  const workgroups = split * product(batch) * tilesM * tilesN;
  const extents = { m: shader.parameter(m), n: shader.parameter(n), k: shader.parameter(k) };
  const counts = { m: shader.parameter(tilesM), n: shader.parameter(tilesN) };
  const root = new Scope(shader);
  root.lines.push(
    `if (group >= ${shader.parameter(workgroups)}) { return; }`,
    `let slab = group / (${counts.m} * ${counts.n});`,
    `let tile = group % (${counts.m} * ${counts.n});`,
    `let band = tile / (${bandTiles} * ${counts.n}) * ${bandTiles};`,
    `let band_rows = min(${counts.m} - band, ${bandTiles});`,
    `let place = tile % (${bandTiles} * ${counts.n});`,
    `let tile_m = (band + place % band_rows) * ${tileM};`,
    `let tile_n = place / band_rows * ${tileN};`,
    `let subgroup_m = lane / ${size} / ${subgroupsN};`,
    `let subgroup_n = lane / ${size} % ${subgroupsN};`,
  );
  const whole = rowMajor(kernel.shape);
  const terms = [...kernel.reduce.factors, ...kernel.outputs.map((output) => output.value)];
  if (split > 1) {
    const span = Math.ceil(k / split / tileK) * tileK;
    const batches = shader.parameter(product(batch));
    root.lines.push(
      `let batch = slab % ${batches};`,
      `let first_strip = slab / ${batches} * ${shader.parameter(span)};`,
      `let end_strip = min(first_strip + ${shader.parameter(span)}, ${extents.k});`,
    );
  } else root.lines.push('let batch = slab;', 'let first_strip = 0;', `let end_strip = ${extents.k};`);
  bindCoordinates(shader, root, 'batch', batch, axesOf(terms, whole));

  const strip = (i: 0 | 1): Strip => {
    const free = i === 0 ? 'm' : 'n';
    return makeStrip({
      shader,
      root,
      fragments,
      inputs: kernel.inputs,
      role: i === 0 ? 'left' : 'right',
      array: `staged_${free}`,
      plan: plans[i] as (typeof plans)[number],
      axes: factorAxes[i] as FactorAxes,
      tileStart: `tile_${free}`,
      extents: { free: extents[free], k: extents.k },
      tile: i === 0 ? tileM : tileN,
      tileK,
      threads,
      rests: products === 3,
    });
  };
  const [left, right] = [strip(0), strip(1)];
  const copies = products === 3 ? 2 : 1;
  fragments.declareStaged(shader, 'staged_m', left.units * copies, 'left');
  fragments.declareStaged(shader, 'staged_n', right.units * copies, 'right');

  const before = new Scope(shader, root);
  before.lines.push(...left.fetch('first_strip'), ...right.fetch('first_strip'));
  const loop = [
    ...left.stage('strip'),
    ...right.stage('strip'),
    'workgroupBarrier();',
    `let next_strip = strip + ${tileK};`,
    'if (next_strip < end_strip) {',
    ...[...left.fetch('next_strip'), ...right.fetch('next_strip')].map((line) => `  ${line}`),
    '}',
    ...multiplications(schedule, left, right, target),
    'workgroupBarrier();',
  ];
  const results: Results = { kernel, schedule, shader, root, fragments, extents, whole, threads, workgroup };
  const start = startOfSums(results);
  const last = start ? storeDirectly({ ...results, kernel: start.kernel }) : storeDirectly(results);
  const finish = last ?? finishResults(results);
  const sums = names.map((name, i) => fragments.declareSum(name, i, fragment, workgroup));
  const body = [
    ...root.lines,
    ...left.lines,
    ...right.lines,
    ...sums,
    ...before.lines,
    ...(start?.lines ?? []),
    `for (var strip = first_strip; strip < end_strip; strip += ${tileK}) {`,
    ...loop.map((line) => `  ${line}`),
    '}',
    ...finish,
  ];
  return {
    name: kernel.name,
    code: shader.module(body, threads),
    bindings: withScratch(shader.bindings),
    parameters: shader.parameters,
    workgroups,
  };
}

/** Buffers that may not be bound as vectors: those written, those of two dtypes, and those that share words already. */
function buffersBoundAsTheyAre(kernel: Contraction, bindings: readonly Binding[]): Set<number> {
  const fixed = new Set(kernel.outputs.map(({ buffer }) => buffer));
  for (const { buffer } of bindings) {
    const types = new Set(kernel.inputs.filter((use) => use.buffer === buffer).map(({ dtype }) => dtype));
    if (types.size > 1) fixed.add(buffer);
  }
  return fixed;
}

/** Sums of a subgroup's fragments, and with three products the sums of the cross products too. */
function sumNames(schedule: MatrixSchedule): string[] {
  const { tileM, tileN, subgroupsM, subgroupsN, fragment, products } = schedule;
  const names: string[] = [];
  for (let i = 0; i < tileM / subgroupsM / fragment.m; i++) {
    for (let j = 0; j < tileN / subgroupsN / fragment.n; j++) {
      names.push(`sum${i}_${j}`);
      if (products === 3) names.push(`cross${i}_${j}`);
    }
  }
  return names;
}

/** The products of one strip: the fragments of the left factor are kept, those of the right one come one by one. */
function multiplications(schedule: MatrixSchedule, left: Strip, right: Strip, target: Target): string[] {
  const { tileM, tileN, tileK, subgroupsM, subgroupsN, fragment, products } = schedule;
  const { load, multiply } = fragmentsBy[target.matrixSyntax as NonNullable<Target['matrixSyntax']>];
  const blockM = tileM / subgroupsM;
  const blockN = tileN / subgroupsN;
  /** Units from one position to another along the factor's rows or columns, and along k. */
  const steps = (role: 'left' | 'right', { order, stride }: Strip): { free: number; k: number } => {
    const alongK = (order === 'rows') === (role === 'left');
    return alongK ? { free: stride, k: 1 / 8 } : { free: 1 / 8, k: stride };
  };
  const [leftSteps, rightSteps] = [steps('left', left), steps('right', right)];
  const loadLeft = (i: number, kk: number, rest: boolean): string => {
    const fixed = i * fragment.m * leftSteps.free + kk * leftSteps.k + (rest ? left.units : 0);
    const offset = `subgroup_m * ${blockM * leftSteps.free} + ${fixed}`;
    return load('left', 'staged_m', offset, left.stride, left.order, fragment);
  };
  const loadRight = (j: number, kk: number, rest: boolean): string => {
    const fixed = j * fragment.n * rightSteps.free + kk * rightSteps.k + (rest ? right.units : 0);
    const offset = `subgroup_n * ${blockN * rightSteps.free} + ${fixed}`;
    return load('right', 'staged_n', offset, right.stride, right.order, fragment);
  };
  const lines: string[] = [];
  const [countM, countN] = [blockM / fragment.m, blockN / fragment.n];
  for (let kk = 0; kk < tileK; kk += fragment.k) {
    lines.push('{');
    for (let i = 0; i < countM; i++) {
      lines.push(`  let left${i} = ${loadLeft(i, kk, false)};`);
      if (products === 3) lines.push(`  let left_rest${i} = ${loadLeft(i, kk, true)};`);
    }
    for (let j = 0; j < countN; j++) {
      lines.push('  {', `    let right = ${loadRight(j, kk, false)};`);
      if (products === 3) lines.push(`    let right_rest = ${loadRight(j, kk, true)};`);
      for (let i = 0; i < countM; i++) {
        const [sum, cross] = [`sum${i}_${j}`, `cross${i}_${j}`];
        lines.push(`    ${sum} = ${multiply(`left${i}`, 'right', sum)};`);
        if (products === 1) continue;
        lines.push(`    ${cross} = ${multiply(`left${i}`, 'right_rest', cross)};`);
        lines.push(`    ${cross} = ${multiply(`left_rest${i}`, 'right', cross)};`);
      }
      lines.push('  }');
    }
    lines.push('}');
  }
  return lines;
}

/** All shaders of a product: the scales of the rows, the product or its parts, and what adds these up. */
function shaders(kernel: Contraction, target: Target, schedule: MatrixSchedule): KernelShaders {
  const scaled = schedule.products === 3 ? scaledFactors(kernel, target) : { kernel, shaders: [], scratch: [] };
  if (schedule.split === 1) {
    const shader = matrixShader(scaled.kernel, target, schedule);
    return { shaders: [...scaled.shaders, shader], scratch: scaled.scratch };
  }
  const position = scaled.scratch.length;
  const { partial, sum, bytes } = splitSums(scaled.kernel, schedule.split, position, target);
  const product = matrixShader(partial, target, schedule);
  return { shaders: [...scaled.shaders, product, sum], scratch: [...scaled.scratch, bytes] };
}

/** Matrix products by subgroup matrices, for factors of half precision, or of f32 where three products may stand for one. */
export const matrix: GemmVariant<MatrixSchedule> = { candidates: matrixCandidates, shaders };
