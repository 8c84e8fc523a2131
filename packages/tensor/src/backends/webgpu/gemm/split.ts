/** The second half of a product whose sums were computed in parts: the parts are added in order, then the outputs are made. */
import type { BufferUse, LoopKernel } from '../../../compile/kernel.ts';
import { add, axis, constant, type Expr, load, mul, substitute, walk } from '../../../expr/expr.ts';
import { loopShader } from '../loop.ts';
import type { Target } from '../target.ts';
import { product, rowMajor, type Shader } from '../wgsl.ts';
import type { Contraction } from './contraction.ts';

/** Stands for the scratch buffer in a kernel, whose buffers have numbers from 0 on. */
const scratchNumber = -1;

/**
 * The factor by which estimated times of split products are raised: a split has to bring that much on paper, since
 * workgroups do not run in the even rounds that make it look good.
 */
export const splitGain = 1.15;

/** Buffers that the shader touches which adds the parts. */
export function buffersOfSum(kernel: Contraction): number {
  const { inputs, outputs } = sumKernel(kernel, 2);
  return new Set([...inputs, ...outputs].map(({ buffer }) => buffer)).size;
}

/** The shader that adds `split` partial outputs, one after the other in the first scratch buffer. */
export function sumOfParts(kernel: Contraction, target: Target, split: number): Shader {
  const shader = loopShader(sumKernel(kernel, split), target, { threads: 256, reduceBy: 'thread' });
  const bindings = shader.bindings.map((binding) =>
    binding.buffer === scratchNumber ? { ...binding, buffer: 0, scratch: true as const } : binding,
  );
  return { ...shader, bindings };
}

/** A loop kernel that reads the parts and what the outputs' values load. */
function sumKernel({ name, shape, inputs, outputs }: Contraction, split: number): LoopKernel {
  const slots = new Map<number, number>();
  const seen = new Set<Expr>();
  for (const { value } of outputs) {
    walk(value, (e) => e.op === 'load' && !slots.has(e.value) && slots.set(e.value, slots.size), seen);
  }
  const moved = (e: Expr): Expr =>
    substitute(e, (leaf) =>
      leaf.op === 'load' ? load(slots.get(leaf.value) as number, moved(leaf.args[0] as Expr), leaf.type) : undefined,
    );
  const part = mul(axis(shape.length, split), constant(product(shape), 'i32'));
  return {
    kind: 'loop',
    name,
    shape,
    inputs: [...[...slots.keys()].map((slot) => inputs[slot] as BufferUse), { buffer: scratchNumber, dtype: 'f32' }],
    reduce: { op: 'sum', extent: [split], body: load(slots.size, add(part, rowMajor(shape)), 'f32') },
    outputs: outputs.map((output) => ({ ...output, value: moved(output.value) })),
  };
}
