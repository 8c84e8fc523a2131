/** One kernel of several outputs from kernels over the same points. */
import { axis, type Expr, half, load, substitute, walk } from '../expr/expr.ts';
import { linear } from '../expr/simplify.ts';
import { unflatten } from '../ops/view.ts';
import { collapse, divisions, pointIndex } from './collapse.ts';
import type { BufferUse, LoopKernel, LoopOutput } from './kernel.ts';

/** Terms larger than this together need more registers than there are. */
const mostTerms = 200;

/**
 * One kernel that computes `parts`, in their order, over whichever of `shapes` needs no more index divisions than they
 * do; undefined where there is none, or where a part reads another one elsewhere than at its own point. At most one
 * part reduces, and only its own shape is then a shape to join over. Outputs that nobody has `wanted` are not stored.
 */
export function join(
  parts: readonly LoopKernel[],
  inputs: readonly BufferUse[],
  wanted: readonly BufferUse[],
  shapes: readonly (readonly number[])[],
): LoopKernel | undefined {
  const most = parts.reduce((sum, part) => sum + divisions(part), 0);
  for (const shape of shapes) {
    const kernel = over(shape, parts, inputs, new Set(wanted.map(({ buffer }) => buffer)));
    if (kernel && divisions(kernel) <= most) return kernel;
  }
  return undefined;
}

/** One kernel over `shape`; undefined where a part reads another one elsewhere than at its own point. */
function over(
  shape: readonly number[],
  parts: readonly LoopKernel[],
  inputs: readonly BufferUse[],
  wanted: ReadonlySet<number>,
): LoopKernel | undefined {
  const slots = new Map(inputs.map(({ buffer }, slot) => [buffer, slot] as const));
  const point = pointIndex(shape);
  const known = new Map<number, { readonly value: Expr; readonly dtype: BufferUse['dtype'] }>();
  const outputs: LoopOutput[] = [];
  const last = shape.length - 1;
  let reduce: LoopKernel['reduce'];
  let legal = true;
  for (const part of parts) {
    // The axes that a part reduces are those of the joined kernel.
    const axes = [...unflatten(point, part.shape), ...(part.reduce?.extent ?? []).map((e, i) => axis(last + 1 + i, e))];
    let folding = false;
    const swap = (e: Expr): Expr =>
      substitute(e, (leaf) => {
        if (leaf.op === 'axis') return axes[leaf.value];
        if (leaf.op !== 'load') return undefined;
        const { buffer, dtype } = part.inputs[leaf.value] as BufferUse;
        const index = swap(leaf.args[0] as Expr);
        const inside = known.get(buffer);
        if (!inside) return load(slots.get(buffer) as number, index, leaf.type);
        // A narrow type rounds what goes through its buffer.
        legal &&= index === point && !folding && dtype !== 'u8';
        return dtype === 'f16' ? half(inside.value) : inside.value;
      });
    if (part.reduce) {
      const { op, extent, body, factors } = part.reduce;
      folding = true;
      reduce = {
        op,
        extent,
        body: swap(body),
        ...(factors && { factors: [swap(factors[0]), swap(factors[1])] as const }),
      };
      folding = false;
    }
    for (const { value, ...output } of part.outputs) {
      const { buffer, dtype } = output;
      const result = swap(value);
      known.set(buffer, { value: result, dtype });
      if (wanted.has(buffer)) outputs.push({ ...output, value: result });
    }
  }
  if (!legal) return undefined;
  const seen = new Set<Expr>();
  for (const { value } of outputs) walk(value, (e) => (legal &&= e.op !== 'load' || isContiguous(e, last)), seen);
  if (!legal || seen.size > mostTerms) return undefined;
  const name = [...new Set(parts.flatMap((part) => part.name.split('+')))].join('+');
  return collapse({ kind: 'loop', name, shape, inputs, ...(reduce && { reduce }), outputs });
}

/** Whether a load's elements along axis `last` are neighbours, or one and the same. */
function isContiguous({ args }: Expr, last: number): boolean {
  for (const [part, factor] of linear(args[0] as Expr).terms) {
    if (part.op === 'axis' && part.value === last && factor !== 1) return false;
  }
  return true;
}
