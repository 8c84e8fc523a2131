/**
 * How a row kernel goes through a row: a pass for all stages that need no further results, the next for those that need
 * only these, and at last one for the outputs. What is dear to compute and needed
 * by several passes is stored by the first of them, in an output's own row where it is that output's value.
 */
import type { RowKernel } from '../../compile/kernel.ts';
import { stagesByPass } from '../../compile/stages.ts';
import { dtypes } from '../../dtype.ts';
import { add, axis, constant, type Expr, load, mul, substitute, walk } from '../../expr/expr.ts';
import { depends } from './expression.ts';
import { operationCost } from './loop.ts';

/** A pass over the row: the stages that it folds, and what it stores in the row of each slot. */
export interface Pass {
  readonly folds: readonly { readonly stage: number; readonly body: Expr }[];
  readonly stores: readonly { readonly slot: number; readonly value: Expr }[];
}

/** Loads name the kernel's inputs, then its outputs, then the rows kept in the thread's scratch, all of 4 bytes. */
export interface RowSchedule {
  readonly passes: readonly Pass[];
  /** The scalar type of each kept row. */
  readonly kept: readonly ('f32' | 'i32' | 'u32')[];
}

/** Nanoseconds for an element from which on storing and loading it costs less than computing it again. */
const dear = 1;
const alongRow = (e: Expr): boolean => (depends(e) & 2) !== 0;

/** The passes of `kernel`, which may keep at most `room` rows. */
export function rowSchedule(kernel: RowKernel, room: number): RowSchedule {
  const { stages, outputs, inputs, extent } = kernel;
  const column = axis(1, extent);
  const whole = add(mul(axis(0, kernel.rows), constant(extent, 'i32')), column);
  const elements = outputs.flatMap((output, i) => (output.per === 'element' ? [{ ...output, i }] : []));
  const byPass = stagesByPass(kernel);
  const roots = [
    ...byPass.map((list) => list.map((stage) => (stages[stage] as RowKernel['stages'][number]).body)),
    elements.map(({ value }) => value),
  ];
  const firstPass = new Map<Expr, number>();
  roots.forEach((terms, pass) => {
    const seen = new Set<Expr>();
    for (const term of terms) walk(term, (e) => !firstPass.has(e) && firstPass.set(e, pass), seen);
  });

  const kept: ('f32' | 'i32' | 'u32')[] = [];
  const slots = new Map<Expr, number>();
  const isOutput = (e: Expr): number | undefined =>
    elements.find(({ value, dtype }) => value === e && dtypes[dtype].bytes === 4)?.i;
  /** Gives `e` a row to be kept in, if that pays. */
  const keep = (e: Expr): boolean => {
    if (slots.has(e)) return true;
    if (e.type === 'bool' || e.op === 'load' || e.args.length === 0) return false;
    const output = isOutput(e);
    if (output === undefined && (costAlongRow(e) < dear || kept.length === room)) return false;
    slots.set(
      e,
      output === undefined ? inputs.length + outputs.length + kept.push(e.type) - 1 : inputs.length + output,
    );
    return true;
  };
  roots.forEach((terms, pass) => {
    const seen = new Set<Expr>();
    const visit = (e: Expr): void => {
      if (seen.has(e) || !alongRow(e)) return;
      seen.add(e);
      if ((firstPass.get(e) as number) < pass && keep(e)) return;
      for (const arg of e.args) visit(arg);
    };
    for (const term of terms) visit(term);
  });

  /** A term as pass `pass` computes it: what earlier passes have kept is loaded. */
  const within = (term: Expr, pass: number): Expr =>
    substitute(term, (e) => {
      const slot = slots.get(e);
      if (slot === undefined || (firstPass.get(e) as number) >= pass) return undefined;
      return load(slot, slot < inputs.length + outputs.length ? whole : column, e.type);
    });
  const passes = roots.map((terms, pass): Pass => {
    const early = [...slots].filter(([e]) => firstPass.get(e) === pass && pass < byPass.length);
    const stores = early.map(([e, slot]) => ({ slot, value: within(e, pass) }));
    const folds = (byPass[pass] ?? []).map((stage, i) => ({ stage, body: within(terms[i] as Expr, pass) }));
    if (pass < byPass.length) return { folds, stores };
    const done = new Set([...slots].filter(([e]) => (firstPass.get(e) as number) < pass).map(([, slot]) => slot));
    const late = elements.filter(({ i }) => !done.has(inputs.length + i));
    return { folds, stores: late.map(({ i, value }) => ({ slot: inputs.length + i, value: within(value, pass) })) };
  });
  return { passes: passes.filter(({ folds, stores }) => folds.length + stores.length > 0), kept };
}

/** Nanoseconds of the operations that differ along the row; the others are done once. */
function costAlongRow(term: Expr): number {
  let cost = 0;
  walk(term, (e) => {
    if (alongRow(e)) cost += operationCost(e);
  });
  return cost;
}
