/**
 * The second half of a product whose sums were computed in parts: the parts are added in order, then the outputs are
 * made. Sums of factors are added by workgroups of their own in the same dispatch.
 */
import { factorSums, withoutSums } from '../../../compile/factor-sums.ts';
import type { BufferUse, Contraction, LoopKernel } from '../../../compile/kernel.ts';
import { add, axis, constant, type Expr, load, mul, substitute, walk } from '../../../expr/expr.ts';
import { loopsShader } from '../loop.ts';
import { bindingsOf } from '../storage.ts';
import type { Target } from '../target.ts';
import { product, rowMajor, type Shader } from '../wgsl.ts';

/** Stand for the scratch buffers in a kernel, whose buffers have numbers from 0 on: parts of the product, and of sums of factors. */
const scratchNumbers = [-1, -2];

/**
 * The factor by which estimated times of split products are raised: a split has to bring that much on paper, since
 * workgroups do not run in the even rounds that make it look good.
 */
export const splitGain = 1.15;

/** Buffers that the shader binds which adds the parts. */
export function buffersOfSum(kernel: Contraction, target: Target): number {
  const kernels = sumKernels(kernel, 2);
  const [{ inputs }] = kernels;
  return bindingsOf(
    inputs,
    kernels.flatMap(({ outputs }) => outputs),
    target,
  ).length;
}

/**
 * The shader that adds `split` partial outputs, one after the other in the first scratch buffer, and partial sums of
 * factors, those of one factor after those of the other in the second.
 */
export function sumOfParts(kernel: Contraction, target: Target, split: number): Shader {
  const shader = loopsShader(sumKernels(kernel, split), target, 256);
  const bindings = shader.bindings.map((binding) => {
    const buffer = scratchNumbers.indexOf(binding.buffer);
    return buffer < 0 ? binding : { ...binding, buffer, scratch: true as const };
  });
  return { ...shader, bindings };
}

/** Loop kernels that read the parts and what the outputs' values load: for the product, and for each factor that is summed. */
function sumKernels(kernel: Contraction, split: number): readonly [LoopKernel, ...LoopKernel[]] {
  const { outputs } = withoutSums(kernel);
  const slots = new Map<number, number>();
  const seen = new Set<Expr>();
  for (const { value } of outputs) {
    walk(value, (e) => e.op === 'load' && !slots.has(e.value) && slots.set(e.value, slots.size), seen);
  }
  const moved = (e: Expr): Expr =>
    substitute(e, (leaf) =>
      leaf.op === 'load' ? load(slots.get(leaf.value) as number, moved(leaf.args[0] as Expr), leaf.type) : undefined,
    );
  const sums = factorSums(kernel);
  const scratch = scratchNumbers.slice(0, sums.length > 0 ? 2 : 1);
  const inputs = [
    ...[...slots.keys()].map((slot) => kernel.inputs[slot] as BufferUse),
    ...scratch.map((buffer): BufferUse => ({ buffer, dtype: 'f32' })),
  ];
  /** `one` as the sum of parts from element `first` of the scratch buffer `position` on. */
  const adding = (one: LoopKernel, position: number, first: number): LoopKernel => {
    const { name, shape } = one;
    const part = mul(axis(shape.length, split), constant(product(shape), 'i32'));
    const index = add(add(part, rowMajor(shape)), constant(first, 'i32'));
    const reduce = { op: 'sum', extent: [split], body: load(slots.size + position, index, 'f32') } as const;
    const values = one.outputs.map((output) => ({ ...output, value: moved(output.value) }));
    return { kind: 'loop', name, shape, inputs, reduce, outputs: values };
  };
  let first = 0;
  const added = sums.map((sum) => {
    const start = first;
    first += split * product(sum.kernel.shape);
    return adding(sum.kernel, 1, start);
  });
  return [adding({ ...kernel, outputs }, 0, 0), ...added];
}
