/**
 * How a matrix product reads and writes its buffers: which loads of its factors and of its outputs' values take four
 * elements at once, and which buffers are therefore bound as vectors, as elements, or as both.
 */
import type { BufferUse, Contraction, LoopOutput } from '../../../compile/kernel.ts';
import { dtypes } from '../../../dtype.ts';
import { type Expr, walk } from '../../../expr/expr.ts';
import { affine } from '../../../expr/simplify.ts';
import { type Binding, bindingsOf, startOf } from '../storage.ts';
import type { Target } from '../target.ts';
import { vectorForm, vectorLoads } from '../vectors.ts';
import { sizesOf } from './contraction.ts';

export interface FactorAccess {
  /** The axis along which vectors lie: the sum's ('k'), the factor's own ('free'), or none. */
  readonly vectors: 'k' | 'free' | 'none';
  /** Loads that take vectors, with the vector's number. */
  readonly loads: ReadonlyMap<Expr, Expr>;
  /** Whether neighbouring threads take neighbouring steps of the sum, rather than neighbours along the factor's own axis. */
  readonly alongK: boolean;
}

export interface Access {
  readonly factors: readonly [FactorAccess, FactorAccess];
  /** Loads of the outputs' values that take vectors along the columns, with the vector's number. */
  readonly values: ReadonlyMap<Expr, Expr>;
  /** Whether each output is stored four elements at a time. */
  readonly vectorOutputs: readonly boolean[];
  readonly bindings: readonly Binding[];
}

interface Use extends BufferUse {
  readonly vector: boolean;
  readonly written: boolean;
}

/**
 * The accesses of a shader that computes `outputs` of `kernel`; it also writes the `scratch` buffers, as f32.
 */
export function accessOf(
  kernel: Contraction,
  target: Target,
  outputs: readonly LoopOutput[],
  scratch: readonly Binding[],
): Access {
  const attempt = (barred: ReadonlySet<number>): Access & { uses: readonly Use[] } => {
    const found = survey(kernel, outputs, barred);
    return { ...found, bindings: [...bind(found.uses, target), ...scratch] };
  };
  const free = attempt(new Set());
  const barred = conflicts(free.uses);
  const result = barred.size === 0 ? free : attempt(barred);
  // A buffer that is bound twice may be one too many.
  if (result.bindings.length <= target.buffers) return result;
  return attempt(new Set(result.uses.map(({ buffer }) => buffer)));
}

/** Every use of a buffer, with vectors wherever a buffer is not `barred` from them. */
function survey(
  kernel: Contraction,
  outputs: readonly LoopOutput[],
  barred: ReadonlySet<number>,
): Omit<Access, 'bindings'> & { readonly uses: readonly Use[] } {
  const { n } = sizesOf(kernel);
  const rank = kernel.shape.length;
  const { factors } = kernel.reduce;
  const allowed = (loads: Map<Expr, Expr>): Map<Expr, Expr> =>
    new Map([...loads].filter(([e]) => !barred.has((kernel.inputs[e.value] as BufferUse).buffer)));
  const left = factorAccess(kernel, factors[0], rank - 2, allowed);
  const right = factorAccess(kernel, factors[1], rank - 1, allowed);
  const terms = outputs.map(({ value }) => value);
  const values = allowed(vectorLoads(terms, rank - 1, n));
  const vectorOutputs = outputs.map(
    ({ buffer, factorSum }) => factorSum === undefined && n % 4 === 0 && !barred.has(buffer),
  );

  const uses: Use[] = [];
  const read = (parts: readonly Expr[], vectors: ReadonlyMap<Expr, Expr>): void => {
    const seen = new Set<Expr>();
    const visit = (e: Expr): void => {
      if (e.op !== 'load') return;
      uses.push({ ...(kernel.inputs[e.value] as BufferUse), vector: vectors.has(e), written: false });
    };
    for (const part of parts) walk(part, visit, seen);
  };
  read([factors[0]], left.loads);
  read([factors[1]], right.loads);
  read(terms, values);
  outputs.forEach(({ buffer, dtype, part }, i) => {
    uses.push({ buffer, dtype, ...(part && { part }), vector: vectorOutputs[i] as boolean, written: true });
  });
  return { factors: [left, right], values, vectorOutputs, uses };
}

function factorAccess(
  kernel: Contraction,
  factor: Expr,
  free: number,
  allowed: (loads: Map<Expr, Expr>) => Map<Expr, Expr>,
): FactorAccess {
  const rank = kernel.shape.length;
  const alongFree = allowed(vectorLoads([factor], free, kernel.shape[free] as number));
  const alongK = allowed(vectorLoads([factor], rank, sizesOf(kernel).k));
  if (alongFree.size > 0 && alongFree.size >= alongK.size) return { vectors: 'free', loads: alongFree, alongK: false };
  if (alongK.size > 0) return { vectors: 'k', loads: alongK, alongK: true };
  return { vectors: 'none', loads: alongK, alongK: contiguousAlong(factor, rank, rank + 1) };
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

/** Buffers that cannot be bound as vectors: used as two types, or written where some of their uses are no vectors. */
function conflicts(uses: readonly Use[]): Set<number> {
  const found = new Set<number>();
  for (const { buffer, part } of uses) {
    // Parts of one buffer are written each by themselves.
    const own = uses.filter((use) => use.buffer === buffer && use.part === part);
    const mixed = new Set(own.map(({ dtype }) => dtype)).size > 1;
    if (mixed || (own.some(({ written }) => written) && own.some(({ vector }) => !vector))) found.add(buffer);
  }
  return found;
}

function bind(uses: readonly Use[], target: Target): Binding[] {
  const scalar = uses.filter(({ vector }) => !vector);
  const elements = bindingsOf(
    scalar,
    scalar.filter(({ written }) => written),
    target,
  );
  const vectors = new Map<string, Binding>();
  for (const use of uses) {
    if (!use.vector) continue;
    const { buffer, dtype, part, written } = use;
    const start = startOf(use);
    const key = `${buffer} ${start}`;
    const known = vectors.get(key);
    vectors.set(key, {
      buffer,
      writable: written || known?.writable === true,
      stored: vectorForm(dtype, target).type,
      name: known?.name ?? `vectors${vectors.size}`,
      vector: true,
      ...(part && { range: { offset: start, bytes: part.length * dtypes[dtype].bytes } }),
    });
  }
  return [...elements, ...vectors.values()];
}
