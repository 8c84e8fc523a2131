/**
 * From the sums of a product of subgroup matrices to its outputs. Fragments cannot be looked into, so their sums are
 * stored as they are where that is all, and else pass through workgroup memory to be finished element by element.
 */

import type { Contraction } from '../../../compile/kernel.ts';
import type { Expr } from '../../../expr/expr.ts';
import { bindingOf, elementsPerThread, storeAll, wordDeclarations } from '../storage.ts';
import { Scope, type ShaderText } from '../wgsl.ts';
import { sizesOf } from './contraction.ts';
import type { Fragments, Workgroup } from './fragments.ts';
import { finishing, type MatrixSchedule } from './matrix-schedule.ts';
import { restScale } from './matrix-strips.ts';

export interface Results {
  readonly kernel: Contraction;
  readonly schedule: MatrixSchedule;
  readonly shader: ShaderText;
  readonly root: Scope;
  readonly fragments: Fragments;
  /** Texts of the output's sizes. */
  readonly extents: { readonly m: string; readonly n: string };
  /** The row-major index of the output. */
  readonly whole: Expr;
  readonly threads: number;
  readonly workgroup: Workgroup;
}

/** Rows and columns of a subgroup's block, in elements and in fragments. */
export function blockOf({ tileM, tileN, subgroupsM, subgroupsN, fragment }: MatrixSchedule): {
  readonly rows: number;
  readonly columns: number;
  readonly down: number;
  readonly across: number;
} {
  const [rows, columns] = [tileM / subgroupsM, tileN / subgroupsN];
  return { rows, columns, down: rows / fragment.m, across: columns / fragment.n };
}

/** Whether the sums are the only output, in f32, and whole fragments make it up. */
export function fitsDirectly({ kernel, schedule, shader }: Results): boolean {
  const [output, ...others] = kernel.outputs;
  const { m, n } = sizesOf(kernel);
  const { fragment, products } = schedule;
  if (!output || others.length > 0 || output.value.op !== 'accumulator' || products === 3) return false;
  if (output.dtype !== 'f32' || bindingOf(output, shader.bindings).stored !== 'f32') return false;
  return m % fragment.m === 0 && n % fragment.n === 0;
}

/** Stores the sums straight into the output, where that is possible. */
export function storeDirectly(results: Results): string[] | undefined {
  if (!fitsDirectly(results)) return undefined;
  const { kernel, schedule, shader, fragments, extents, workgroup } = results;
  const { fragment } = schedule;
  const { name } = bindingOf(kernel.outputs[0] as Contraction['outputs'][number], shader.bindings);
  fragments.declareStore(shader, name, fragment, workgroup);
  const { rows, columns, down, across } = blockOf(schedule);
  const lines = [
    `let block_m = tile_m + subgroup_m * ${rows};`,
    `let block_n = tile_n + subgroup_n * ${columns};`,
    `let block = (slab * ${extents.m} + block_m) * ${extents.n} + block_n;`,
  ];
  for (let i = 0; i < down; i++) {
    for (let j = 0; j < across; j++) {
      const [row, column] = [i * fragment.m, j * fragment.n];
      const store = fragments.store(name, `block + ${row} * ${extents.n} + ${column}`, extents.n, `sum${i}_${j}`);
      lines.push(`if (block_m + ${row} < ${extents.m} && block_n + ${column} < ${extents.n}) { ${store} }`);
    }
  }
  return lines;
}

/**
 * Finishes the sums through workgroup memory, a row of every subgroup's fragments at a time: neighbouring threads take
 * neighbouring elements of the output.
 */
export function finishResults(results: Results): string[] {
  const { kernel, schedule, shader, root, fragments, extents, whole, threads, workgroup } = results;
  const { fragment, subgroupsM, subgroupsN, products } = schedule;
  const { columns: together, stride } = finishing(schedule);
  const { rows, columns, down, across } = blockOf(schedule);
  const rank = kernel.shape.length;
  const width = together * fragment.n;
  const [stagedRows, stagedColumns] = [subgroupsM * fragment.m, subgroupsN * width];
  for (const array of products === 3 ? ['results', 'crosses'] : ['results']) {
    shader.declare(`var<workgroup> ${array}: array<f32, ${stagedRows * stride}>;`);
    fragments.declareStore(shader, array, fragment, workgroup);
  }

  const passes = across / together;
  const stores: string[] = [];
  for (let pass = 0; pass < down * passes; pass++) {
    const i = Math.floor(pass / passes);
    stores.push(`case ${pass}${pass === down * passes - 1 ? ', default' : ''}: {`);
    for (let t = 0; t < together; t++) {
      const j = (pass % passes) * together + t;
      const offset = `subgroup_m * ${fragment.m * stride} + subgroup_n * ${width} + ${t * fragment.n}`;
      stores.push(`  ${fragments.store('results', offset, `${stride}`, `sum${i}_${j}`)}`);
      if (products === 3) stores.push(`  ${fragments.store('crosses', offset, `${stride}`, `cross${i}_${j}`)}`);
    }
    stores.push('}');
  }

  const perThread = elementsPerThread(kernel.outputs, shader.bindings);
  const group = new Scope(shader, root);
  group.lines.push(
    `let row = e / ${stagedColumns};`,
    `let column = e % ${stagedColumns};`,
    `let m = tile_m + row / ${fragment.m} * ${rows} + pass_number / ${passes} * ${fragment.m} + row % ${fragment.m};`,
    `let first_n = tile_n + column / ${width} * ${columns} + pass_number % ${passes} * ${width} + column % ${width};`,
    `if (m >= ${extents.m} || first_n >= ${extents.n}) { continue; }`,
    ...wordDeclarations(kernel.outputs, shader.bindings),
  );
  group.bindAxis(rank - 2, 'm');
  const element = new Scope(shader, group);
  const staged = `row * ${stride} + column + j`;
  element.lines.push(
    'let n = first_n + j;',
    `let index = (slab * ${extents.m} + m) * ${extents.n} + n;`,
    products === 3
      ? `let folded = results[${staged}] + crosses[${staged}] * ${1 / restScale}f;`
      : `let folded = results[${staged}];`,
  );
  element.bindAxis(rank - 1, 'n');
  element.bindTerm(whole, 'index');
  element.bindAccumulator('folded');
  // All values come before the first store: an output may overwrite what another one's value loads.
  const values = kernel.outputs.map((output) => element.emit(output.value));
  element.lines.push(...storeAll(kernel.outputs, shader.bindings, values, { position: 'index', step: 'j' }));
  if (perThread === 1) group.lines.push('let j = 0;', ...element.lines);
  else group.nest(`for (var j = 0; j < ${perThread}; j++)`, element);

  const around = new Scope(shader, root);
  around.lines.push('switch (pass_number) {', ...stores.map((line) => `  ${line}`), '}', 'workgroupBarrier();');
  around.nest(
    `for (var e = lane * ${perThread}; e < ${stagedRows * stagedColumns}; e += ${threads * perThread})`,
    group,
  );
  around.lines.push('workgroupBarrier();');
  const all = new Scope(shader, root);
  all.nest(`for (var pass_number = 0; pass_number < ${down * passes}; pass_number++)`, around);
  return all.lines;
}
