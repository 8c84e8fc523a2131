/**
 * Loop kernels as WebAssembly functions: how the work of one is cut into units, and whether four elements of the
 * output's last axis or four steps of the reduction's are computed at once.
 */
import { type Expr, walk } from '../../expr/expr.ts';
import { type LoopNest, product } from './axes.ts';
import { strideAlong } from './expression.ts';
import type { Library } from './library.ts';
import { kernelParameters, LoopWriter, type Phase, type SplitPhase, termCost } from './loop.ts';
import { splitOf } from './split.ts';

/** Below this many elements a kernel's rows are cut no finer. */
const blockElements = 4096;

/** Adds the functions of `nest` to the module: one, or two where its reduction is split. */
export function defineLoop(
  library: Library,
  nest: LoopNest,
  name: string,
): { readonly phases: readonly Phase[]; readonly workspace: number } {
  const { units, byPoints } = workOf(nest);
  const split = splitOf(nest, units, byPoints);
  if (!split) return { phases: [definePhase(library, nest, name)], workspace: 0 };
  const phases = [
    definePhase(library, nest, `${name}p`, { ...split, combine: false }),
    definePhase(library, nest, `${name}c`, { ...split, combine: true }),
  ];
  return { phases, workspace: split.parts * product(nest.shape) * split.bytes };
}

function definePhase(library: Library, nest: LoopNest, name: string, split?: SplitPhase): Phase {
  const { byPoints, block, down, units, cost } = workOf(nest, split);
  library.module.define(
    kernelParameters,
    [],
    (f) => {
      const writer = new LoopWriter(f, library, nest, split);
      if (byPoints) writer.points();
      else writer.rows(block, down);
    },
    name,
  );
  return { name, units, cost };
}

interface LoopWork {
  /** Units are points of the output, each reduced along the reduction's own last axis; else blocks of its rows. */
  readonly byPoints: boolean;
  readonly block: number;
  readonly down: boolean;
  readonly units: number;
  readonly cost: number;
}

function workOf(nest: LoopNest, split?: SplitPhase): LoopWork {
  const { shape, reduce } = nest;
  const all = reduce ? product(reduce.extent) : 1;
  const steps = split?.combine ? split.parts : split ? Math.ceil(all / split.parts) : all;
  const parts = split && !split.combine ? split.parts : 1;
  const terms = [...(reduce ? [reduce.body] : []), ...nest.outputs.map((output) => output.value)];
  const cost = termCost(terms) * steps;
  if (!split?.combine && prefersReductionAxis(nest)) {
    return { byPoints: true, block: 1, down: false, units: product(shape) * parts, cost: cost + 10 };
  }
  const inner = shape[shape.length - 1] ?? 1;
  const rows = product(shape) / inner;
  const wanted = steps > 1 ? Math.max(16, Math.ceil(blockElements / steps / 16) * 16) : blockElements;
  const down = transposes(nest);
  const block = Math.min(inner, down ? transposedColumns : rows >= 64 ? inner : wanted);
  const units = rows * Math.ceil(inner / block) * parts;
  return { byPoints: false, block, down, units, cost: cost * block + 10 };
}

/**
 * Columns taken at once where a load runs down its buffer: their cache lines serve the following rows too. Few enough
 * that strides of many pages, which share cache sets, do not evict them.
 */
const transposedColumns = 16;

/** Whether a load jumps along the output's last axis and moves by single elements along the one before. */
function transposes({ shape, reduce, outputs }: LoopNest): boolean {
  const last = shape.length - 1;
  if (reduce || last < 1) return false;
  let found = false;
  const seen = new Set<Expr>();
  for (const { value } of outputs) {
    walk(
      value,
      (e) => (found ||= e.op === 'load' && (strideAlong(e, last) ?? 1) > 1 && strideAlong(e, last - 1) === 1),
      seen,
    );
  }
  return found;
}

/** Whether the loads of the reduction lie side by side along its own last axis rather than along the output's. */
function prefersReductionAxis({ shape, reduce }: LoopNest): boolean {
  if (!reduce) return false;
  const last = shape.length - 1;
  if (last < 0) return true;
  const loads: Expr[] = [];
  walk(reduce.body, (e) => {
    if (e.op === 'load') loads.push(e);
  });
  const cost = (axis: number, extent: number): number => {
    const scattered = loads.filter((e) => {
      const stride = strideAlong(e, axis);
      return stride !== 0 && stride !== 1;
    });
    return scattered.length + (extent < 4 ? 4 : 0);
  };
  const extent = reduce.extent[reduce.extent.length - 1] as number;
  return cost(shape.length + reduce.extent.length - 1, extent) < cost(last, shape[last] as number);
}
