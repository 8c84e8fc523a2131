/**
 * Staging for products of subgroup matrices: how a strip of one factor comes from storage into workgroup memory as
 * halves. A thread handles units of eight neighbouring elements; what it loads for the next strip waits in variables
 * while the strip before is multiplied, and is converted and stored after that.
 */
import type { BufferUse } from '../../../compile/kernel.ts';
import { type Expr, walk } from '../../../expr/expr.ts';
import { linear } from '../../../expr/simplify.ts';
import { type Binding, bindingOf } from '../storage.ts';
import { Scope, type ShaderText } from '../wgsl.ts';
import { type Fragments, type Order, type Role, unitHalves } from './fragments.ts';

/**
 * How a load is done for the eight elements of a unit: by vectors of 16 bytes, once for all of them, or one by one.
 */
type Reach = 'vector' | 'same' | 'each';

/** How the strips of one factor are staged. */
export interface StripPlan {
  /** The factor's value, without a rounding to half precision that staging does anyway. */
  readonly value: Expr;
  /** Whether units run along k, or along the factor's free axis. */
  readonly alongK: boolean;
  /** Whether the extent along which units run is a multiple of eight, so that a unit is within it or beyond it. */
  readonly aligned: boolean;
  /** The loads of the value that are in no other load's index. */
  readonly loads: ReadonlyMap<Expr, Reach>;
}

/** The axis positions and extents that a factor varies along. */
export interface FactorAxes {
  readonly free: { readonly axis: number; readonly extent: number };
  readonly k: { readonly axis: number; readonly extent: number };
}

/** Elements of 16 bytes, for the dtypes that are loaded by vectors. */
const vectorLength: Readonly<Partial<Record<BufferUse['dtype'], number>>> = { f32: 4, f16: 8 };

function outerLoads(value: Expr): Expr[] {
  const loads = new Set<Expr>();
  const visit = (e: Expr): void => {
    if (e.op === 'load') loads.add(e);
    else for (const arg of e.args) visit(arg);
  };
  visit(value);
  return [...loads];
}

function dependsOn(e: Expr, axis: number): boolean {
  let found = false;
  walk(e, (part) => {
    found ||= part.op === 'axis' && part.value === axis;
  });
  return found;
}

/** The factor of `axis` in a load's index, where it is a plain multiple there and the rest is a multiple of `length`. */
function strideAlong(load: Expr, axis: number, length: number): number | undefined {
  const form = linear(load.args[0] as Expr);
  let stride: number | undefined;
  for (const [e, factor] of form.terms) {
    if (e.op === 'axis' && e.value === axis) stride = factor;
    else if (dependsOn(e, axis) || factor % length !== 0) return undefined;
  }
  return form.constant % length === 0 ? stride : undefined;
}

/** Chooses the axis along which most loads of `factor` can be done by vectors, or are at least neighbours. */
export function planStrip(
  factor: Expr,
  axes: FactorAxes,
  inputs: readonly BufferUse[],
  fixed: ReadonlySet<number>,
): StripPlan {
  const value = factor.op === 'half' ? (factor.args[0] as Expr) : factor;
  const loads = outerLoads(value);
  const reachAlong =
    (axis: number, aligned: boolean) =>
    (load: Expr): Reach => {
      if (!dependsOn(load, axis)) return 'same';
      const use = inputs[load.value] as BufferUse;
      const length = fixed.has(use.buffer) ? undefined : vectorLength[use.dtype];
      return aligned && length !== undefined && strideAlong(load, axis, length) === 1 ? 'vector' : 'each';
    };
  const plan = (alongK: boolean): StripPlan & { readonly score: number } => {
    const { axis, extent } = alongK ? axes.k : axes.free;
    const aligned = extent % unitHalves === 0;
    const reach = reachAlong(axis, aligned);
    const reaches = new Map(loads.map((load) => [load, reach(load)]));
    let score = 0;
    for (const [load, how] of reaches) score += how === 'vector' ? 4 : strideAlong(load, axis, 1) === 1 ? 1 : 0;
    return { value, alongK, aligned, loads: reaches, score };
  };
  const [byK, byFree] = [plan(true), plan(false)];
  return byFree.score > byK.score ? byFree : byK;
}

/** The bindings with those as vectors whose loads are done by vectors. */
export function widened(
  bindings: readonly Binding[],
  plans: readonly StripPlan[],
  inputs: readonly BufferUse[],
): Binding[] {
  const wide = new Map<number, 'vec4<f32>' | 'vec4<u32>'>();
  for (const { loads } of plans) {
    for (const [load, reach] of loads) {
      const use = inputs[load.value] as BufferUse;
      if (reach === 'vector') wide.set(use.buffer, use.dtype === 'f32' ? 'vec4<f32>' : 'vec4<u32>');
    }
  }
  return bindings.map((binding) => {
    const stored = binding.scratch ? undefined : wide.get(binding.buffer);
    return stored ? { ...binding, stored } : binding;
  });
}

export interface StripParts {
  readonly shader: ShaderText;
  /** The block around the loop over strips. */
  readonly root: Scope;
  readonly fragments: Fragments;
  readonly inputs: readonly BufferUse[];
  readonly role: Role;
  readonly array: string;
  readonly plan: StripPlan;
  readonly axes: FactorAxes;
  /** Texts of the tile's first free position and of both extents. */
  readonly tileStart: string;
  readonly extents: { readonly free: string; readonly k: string };
  readonly tile: number;
  readonly tileK: number;
  readonly threads: number;
  /** Whether halves are followed by what they leave of the values, for products of three. */
  readonly rests: boolean;
}

/** Texts that bring strips of one factor into workgroup memory. */
export interface Strip {
  /** Units from one row of the staged strip to the next. */
  readonly stride: number;
  /** Units of a strip; as many again follow for the rests. */
  readonly units: number;
  /** How the staged strip lies, as fragments see it. */
  readonly order: Order;
  /** To stand before the loop; complete only when the texts below have been made. */
  readonly lines: readonly string[];
  /** Loads the strip that starts at the text `start` into variables. */
  readonly fetch: (start: string) => string[];
  /** Stores the strip that was fetched and that starts at `start`. */
  readonly stage: (start: string) => string[];
}

/** Units of a staged row: one more than its elements need, so that rows start in different banks. */
const rowUnits = (length: number): number => length / unitHalves + 1;

/** The sizes of a staged strip, in units. */
export function stripSize(
  { alongK }: Pick<StripPlan, 'alongK'>,
  tile: number,
  tileK: number,
): { stride: number; units: number } {
  const stride = rowUnits(alongK ? tileK : tile);
  return { stride, units: stride * (alongK ? tile : tileK) };
}

export function makeStrip(parts: StripParts): Strip {
  const { plan, tile, tileK, threads, role } = parts;
  const { stride, units } = stripSize(plan, tile, tileK);
  const count = Math.ceil((tile * tileK) / unitHalves / threads);
  const made = Array.from({ length: count }, (_, u) => makeUnit(parts, u, stride, units));
  const byRows = plan.alongK === (role === 'left');
  return {
    stride,
    units,
    order: byRows ? 'rows' : 'columns',
    get lines() {
      return made.flatMap(({ lines }) => lines);
    },
    fetch: (start) => made.flatMap(({ fetch }) => fetch(start)),
    stage: (start) => made.flatMap(({ stage }) => stage(start)),
  };
}

interface Unit {
  readonly lines: readonly string[];
  readonly fetch: (start: string) => string[];
  readonly stage: (start: string) => string[];
}

function makeUnit(parts: StripParts, u: number, stride: number, restOffset: number): Unit {
  const { shader, root, plan, axes, extents, tile, tileK, threads, fragments, array } = parts;
  const { alongK, aligned } = plan;
  const perRow = (alongK ? tileK : tile) / unitHalves;
  const total = (tile * tileK) / unitHalves;
  const [unit, row, column, free] = [shader.name(), shader.name(), shader.name(), shader.name()];
  const scope = new Scope(shader, root);
  // Positions past the end are clamped for loading; what they give is never stored, or replaced by zeros.
  const last = (extent: string, elements: number): string => `${extent} - ${elements}`;
  const freeStart = `${parts.tileStart} + ${alongK ? row : column}`;
  scope.lines.push(
    `let ${unit} = lane + ${u * threads};`,
    `let ${row} = ${unit} / ${perRow};`,
    `let ${column} = ${unit} % ${perRow} * ${unitHalves};`,
    `let ${free} = min(${freeStart}, ${last(extents.free, !alongK && aligned ? unitHalves : 1)});`,
  );
  scope.bindAxis(axes.free.axis, free);
  const kOffset = alongK ? column : row;
  const wholeStrips = axes.k.extent % tileK === 0;

  const raws = new Map<Expr, string[]>();
  for (const [load, reach] of plan.loads) {
    const type = reach === 'vector' ? wideType(parts, load) : load.type;
    const names = Array.from({ length: rawCount(parts, load, reach) }, () => shader.name());
    raws.set(load, names);
    scope.lines.push(...names.map((name) => `var ${name}: ${type};`));
  }

  const fetch = (start: string): string[] => {
    const inner = new Scope(shader, scope);
    const k = shader.name();
    const kLast = last(extents.k, alongK && aligned ? unitHalves : 1);
    inner.lines.push(`let ${k} = ${wholeStrips ? `${start} + ${kOffset}` : `min(${start} + ${kOffset}, ${kLast})`};`);
    inner.bindAxis(axes.k.axis, k);
    const lines: string[] = [];
    for (const [load, reach] of plan.loads) {
      const names = raws.get(load) as string[];
      if (reach === 'same') lines.push(`${names[0]} = ${inner.emit(load)};`);
      else if (reach === 'vector') {
        const at = inner.emit(load.args[0] as Expr);
        const { name } = bindingOf(parts.inputs[load.value] as BufferUse, shader.bindings);
        const shift = names.length === 1 ? 3 : 2;
        lines.push(...names.map((raw, i) => `${raw} = ${name}[(u32(${at}) >> ${shift}u)${i ? ` + ${i}u` : ''}];`));
      } else {
        names.forEach((raw, j) => {
          const one = new Scope(shader, root);
          const next = (from: string, extent: string): string =>
            j === 0 ? from : `min(${from} + ${j}, ${extent} - 1)`;
          one.bindAxis(axes.k.axis, alongK ? next(k, extents.k) : k);
          one.bindAxis(axes.free.axis, alongK ? free : next(free, extents.free));
          const value = one.emit(load);
          lines.push(...one.lines, `${raw} = ${value};`);
        });
      }
    }
    return [...inner.lines, ...lines];
  };

  const stage = (start: string): string[] => {
    const k = `${start} + ${kOffset}`;
    const words = parts.rests ? undefined : plainWords(parts, raws);
    const lines: string[] = [];
    const place = `${row} * ${stride} + ${column} / ${unitHalves}`;
    if (words !== undefined) {
      const masked = wholeStrips ? words : `select(vec4u(), ${words}, ${k} < ${extents.k})`;
      lines.push(...fragments.stage(array, place, { words: masked }));
    } else {
      const values = Array.from({ length: unitHalves }, (_, j) => {
        const one = new Scope(shader, root);
        one.bindAxis(axes.k.axis, alongK ? `(${k} + ${j})` : `(${k})`);
        one.bindAxis(axes.free.axis, alongK ? free : `(${free} + ${j})`);
        for (const [load, reach] of plan.loads) {
          one.bindTerm(load, rawElement(parts, load, reach, raws.get(load) as string[], j));
        }
        const value = one.emit(plan.value);
        lines.push(...one.lines);
        const own = alongK && !aligned ? `${k} + ${j}` : k;
        return wholeStrips ? value : `select(0f, ${value}, ${own} < ${extents.k})`;
      });
      if (!parts.rests) lines.push(...fragments.stage(array, place, { values }));
      else {
        const names = values.map((value) => {
          const name = shader.name();
          lines.push(`let ${name} = ${value};`);
          return name;
        });
        const rests = names.map((name) => `(${name} - ${fragments.rounded(name)}) * ${restScale}f`);
        lines.push(...fragments.stage(array, place, { values: names }));
        lines.push(...fragments.stage(array, `${place} + ${restOffset}`, { values: rests }));
      }
    }
    return (u + 1) * threads <= total ? lines : [`if (${unit} < ${total}) {`, ...lines, '}'];
  };
  return { lines: scope.lines, fetch, stage };
}

/** What is left of a value by rounding to eleven bits is stored multiplied by this, so that it keeps its own eleven. */
export const restScale = 2048;

const wideType = ({ shader, inputs }: StripParts, load: Expr): string =>
  bindingOf(inputs[load.value] as BufferUse, shader.bindings).stored;

/** The variables that the eight elements of a load need. */
function rawCount({ inputs }: StripParts, load: Expr, reach: Reach): number {
  if (reach === 'same') return 1;
  if (reach === 'each') return unitHalves;
  return inputs[load.value]?.dtype === 'f16' ? 1 : 2;
}

/** Element `j` of a load that lies in the variables `names`. */
function rawElement({ inputs }: StripParts, load: Expr, reach: Reach, names: readonly string[], j: number): string {
  if (reach === 'same') return names[0] as string;
  if (reach === 'each') return names[j] as string;
  if (inputs[load.value]?.dtype === 'f16') return `unpack2x16float(${names[0]}.${'xyzw'[j >> 1]}).${'xy'[j & 1]}`;
  return `${names[j >> 2]}.${'xyzw'[j & 3]}`;
}

/** The words of a unit, where its halves are stored just as they were loaded. */
function plainWords({ plan, inputs }: StripParts, raws: ReadonlyMap<Expr, readonly string[]>): string | undefined {
  const { value, loads } = plan;
  const plain = loads.get(value) === 'vector' && inputs[value.value]?.dtype === 'f16';
  return plain ? raws.get(value)?.[0] : undefined;
}
