/**
 * Row kernels: reductions of the same rows that build on one another, and what is computed from them element by
 * element, become one kernel. Only the flow of data decides: which elements a kernel reads of what another one wrote.
 */
import { accumulator, add, axis, constant, type Expr, half, load, mul, substitute, walk } from '../expr/expr.ts';
import { linear } from '../expr/simplify.ts';
import type { Node } from '../graph.ts';
import { unflatten } from '../ops/view.ts';
import { sizeOf } from '../shape.ts';
import type { Assembly } from './assemble.ts';
import { Groups } from './groups.ts';
import type { BufferUse, Kernel, LoopKernel, RowKernel, RowOutput } from './kernel.ts';
import type { Lowered } from './lower.ts';

/** Rows longer than this leave the first caches between two passes, and are too few to share out. */
const longestRow = 16384;
/** Fewer rows than this keep threads idle, where there is enough work for several. */
const fewRows = 16;
const muchWork = 1 << 16;

interface Geometry {
  readonly rows: number;
  readonly extent: number;
}

/** A kernel as a part of a row kernel: its terms over axis 0, the row, and axis 1, the element of the row. */
interface Part {
  readonly kernel: LoopKernel;
  readonly body: Expr | undefined;
  readonly values: readonly Expr[];
  readonly per: 'element' | 'row';
}

/**
 * Joins kernels over the same rows. `kept` are nodes whose elements the caller wants, `updates` those that are to be
 * written over old values, which row kernels do not do.
 */
export function mergeRows(
  lowered: Lowered,
  kept: ReadonlySet<Node>,
  updates: ReadonlySet<Node>,
  buffersPerKernel: number,
): Lowered {
  const { kernels, nodes, stages } = lowered;
  const groups = new Groups(kernels);
  const wanted = new Set(nodes.flatMap((node, buffer) => (kept.has(node) ? [buffer] : [])));
  const inPlace = kernels.map(({ outputs }) => outputs.some(({ buffer }) => updates.has(nodes[buffer] as Node)));
  const stageOf = (k: number): number | undefined => stages[kernels[k]?.outputs[0]?.buffer ?? -1];
  const geometries = kernels.map(ownGeometry);
  /** Kernels that fold rows, or are computed from what a kernel of their group folds. */
  const folded = geometries.map((geometry) => geometry !== undefined);
  const parts = new Map<string, Part | undefined>();
  const partOf = (k: number, geometry: Geometry): Part | undefined => {
    const key = `${k} ${geometry.rows} ${geometry.extent}`;
    if (!parts.has(key)) parts.set(key, asPart(kernels[k] as Kernel | Assembly, geometry));
    return parts.get(key);
  };

  const tryJoin = (reader: number, source: number): void => {
    const [own, other] = [groups.of(reader), groups.of(source)];
    if (
      own === other ||
      stageOf(reader) !== stageOf(source) ||
      inPlace[reader] ||
      inPlace[source] ||
      !(folded[reader] || folded[source])
    )
      return;
    const geometry = geometries[reader] ?? geometries[source];
    if (!geometry || !sameRows(geometry, geometries[source] ?? geometry)) return;
    const members = [...own, ...other].sort((a, b) => a - b);
    const joined = members.map((k) => partOf(k, geometry));
    if (!joined.every((part) => part !== undefined) || !aligned(joined, geometry)) return;
    const { inputs, outputs } = groups.boundary(members, wanted);
    if (inputs.length + outputs.length > buffersPerKernel || !groups.canJoin(reader, source)) return;
    groups.join(reader, source);
    for (const member of members) geometries[member] = geometry;
    folded[reader] = true;
  };
  kernels.forEach((_, k) => {
    // Once it is joined with what is folded, it can be joined with the others that it reads.
    const sources = groups.sources(k);
    for (const source of [...sources.filter((s) => folded[s]), ...sources]) tryJoin(k, source);
  });

  const merged = groups.inOrder().map((group): Kernel | Assembly => {
    const [first] = group as readonly [number];
    const geometry = geometries[first];
    if (group.length === 1 || !geometry) return kernels[first] as Kernel | Assembly;
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
  return asPart(kernel, geometry) && geometry;
}

/** `kernel` over the rows of `geometry`; undefined where it has other ones, or strides through memory along a row. */
function asPart(kernel: Kernel | Assembly, { rows, extent }: Geometry): Part | undefined {
  if (kernel.kind !== 'loop' || kernel.reduce?.factors) return undefined;
  const size = sizeOf(kernel.shape);
  const { reduce } = kernel;
  const per = reduce || size !== rows * extent ? 'row' : 'element';
  if (size !== (per === 'row' ? rows : rows * extent) || (reduce && sizeOf(reduce.extent) !== extent)) return undefined;
  const [row, element] = [axis(0, rows), axis(1, extent)];
  const point = per === 'row' ? row : add(mul(row, constant(extent, 'i32')), element);
  const axes = [...unflatten(point, kernel.shape), ...(reduce ? unflatten(element, reduce.extent) : [])];
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

/** Where the elements of a value per row, or per element, lie. */
function ownIndex(per: Part['per'], { rows, extent }: Geometry): Expr {
  const row = axis(0, rows);
  return per === 'row' ? row : add(mul(row, constant(extent, 'i32')), axis(1, extent));
}

/** Whether every part reads what the others wrote at its own place alone, and whole numbers not cut by the buffer between them. */
function aligned(parts: readonly Part[], geometry: Geometry): boolean {
  const written = new Map<number, Expr>();
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
  const stages: { op: RowKernel['stages'][number]['op']; body: Expr }[] = [];
  const outputs: RowOutput[] = [];
  for (const { kernel, body, values, per } of parts) {
    const stage = stages.length;
    const resolve = (e: Expr): Expr =>
      substitute(e, (part) => {
        if (part.op === 'accumulator') return accumulator(part.type, stage);
        if (part.op !== 'load') return undefined;
        const { buffer } = kernel.inputs[part.value] as BufferUse;
        return known.get(buffer) ?? load(slots.get(buffer) as number, resolve(part.args[0] as Expr), part.type);
      });
    if (kernel.reduce && body) stages.push({ op: kernel.reduce.op, body: resolve(body) });
    kernel.outputs.forEach(({ buffer, dtype }, i) => {
      const value = resolve(values[i] as Expr);
      known.set(buffer, dtype === 'f16' ? half(value) : value);
      if (wanted.has(buffer)) outputs.push({ buffer, dtype, value, per });
    });
  }
  const names = new Set(parts.flatMap(({ kernel }) => kernel.name.split('+')));
  return { kind: 'rows', name: [...names].join('+'), rows, extent, inputs, stages, outputs };
}
