/** Which shaders a kernel becomes, and how many workgroups they start. */
import { separated } from '../../compile/factor-sums.ts';
import type { Kernel } from '../../compile/kernel.ts';
import { DeviceError } from '../../errors.ts';
import {
  type AttentionSchedule,
  attentionCandidates,
  attentionClass,
  attentionCounts,
  attentionShaders,
} from './attention/choose.ts';
import { candidates, type GemmSchedule, gemmShaders, shapeClass } from './gemm/choose.ts';
import { loopShader } from './loop.ts';
import { stripLoopShader } from './loop-strips.ts';
import { rowShaders } from './rows.ts';
import { scatterShaders } from './scatter.ts';
import type { Target } from './target.ts';
import { product, type Shader } from './wgsl.ts';

/** Elements and steps are counted in i32, by threads of which the last ones count past the end. */
const mostElements = 2 ** 31 - 2 ** 18;

/** How a kernel is computed, where there are several ways. A schedule can be kept as JSON, and is for kernels of one kind. */
export type Schedule = AttentionSchedule | GemmSchedule;

/** What a kernel becomes. */
export interface KernelShaders {
  /** To run in this order. */
  readonly shaders: readonly Shader[];
  /** Bytes of the scratch buffers that they pass on to each other; their contents mean nothing before and after. */
  readonly scratch?: readonly number[];
  /** Why the kernel does not run in its fastest form, where it could on another device. */
  readonly fallback?: string;
}

/**
 * The shaders of `kernel`, by the first of its `candidates` unless `forced` names another one.
 * Throws DeviceError for a kernel with too many elements.
 */
export function shadersOf(kernel: Kernel, target: Target, forced?: Schedule): KernelShaders {
  for (const count of countsOf(kernel)) {
    if (count <= mostElements) continue;
    throw new DeviceError(
      `The kernel '${kernel.name}' has ${count} elements, but a WebGPU kernel counts at most ${mostElements}`,
      'split the tensor',
    );
  }
  if (kernel.kind === 'rows') return rowShaders(kernel, target);
  if (kernel.kind === 'scatter') return { shaders: scatterShaders(kernel, target) };
  if (kernel.kind === 'attention') return attentionShaders(kernel, target, forced as AttentionSchedule | undefined);
  const schedule = (forced as GemmSchedule | undefined) ?? candidates(kernel, target)[0];
  const asProduct = schedule && gemmShaders(kernel, target, schedule);
  if (asProduct) return asProduct;
  return { shaders: separated(kernel).map((one) => stripLoopShader(one, target) ?? loopShader(one, target)) };
}

/** The schedules that `kernel` can be computed by on `target`, the default first; none where there is but one way. */
export function schedulesOf(kernel: Kernel, target: Target): readonly Schedule[] {
  return kernel.kind === 'attention' ? attentionCandidates(kernel, target) : candidates(kernel, target);
}

/** Kernels of one class are best computed by the same schedule on one device. Empty where there is but one way. */
export function scheduleClass(kernel: Kernel, { products }: Target): string {
  if (kernel.kind === 'attention') return attentionClass(kernel);
  const name = shapeClass(kernel);
  return name === '' || products === undefined ? name : `${name}, ${products}`;
}

/** What the threads of a kernel count: elements of outputs and sources, steps of reductions. */
function countsOf(kernel: Kernel): number[] {
  if (kernel.kind === 'loop') return [product(kernel.shape), product(kernel.reduce?.extent ?? [])];
  if (kernel.kind === 'attention') return attentionCounts(kernel);
  if (kernel.kind === 'rows') return [kernel.rows * kernel.extent];
  return [kernel.outer * kernel.size * kernel.inner, kernel.outer * kernel.count * kernel.inner];
}

/** Workgroups in x and y that make at least `count`, the fewest beyond it, none larger than `limit`. */
export function grid(count: number, limit: number): readonly [number, number] {
  const y = Math.ceil(count / limit);
  if (y > limit) {
    throw new DeviceError(`A kernel needs ${count} workgroups, but this device starts at most ${limit * limit}`);
  }
  return [Math.ceil(count / y), y];
}
