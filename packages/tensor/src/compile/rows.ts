/**
 * Row kernels: reductions of the same rows that build on one another, and what is computed from them element by
 * element, become one kernel; so do folds of the columns of what it reads or computes. Only the flow of data decides:
 * which elements a kernel reads of what another one wrote.
 */
import { accumulator, add, axis, constant, type Expr, half, load, mul, substitute, walk } from '../expr/expr.ts';
import { linear } from '../expr/simplify.ts';
import type { Node } from '../graph.ts';
import { unflatten } from '../ops/view.ts';
import { sizeOf } from '../shape.ts';
import type { Assembly } from './assemble.ts';
import { mergingOf } from './groups.ts';
import {
  type BufferUse,
  type Fold,
  type Kernel,
  type LoopKernel,
  type RowKernel,
  type RowOutput,
  widestColumns,
} from './kernel.ts';
import type { Lowered } from './lower.ts';

/** Rows longer than this leave the first caches between two passes, and are too few to share out. */
const longestRow = 16384;
/** Fewer rows than this keep threads idle, where there is enough work for several. */
const fewRows = 16;
const muchWork = 1 << 16;
/** Columns of no more rows than this are folded as well by a thread each. */
const shortColumns = 64;

interface Geometry {
  readonly rows: number;
  readonly extent: number;
}

/** A kernel as a part of a row kernel: its terms over axis 0, the row, and axis 1, the element of the row. */
interface Part {
  readonly kernel: LoopKernel;
  readonly body: Expr | undefined;
  readonly values: readonly Expr[];
  readonly per: RowOutput['per'];
}

/**
 * Joins kernels over the same rows. `kept` are nodes whose elements the caller wants, `updates` those that are to be
 * written over old values, which row kernels do not do; `columns` whether the backend folds columns in row kernels.
 */
export function mergeRows(
  lowered: Lowered,
  kept: ReadonlySet<Node>,
  updates: ReadonlySet<Node>,
  buffersPerKernel: number,
  columns: boolean,
): Lowered {
  const { kernels, nodes, stages } = lowered;
  const { groups, wanted, isUpdate, stageOf } = mergingOf(lowered, kept, updates);
  const inPlace = kernels.map(({ outputs }) => outputs.some(isUpdate));
  const geometries = kernels.map(ownGeometry);
  /** Kernels that fold rows, or are computed from what a kernel of their group folds. */
  const folded = geometries.map((geometry) => geometry !== undefined);
  const parts = new Map<string, Part | undefined>();
  const partOf = (k: number, geometry: Geometry): Part | undefined => {
    const key = `${k} ${geometry.rows} ${geometry.extent}`;
    if (!parts.has(key)) parts.set(key, asPart(kernels[k] as Kernel | Assembly, geometry));
    return parts.get(key);
  };

  /** Whether the backend folds columns beside the other parts. */
  const foldsColumns = (joined: readonly Part[], { extent }: Geometry): boolean =>
    columns && (extent <= widestColumns || !joined.some(({ body, per }) => body && per === 'row'));

  /** Makes one group of those of two kernels, over rows of `geometry`, where that is possible. */
  const join = (a: number, b: number, geometry: Geometry): boolean => {
    const [own, other] = [groups.of(a), groups.of(b)];
    if (own === other || stageOf(a) !== stageOf(b) || inPlace[a] || inPlace[b]) return false;
    const members = [...own, ...other].sort((x, y) => x - y);
    const joined = members.map((k) => partOf(k, geometry));
    if (!joined.every((part) => part !== undefined) || !aligned(joined, geometry)) return false;
    if (joined.some(({ per }) => per === 'column') && !foldsColumns(joined, geometry)) return false;
    const { inputs, outputs } = groups.boundary(members, wanted);
    if (inputs.length + outputs.length > buffersPerKernel || !groups.canJoin(a, b)) return false;
    groups.join(a, b);
    for (const member of members) geometries[member] = geometry;
    return true;
  };
  const joinReader = (reader: number, source: number): void => {
    const geometry = geometries[reader] ?? geometries[source];
    if (!geometry || !sameRows(geometry, geometries[source] ?? geometry)) return;
    if (!(folded[reader] || folded[source]) || !join(reader, source, geometry)) return;
    folded[reader] = true;
  };
  kernels.forEach((_, k) => {
    // Once it is joined with what is folded, it can be joined with the others that it reads.
    const sources = groups.sources(k);
    for (const source of [...sources.filter((s) => folded[s]), ...sources]) joinReader(k, source);
  });

  const columnar = columns ? kernels.map((kernel, k) => (folded[k] ? undefined : columnGeometry(kernel))) : [];
  columnar.forEach((geometry, k) => {
    if (!geometry) return;
    // With kernels that write or read what it folds.
    const joinWith = (other: number): boolean =>
      sameRows(geometries[other] ?? geometry, geometry) && join(k, other, geometry);
    for (const source of groups.sources(k)) joinWith(source);
    const matrices = (kernels[k] as LoopKernel).inputs.filter(({ buffer }) => {
      return sizeOf((nodes[buffer] as Node).shape) === geometry.rows * geometry.extent;
    });
    for (const { buffer } of matrices) {
      // Others that read the same matrix, if they fold it too: elementwise kernels gain nothing.
      for (const reader of groups.readers(buffer)) if (geometries[reader]) joinWith(reader);
    }
    if (geometry.rows > shortColumns) geometries[k] ??= geometry;
  });

  const merged = groups.inOrder().map((group): Kernel | Assembly => {
    const [first] = group as readonly [number];
    const geometry = geometries[first];
    if (!geometry || (group.length === 1 && !columnar[first])) return kernels[first] as Kernel | Assembly;
    const { inputs, outputs } = groups.boundary(group, wanted);
    return assemble(
      group.map((k) => partOf(k, geometry) as Part),
      geometry,
      inputs,
      new Set(outputs.map(({ buffer }) => buffer)),
    );
  });
  return { kernels: merged, nodes, stages };
}

const sameRows = (a: Geometry, b: Geometry): boolean => a.rows === b.rows && a.extent === b.extent;

/** The rows that a reduction folds, if it can be a stage. */
function ownGeometry(kernel: Kernel | Assembly): Geometry | undefined {
  if (kernel.kind !== 'loop' || !kernel.reduce || kernel.reduce.factors) return undefined;
  const geometry = { rows: sizeOf(kernel.shape), extent: sizeOf(kernel.reduce.extent) };
  const { rows, extent } = geometry;
  if (extent < 2 || extent > longestRow || (rows < fewRows && rows * extent > muchWork)) return undefined;
  return partAs('row', kernel, geometry) && geometry;
}

/** The rows whose columns a reduction folds, if neighbouring columns are neighbours in memory. */
function columnGeometry(kernel: Kernel | Assembly): Geometry | undefined {
  if (kernel.kind !== 'loop' || !kernel.reduce || kernel.reduce.factors) return undefined;
  const geometry = { rows: sizeOf(kernel.reduce.extent), extent: sizeOf(kernel.shape) };
  if (geometry.rows < 2 || geometry.extent < 2) return undefined;
  const body = partAs('column', kernel, geometry)?.body;
  let found = false;
  if (body) walk(body, (e) => (found ||= e.op === 'load' && alongRow(e)));
  return found ? geometry : undefined;
}

/** `kernel` over the rows of `geometry`; undefined where it has other ones, or strides through memory along a row. */
function asPart(kernel: Kernel | Assembly, geometry: Geometry): Part | undefined {
  if (kernel.kind !== 'loop' || kernel.reduce?.factors) return undefined;
  const kinds = kernel.reduce ? (['row', 'column'] as const) : (['element', 'row'] as const);
  for (const per of kinds) {
    const part = partAs(per, kernel, geometry);
    if (part) return part;
  }
  return undefined;
}

function partAs(per: Part['per'], kernel: LoopKernel, { rows, extent }: Geometry): Part | undefined {
  const { shape, reduce } = kernel;
  const [row, element] = [axis(0, rows), axis(1, extent)];
  const { point, size, along, steps } = {
    element: { point: add(mul(row, constant(extent, 'i32')), element), size: rows * extent, along: element, steps: 1 },
    row: { point: row, size: rows, along: element, steps: extent },
    column: { point: element, size: extent, along: row, steps: rows },
  }[per];
  if (sizeOf(shape) !== size || (reduce && sizeOf(reduce.extent) !== steps)) return undefined;
  const axes = [...unflatten(point, shape), ...(reduce ? unflatten(along, reduce.extent) : [])];
  const swap = (e: Expr): Expr => substitute(e, (leaf) => (leaf.op === 'axis' ? axes[leaf.value] : undefined));
  const body = reduce && swap(reduce.body);
  const values = kernel.outputs.map(({ value }) => swap(value));
  const seen = new Set<Expr>();
  let regular = true;
  for (const value of [...(body ? [body] : []), ...values]) walk(value, (e) => (regular &&= isRegular(e)), seen);
  return regular ? { kernel, body, values, per } : undefined;
}

/** Whether a term, its operands apart, is as easy to compute along a row as elsewhere. */
function isRegular(e: Expr): boolean {
  if (e.op === 'div' || e.op === 'mod') return e.type !== 'i32' || !alongRow(e);
  if (e.op !== 'load') return true;
  for (const [part, factor] of linear(e.args[0] as Expr).terms) {
    if (part.op === 'axis' && part.value === 1 ? factor !== 1 : alongRow(part)) return false;
  }
  return true;
}

/** Whether a term varies along the row. */
function alongRow(e: Expr): boolean {
  let found = false;
  walk(e, (part) => (found ||= part.op === 'axis' && part.value === 1));
  return found;
}

/** Where the elements of a value per row, or per element, lie. Values per column are known to nobody within the kernel. */
function ownIndex(per: Part['per'], { rows, extent }: Geometry): Expr | 'nowhere' {
  if (per === 'column') return 'nowhere';
  const row = axis(0, rows);
  return per === 'row' ? row : add(mul(row, constant(extent, 'i32')), axis(1, extent));
}

/** Whether every part reads what the others wrote at its own place alone, and whole numbers not cut by the buffer between them. */
function aligned(parts: readonly Part[], geometry: Geometry): boolean {
  const written = new Map<number, Expr | 'nowhere'>();
  for (const { kernel, per } of parts) {
    for (const { buffer } of kernel.outputs) written.set(buffer, ownIndex(per, geometry));
  }
  return parts.every(({ kernel, body, values, per }) => {
    const within = kernel.inputs.map(({ buffer }) => written.get(buffer));
    if (kernel.inputs.some(({ dtype }, slot) => within[slot] && dtype === 'u8')) return false;
    let matches = true;
    const check = (e: Expr): void => {
      if (e.op === 'load' && within[e.value]) matches &&= e.args[0] === within[e.value];
    };
    const seen = new Set<Expr>();
    if (body) walk(body, check, seen);
    for (const value of values) {
      walk(value, check, seen);
      if (per === 'row' && alongRow(value)) matches = false;
    }
    return matches;
  });
}

/** One kernel from its parts, in an order in which values are known before they are used. */
function assemble(
  parts: readonly Part[],
  { rows, extent }: Geometry,
  inputs: readonly BufferUse[],
  wanted: ReadonlySet<number>,
): RowKernel {
  const slots = new Map(inputs.map(({ buffer }, slot) => [buffer, slot] as const));
  const known = new Map<number, Expr>();
  const stages: Fold[] = [];
  const columns: Fold[] = [];
  const outputs: RowOutput[] = [];
  const firstColumn = parts.filter(({ body, per }) => body && per === 'row').length;
  for (const { kernel, body, values, per } of parts) {
    const stage = per === 'column' ? firstColumn + columns.length : stages.length;
    const resolve = (e: Expr): Expr =>
      substitute(e, (part) => {
        if (part.op === 'accumulator') return accumulator(part.type, stage);
        if (part.op !== 'load') return undefined;
        const { buffer } = kernel.inputs[part.value] as BufferUse;
        return known.get(buffer) ?? load(slots.get(buffer) as number, resolve(part.args[0] as Expr), part.type);
      });
    if (kernel.reduce && body)
      (per === 'column' ? columns : stages).push({ op: kernel.reduce.op, body: resolve(body) });
    kernel.outputs.forEach(({ buffer, dtype }, i) => {
      const value = resolve(values[i] as Expr);
      known.set(buffer, dtype === 'f16' ? half(value) : value);
      if (wanted.has(buffer)) outputs.push({ buffer, dtype, value, per });
    });
  }
  const names = new Set(parts.flatMap(({ kernel }) => kernel.name.split('+')));
  return { kind: 'rows', name: [...names].join('+'), rows, extent, inputs, stages, columns, outputs };
}
