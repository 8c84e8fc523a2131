/** The sizes by which products of subgroup matrices are computed, and when they can be. */
import { multipliesHalves } from '../../../compile/halves.ts';
import type { Contraction } from '../../../compile/kernel.ts';
import { bindingsOf, elementsPerThread } from '../storage.ts';
import type { Target } from '../target.ts';
import { product } from '../wgsl.ts';
import { sizesOf } from './contraction.ts';
import type { FragmentShape } from './fragments.ts';
import { type StripPlan, stripSize } from './matrix-strips.ts';
import { splitGain } from './split.ts';

/** A workgroup of `subgroupsM` x `subgroupsN` subgroups computes a tile, of which each has an equal block. */
export interface MatrixSchedule {
  readonly kind: 'matrix';
  readonly tileM: number;
  readonly tileN: number;
  readonly tileK: number;
  readonly subgroupsM: number;
  readonly subgroupsN: number;
  readonly fragment: FragmentShape;
  /** Parts of the sum that are computed by workgroups of their own and added up after that. */
  readonly split: number;
  /** Products for one of f32: a single one of rounded factors, or three, which keep 22 bits of them. */
  readonly products: 1 | 3;
}

type Tile = Pick<MatrixSchedule, 'tileM' | 'tileN' | 'tileK' | 'subgroupsM' | 'subgroupsN'>;

const tile = (tileM: number, tileN: number, tileK: number, subgroupsM: number, subgroupsN: number): Tile => {
  return { tileM, tileN, tileK, subgroupsM, subgroupsN };
};

/** The larger a tile, the less often its factors are loaded; the smaller, the more workgroups share the work. */
const tiles: readonly Tile[] = [
  tile(256, 128, 32, 4, 2),
  tile(128, 256, 32, 2, 4),
  tile(128, 128, 32, 4, 2),
  tile(128, 128, 32, 2, 2),
  tile(128, 64, 32, 4, 2),
  tile(64, 128, 32, 2, 4),
  tile(64, 64, 32, 2, 2),
  tile(32, 32, 32, 2, 2),
];

/** Those for three products have twice the sums and twice the staged halves. */
const tilesOfThree: readonly Tile[] = [
  tile(128, 128, 16, 4, 2),
  tile(128, 64, 32, 4, 2),
  tile(64, 64, 32, 2, 2),
  tile(32, 32, 16, 2, 2),
];

/** Workgroups that run at the same time on a large device; there is no asking for it. */
const processors = 128;
/** Time of the second dispatch that adds partial sums, as multiplications of one processor: about 5 microseconds. */
const dispatchCost = 5e6;
const splits = [1, 2, 4, 8, 16] as const;

/** Threads of a subgroup in these shaders; undefined where that can neither be known nor be chosen. */
export function subgroupSize({ subgroups }: Target): number | undefined {
  if (!subgroups) return undefined;
  const { smallest, largest, settable } = subgroups;
  if (smallest === largest) return smallest;
  return settable ? Math.min(32, largest) : undefined;
}

/** The largest shape of fragments whose factors are halves and whose sums are in 32 bits. */
function fragmentOf({ matrices }: Target): FragmentShape | undefined {
  let best: FragmentShape | undefined;
  for (const { componentType, resultComponentType, M: m, N: n, K: k } of matrices) {
    if (componentType !== 'f16' || resultComponentType !== 'f32' || m % 8 || n % 8 || k % 8) continue;
    if (!best || m * n * k > best.m * best.n * best.k) best = { m, n, k };
  }
  return best;
}

/** How many products `kernel` takes on `target`; undefined where matrices are not for it. */
function productsFor(kernel: Contraction, target: Target): MatrixSchedule['products'] | undefined {
  if (multipliesHalves(kernel)) return 1;
  return target.products === 'split-half' ? 3 : undefined;
}

/** Rows of fragments that a workgroup stages at a time when it finishes results, and their columns. */
export function finishing(schedule: MatrixSchedule): {
  readonly columns: number;
  readonly stride: number;
  readonly bytes: number;
} {
  const { tileN, subgroupsM, subgroupsN, fragment, products } = schedule;
  const fragments = tileN / subgroupsN / fragment.n;
  // Two neighbouring fragments where they come in pairs: longer rows to store.
  const columns = fragments % 2 === 0 && products === 1 ? 2 : 1;
  const stride = subgroupsN * columns * fragment.n + 4;
  const floats = subgroupsM * fragment.m * stride;
  return { columns, stride, bytes: 4 * floats * (products === 3 ? 2 : 1) };
}

/** Elements from one copy to the next of a row that sums start from. */
export const startRowStride = (tileN: number): number => tileN + 4;

/** Bytes of workgroup memory, in the wider of the two ways in which strips can lie. */
function workgroupBytes(schedule: MatrixSchedule): number {
  const { tileM, tileN, tileK, products } = schedule;
  const widest = (tileFree: number): number =>
    Math.max(...[true, false].map((alongK) => stripSize({ alongK } as StripPlan, tileFree, tileK).units));
  const results = Math.max(finishing(schedule).bytes, 4 * schedule.fragment.m * startRowStride(tileN));
  return 16 * (widest(tileM) + widest(tileN)) * (products === 3 ? 2 : 1) + results;
}

/** Relative time of a product by `schedule`: rounds of workgroups, each as long as its loads and its multiplications. */
function cost(kernel: Contraction, { tileM, tileN, split }: MatrixSchedule): number {
  const { batch, m, n, k } = sizesOf(kernel);
  const count = product(batch) * Math.ceil(m / tileM) * Math.ceil(n / tileN) * split;
  const rounds = Math.max(1, count / processors <= 4 ? Math.ceil(count / processors) : count / processors);
  const perStep = tileM * tileN + 24 * (tileM + tileN);
  const multiplying = (rounds * perStep * k) / split;
  if (split === 1) return multiplying;
  const adding = (product(batch) * m * n * (split + 1) * 8) / processors;
  return splitGain * (multiplying + adding + dispatchCost);
}

/** The schedules by which matrices of subgroups can compute `kernel` on `target`, the one that should be fastest first. */
export function matrixCandidates(kernel: Contraction, target: Target): MatrixSchedule[] {
  const fragment = fragmentOf(target);
  const size = subgroupSize(target);
  const products = productsFor(kernel, target);
  const { m, n, k } = sizesOf(kernel);
  if (!fragment || !size || !products || !target.matrixSyntax || Math.min(m, n, k) < 16) return [];
  const bindings = bindingsOf(kernel.inputs, kernel.outputs, target);
  if (n % elementsPerThread(kernel.outputs, bindings) !== 0) return [];
  const fits = (schedule: MatrixSchedule): boolean => {
    const { tileM, tileN, tileK, subgroupsM, subgroupsN, split } = schedule;
    return (
      (tileM / subgroupsM) % fragment.m === 0 &&
      (tileN / subgroupsN) % fragment.n === 0 &&
      tileK % fragment.k === 0 &&
      subgroupsM * subgroupsN * size <= target.workgroupThreads &&
      workgroupBytes(schedule) <= target.workgroupBytes &&
      bindings.length + (products === 3 ? 2 : 0) + (split > 1 ? 1 : 0) <= target.buffers &&
      product(kernel.shape) * split < 2 ** 31 &&
      (split === 1 || k >= split * 8 * tileK)
    );
  };
  return (products === 3 ? tilesOfThree : tiles)
    .flatMap((sizes) =>
      splits.map((split): MatrixSchedule => ({ kind: 'matrix', ...sizes, fragment, split, products })),
    )
    .filter(fits)
    .map((schedule) => ({ schedule, cost: cost(kernel, schedule) }))
    .sort((a, b) => a.cost - b.cost)
    .map(({ schedule }) => schedule);
}
