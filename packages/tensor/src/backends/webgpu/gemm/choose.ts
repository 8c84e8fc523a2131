/**
 * The choice among the variants of matrix products. A schedule is plain data that names its variant by its `kind`; the
 * first candidate is taken unless another one is asked for.
 */
import { factorSums, withoutSums } from '../../../compile/factor-sums.ts';
import { multipliesHalves } from '../../../compile/halves.ts';
import { isContraction, type Kernel } from '../../../compile/kernel.ts';
import { DeviceError } from '../../../errors.ts';
import type { KernelShaders } from '../kernels.ts';
import { loopShader } from '../loop.ts';
import type { Target } from '../target.ts';
import { sizesOf } from './contraction.ts';
import { type DirectSchedule, direct } from './direct.ts';
import type { MatrixSchedule } from './matrix-schedule.ts';
import type { TileSchedule } from './schedules.ts';
import { tiles } from './tiles.ts';
import type { GemmVariant } from './variant.ts';

/** The schedules of every variant by their kind. */
interface Schedules {
  readonly matrix: MatrixSchedule;
  readonly tiles: TileSchedule;
  readonly direct: DirectSchedule;
}

/** How a matrix product is computed. Schedules can be kept as JSON. */
export type GemmSchedule = Schedules[keyof Schedules];

/** A way of computing matrix products, whose schedules are of this kind. */
type Variants = { readonly [Kind in keyof Schedules]: GemmVariant<Schedules[Kind]> };

/** Subgroup matrices, once `loadVariants` has loaded them: few devices have such, and pages on others need not fetch them. */
let matrix: Variants['matrix'] | undefined;

/** Loads what only some devices compute by; to be awaited before anything is compiled for such a `target`. */
export async function loadVariants({ matrixSyntax }: Target): Promise<void> {
  if (matrixSyntax) matrix ??= (await import('./matrix.ts')).matrix;
}

/** The variants for `target`, in order of preference where nothing was measured: but see `candidates`. */
function variantsFor({ matrixSyntax }: Target): Partial<Variants> {
  if (!matrixSyntax) return { tiles, direct };
  if (!matrix) throw new DeviceError('The products of subgroup matrices are not loaded', 'await loadVariants first');
  return { matrix, tiles, direct };
}

/** The schedules that `kernel` can be computed by on `target`, the default first; none where it is no matrix product or a tiny one. */
export function candidates(kernel: Kernel, target: Target): readonly GemmSchedule[] {
  if (!isContraction(kernel)) return [];
  const found = Object.values(variantsFor(target)).flatMap((variant): readonly GemmSchedule[] => {
    return variant.candidates(variant.sumsFactors ? kernel : withoutSums(kernel), target);
  });
  if (!target.processor) return found;
  return [...found].sort((a, b) => Number(b.kind === 'direct') - Number(a.kind === 'direct'));
}

/** The shaders of `kernel` by `schedule`; undefined where it is no matrix product. */
export function gemmShaders(kernel: Kernel, target: Target, schedule: GemmSchedule): KernelShaders | undefined {
  if (!isContraction(kernel)) return undefined;
  // The variant of a schedule's kind takes that schedule, which the types cannot say of the whole table.
  const variant = variantsFor(target)[schedule.kind] as GemmVariant<GemmSchedule> | undefined;
  if (!variant) throw new DeviceError(`This device has no matrix products of the kind '${schedule.kind}'`);
  if (variant.sumsFactors) return variant.shaders(kernel, target, schedule);
  const { shaders, ...rest } = variant.shaders(withoutSums(kernel), target, schedule);
  const sums = factorSums(kernel).map((sum) => loopShader(sum.kernel, target));
  return { ...rest, shaders: [...sums, ...shaders] };
}

/** The power of two at or below `x`. */
const rounded = (x: number): number => 2 ** Math.floor(Math.log2(x));

/**
 * Kernels of one class are best computed by the same schedule: their sizes have the same powers of two, and agree in
 * what is divisible by 4, in their types and in whether their factors are halves. Empty where `kernel` is no matrix product.
 */
export function shapeClass(kernel: Kernel): string {
  if (!isContraction(kernel)) return '';
  const { batch, m, n, k } = sizesOf(kernel);
  const count = batch.reduce((a, b) => a * b, 1);
  const size = (x: number): string => `${rounded(x)}${x % 4 === 0 ? 'x4' : ''}`;
  const types = [...kernel.inputs, ...kernel.outputs].map(({ dtype }) => dtype).join(' ');
  const halves = multipliesHalves(kernel) ? ', halves' : '';
  return `${rounded(count)} of ${size(m)} ${size(n)} ${size(k)}: ${types}${halves}`;
}
