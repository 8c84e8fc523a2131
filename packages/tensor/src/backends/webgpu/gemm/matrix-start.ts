/**
 * What the sums of a product of subgroup matrices start from: a bias or a residual that is only added to them, so that
 * they are the output as they are and need not pass through workgroup memory.
 */

import type { Contraction } from '../../../compile/kernel.ts';
import { accumulator, type Expr, walk } from '../../../expr/expr.ts';
import { bindingOf } from '../storage.ts';
import { Scope } from '../wgsl.ts';
import { blockOf, fitsDirectly, type Results } from './matrix-results.ts';
import { startRowStride } from './matrix-schedule.ts';

/** A contraction whose only output is its sum plus `rest`. */
interface Additive {
  readonly rest: Expr;
  /** The contraction without it. */
  readonly plain: Contraction;
}

function depends(e: Expr, on: (part: Expr) => boolean): boolean {
  let found = false;
  walk(e, (part) => {
    found ||= on(part);
  });
  return found;
}

/** `kernel` as an additive one; undefined where its output is something else. */
function asAdditive(kernel: Contraction): Additive | undefined {
  const [output] = kernel.outputs;
  if (output?.value.op !== 'add') return undefined;
  const [a, b] = output.value.args as [Expr, Expr];
  const rest = a.op === 'accumulator' ? b : b.op === 'accumulator' ? a : undefined;
  if (!rest || depends(rest, ({ op }) => op === 'accumulator')) return undefined;
  return { rest, plain: { ...kernel, outputs: [{ ...output, value: accumulator('f32') }] } };
}

/** The kernel that is left, and the lines that give the sums their first values. */
export interface Start {
  readonly kernel: Contraction;
  readonly lines: readonly string[];
}

/** How the sums of `results` can start from what is added to them; undefined where they cannot. */
export function startOfSums(results: Results): Start | undefined {
  const additive = asAdditive(results.kernel);
  if (!additive || !fitsDirectly({ ...results, kernel: additive.plain })) return undefined;
  const { rest, plain } = additive;
  const rank = plain.shape.length;
  const lines = isResidual(rest, results) ? fromResidual(rest, results) : undefined;
  if (lines) return { kernel: plain, lines };
  // Only what is the same for all rows is worth staging.
  if (depends(rest, (part) => part.op === 'axis' && part.value === rank - 2)) return undefined;
  return { kernel: plain, lines: fromRow(rest, results) };
}

/** Whether `rest` is an f32 buffer that lies as the output does. */
function isResidual(rest: Expr, { kernel, shader, whole }: Results): boolean {
  const use = kernel.inputs[rest.value];
  return (
    rest.op === 'load' &&
    rest.args[0] === whole &&
    use?.dtype === 'f32' &&
    bindingOf(use, shader.bindings).stored === 'f32'
  );
}

/** Loads every fragment of the residual from its buffer. */
function fromResidual(rest: Expr, results: Results): string[] {
  const { kernel, shader, fragments, schedule, extents, workgroup } = results;
  const { name } = bindingOf(kernel.inputs[rest.value] as Contraction['inputs'][number], shader.bindings);
  const { fragment } = schedule;
  const { rows, columns, down, across } = blockOf(schedule);
  fragments.declareLoad(shader, name, fragment, workgroup);
  const lines = [`let first_m = tile_m + subgroup_m * ${rows};`, `let first_n = tile_n + subgroup_n * ${columns};`];
  for (let i = 0; i < down; i++) {
    for (let j = 0; j < across; j++) {
      const [row, column] = [`first_m + ${i * fragment.m}`, `first_n + ${j * fragment.n}`];
      const offset = `(slab * ${extents.m} + ${row}) * ${extents.n} + ${column}`;
      const load = fragments.loadSum(`sum${i}_${j}`, name, offset, extents.n, fragment);
      lines.push(`if (${row} < ${extents.m} && ${column} < ${extents.n}) { ${load} }`);
    }
  }
  return lines;
}

/** Stages as many copies of the row as a fragment has rows, from which the fragments of all rows are loaded. */
function fromRow(rest: Expr, results: Results): string[] {
  const { kernel, shader, root, fragments, schedule, extents, threads, workgroup } = results;
  const { fragment, tileN } = schedule;
  const rank = kernel.shape.length;
  const stride = startRowStride(tileN);
  const { columns, down, across } = blockOf(schedule);
  shader.declare(`var<workgroup> start_row: array<f32, ${fragment.m * stride}>;`);
  fragments.declareLoad(shader, 'start_row', fragment, workgroup);
  const element = new Scope(shader, root);
  element.lines.push(`let n = min(tile_n + e, ${extents.n} - 1);`);
  element.bindAxis(rank - 1, 'n');
  const value = element.emit(rest);
  for (let i = 0; i < fragment.m; i++) element.lines.push(`start_row[e + ${i * stride}] = ${value};`);
  const all = new Scope(shader, root);
  all.nest(`for (var e = lane; e < ${tileN}; e += ${threads})`, element);
  const lines = [...all.lines, 'workgroupBarrier();'];
  for (let i = 0; i < down; i++) {
    for (let j = 0; j < across; j++) {
      const offset = `subgroup_n * ${columns} + ${j * fragment.n}`;
      lines.push(fragments.loadSum(`sum${i}_${j}`, 'start_row', offset, `${stride}`, fragment));
    }
  }
  return lines;
}
