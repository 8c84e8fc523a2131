/**
 * The kernels around a product of subgroup matrices: scales that bring rows of f32 into the range of halves, and the
 * sum over the parts of a product whose long sums are split.
 *
 * They pass scratch buffers on to one another. While terms are made, those are inputs and outputs like others, whose
 * buffers have negative numbers.
 */
import type { BufferUse, Contraction, LoopKernel, Output } from '../../../compile/kernel.ts';
import { accumulator, add, axis, constant, type Expr, load, mul, sub, substitute, term } from '../../../expr/expr.ts';
import { loopShader } from '../loop.ts';
import type { Binding } from '../storage.ts';
import type { Target } from '../target.ts';
import { product, rowMajor, type Shader } from '../wgsl.ts';
import { sizesOf } from './contraction.ts';

/** The use of a kernel's scratch buffer number `position`. */
const scratchUse = (position: number): BufferUse => ({ buffer: -1 - position, dtype: 'f32' });

/** The bindings with those of scratch buffers as what they are. */
export const withScratch = (bindings: readonly Binding[]): Binding[] =>
  bindings.map((binding) =>
    binding.buffer < 0 ? { ...binding, buffer: -1 - binding.buffer, scratch: true } : binding,
  );

/** The shader of a loop kernel that may use scratch buffers. */
function stageShader(kernel: LoopKernel, target: Target): Shader {
  const shader = loopShader(kernel, target);
  return { ...shader, bindings: withScratch(shader.bindings) };
}

/** The kernel with only those inputs that its terms load from. */
function pruned<K extends LoopKernel>(kernel: K): K {
  const slots = new Map<number, number>();
  const inputs: BufferUse[] = [];
  const renumbered = (e: Expr): Expr =>
    substitute(e, (part) => {
      if (part.op !== 'load') return undefined;
      let slot = slots.get(part.value);
      if (slot === undefined) {
        slot = inputs.push(kernel.inputs[part.value] as BufferUse) - 1;
        slots.set(part.value, slot);
      }
      return load(slot, renumbered(part.args[0] as Expr), part.type);
    });
  const outputs = kernel.outputs.map((output): Output => ({ ...output, value: renumbered(output.value) }));
  if (!kernel.reduce) return { ...kernel, inputs, outputs };
  const { factors, body } = kernel.reduce;
  const reduce = factors
    ? { ...kernel.reduce, body: renumbered(body), factors: factors.map(renumbered) }
    : { ...kernel.reduce, body: renumbered(body) };
  return { ...kernel, inputs, reduce, outputs };
}

// ---- Scales -------------------------------------------------------------------------------------------------------

/** Exponents of f32 as they are stored, 127 above what they mean. */
const mantissaBits = 23;
/** Scales bring the largest element of a row to 2^14 or a little more: halves end below 2^16. */
const scaledExponent = 127 + 14;
/** Rows whose largest element is smaller than 2^-112 are scaled as if it were that, so that scales have inverses. */
const [smallestExponent, largestExponent] = [15, 254];

const word = (value: number): Expr => constant(value, 'u32');
const bits = (e: Expr): Expr => term('bitcast', [e], 'u32');
const float = (e: Expr): Expr => term('bitcast', [e], 'f32');

/** The power of two that brings `magnitude`, at least 0, to 2^14 or a little more. Infinities and NaN count as the largest number. */
export function scaleOf(magnitude: Expr): Expr {
  const exponent = term('shr', [bits(magnitude), word(mantissaBits)]);
  const bounded = term('min', [term('max', [exponent, word(smallestExponent)]), word(largestExponent)]);
  return float(term('shl', [sub(word(127 + scaledExponent), bounded), word(mantissaBits)]));
}

/** 1 / `scale`, exactly. */
export const inverseOf = (scale: Expr): Expr => float(sub(word((254 << mantissaBits) >>> 0), bits(scale)));

/** A contraction whose factors are in the range of halves, and the shaders that have to run before it. */
interface Scaled {
  readonly kernel: Contraction;
  readonly shaders: readonly Shader[];
  readonly scratch: readonly number[];
}

/**
 * The same contraction of scaled factors: rows of the left one and columns of the right one are multiplied by powers of
 * two, each by the one that its largest element asks for, and the sums by the inverses.
 */
export function scaledFactors(kernel: Contraction, target: Target): Scaled {
  const { batch, m, n, k } = sizesOf(kernel);
  const rank = kernel.shape.length;
  const batches = product(batch);
  const batchIndex = rowMajor(batch);
  const inputs = [...kernel.inputs];
  const shaders: Shader[] = [];
  const sides = (
    [
      [m, rank - 2],
      [n, rank - 1],
    ] as const
  ).map(([extent, position], i) => {
    const factor = kernel.reduce.factors[i as 0 | 1];
    const magnitude: LoopKernel = {
      kind: 'loop',
      name: `${kernel.name} scales`,
      shape: [...batch, i === 0 ? m : 1, i === 1 ? n : 1],
      inputs: kernel.inputs,
      reduce: { op: 'max', extent: [k], body: term('abs', [factor]) },
      outputs: [{ ...scratchUse(i), value: scaleOf(accumulator('f32')) }],
    };
    shaders.push(stageShader(pruned(magnitude), target));
    const index = add(mul(batchIndex, constant(extent, 'i32')), axis(position, extent));
    const scale = load(inputs.push(scratchUse(i)) - 1, index, 'f32');
    return { factor: mul(factor, scale), inverse: inverseOf(scale) };
  });
  const [left, right] = sides as [(typeof sides)[number], (typeof sides)[number]];
  const folded = accumulator('f32');
  const inverses = [left.inverse, right.inverse];
  // The smaller one first: no product on the way is then beyond f32 where the result is not.
  const restored = mul(mul(folded, term('min', inverses)), term('max', inverses));
  const whole = (value: Expr): Expr => substitute(value, (e) => (e.op === 'accumulator' ? restored : undefined));
  const outputs = kernel.outputs.map((output) => ({ ...output, value: whole(output.value) }));
  const factors = [left.factor, right.factor] as const;
  const reduce = { ...kernel.reduce, body: mul(left.factor, right.factor), factors };
  return {
    kernel: { ...kernel, inputs, reduce, outputs },
    shaders,
    scratch: [4 * batches * m, 4 * batches * n],
  };
}

// ---- Split sums ---------------------------------------------------------------------------------------------------

/** A contraction's parts: the kernel that writes them, one after the other, and the shader that adds them up. */
interface Parts {
  readonly partial: Contraction;
  readonly sum: Shader;
  readonly bytes: number;
}

/** `kernel` as `split` parts of its sums, which it keeps in its scratch buffer number `position`. */
export function splitSums(kernel: Contraction, split: number, position: number, target: Target): Parts {
  const rank = kernel.shape.length;
  const elements = product(kernel.shape);
  const parts = scratchUse(position);
  const partial = pruned({ ...kernel, outputs: [{ ...parts, value: accumulator('f32') }] });
  const index = add(mul(axis(rank, split), constant(elements, 'i32')), rowMajor(kernel.shape));
  const sum: LoopKernel = {
    kind: 'loop',
    name: `${kernel.name} sum of parts`,
    shape: kernel.shape,
    inputs: [...kernel.inputs, parts],
    reduce: { op: 'sum', extent: [split], body: load(kernel.inputs.length, index, 'f32') },
    outputs: kernel.outputs,
  };
  return { partial, sum: stageShader(pruned(sum), target), bytes: 4 * split * elements };
}
