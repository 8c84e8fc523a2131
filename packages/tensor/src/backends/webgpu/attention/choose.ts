/**
 * The choice among the ways to compute attention. Scores that stay in registers need widths that fit there; scores in
 * scratch memory take every width, and their gradients take half of the products, as long as there is room for them.
 */
import type { AttentionKernel } from '../../../compile/attention-kernel.ts';
import { DeviceError } from '../../../errors.ts';
import type { KernelShaders } from '../kernels.ts';
import type { Target } from '../target.ts';
import { product } from '../wgsl.ts';
import { backwardShaders, statisticsBytes } from './backward.ts';
import { forwardShader } from './forward.ts';
import { materialisedShaders, scoreBytes } from './materialised.ts';
import { stagingBytes, threadsOf, tilesOf } from './products.ts';
import type { AttentionSchedule, FusedSchedule, MaterialisedSchedule } from './schedule.ts';

export type { AttentionSchedule } from './schedule.ts';

/** Tiles of products, the larger ones first: of equally good ones they load less. */
const tiles: readonly (readonly [m: number, n: number])[] = [
  [64, 64],
  [100, 40],
  [40, 64],
  [32, 64],
  [32, 32],
  [16, 16],
];

/** Scores are counted in i32, by threads of which the last ones count past the end. */
const mostScores = 2 ** 31 - 2 ** 18;

const scoresOf = ({ batch, queries, keys }: AttentionKernel): number => product(batch) * queries * keys;

/** Threads that start together: those of a workgroup beyond a multiple of it are idle. */
const together = 32;

/** What a product costs by a tile: multiplications with those for nobody, and the loads that they wait for. */
function cost(m: number, n: number, schedule: MaterialisedSchedule): number {
  const { tileM, tileN } = schedule;
  const threads = threadsOf(schedule);
  const computed = tilesOf({ m, n }, schedule) * tileM * tileN * ((Math.ceil(threads / together) * together) / threads);
  return computed * (1 + 8 / tileM + 8 / tileN);
}

/** Threads that share a row of `keys` scores: about four scores for each. */
const lanesFor = (keys: number): number => Math.min(64, Math.max(4, 2 ** Math.floor(Math.log2(keys / 4))));

function materialisedCandidates(kernel: AttentionKernel, target: Target): MaterialisedSchedule[] {
  const { queries, keys, width, valueWidth, gradient } = kernel;
  const own: readonly (readonly [number, number])[] = gradient
    ? [
        [queries, keys],
        [queries, keys],
        [queries, width],
        [keys, width],
        [keys, valueWidth],
      ]
    : [
        [queries, keys],
        [queries, valueWidth],
      ];
  if (scoresOf(kernel) > mostScores) return [];
  const schedules = tiles.map(
    ([tileM, tileN]): MaterialisedSchedule => ({
      kind: 'materialised',
      tileM,
      tileN,
      tileK: 16,
      lanes: lanesFor(keys),
    }),
  );
  const total = (schedule: MaterialisedSchedule): number => own.reduce((sum, [m, n]) => sum + cost(m, n, schedule), 0);
  return schedules
    .filter(
      (schedule) => threadsOf(schedule) <= target.workgroupThreads && stagingBytes(schedule) <= target.workgroupBytes,
    )
    .sort((a, b) => total(a) - total(b));
}

/** Most registers that the rows of a thread may take: a thread has 255 at best, and needs some for everything else. */
const mostInRegisters = 192;

/** Numbers that a thread keeps: its rows of the operands and of the sums. */
const inRegisters = ({ width, valueWidth, gradient }: AttentionKernel): number =>
  gradient ? 2 * width + valueWidth : width + valueWidth;

/** Whether rows are whole vectors that fit into a thread's registers. */
const fitsRegisters = (kernel: AttentionKernel): boolean =>
  kernel.width % 4 === 0 && kernel.valueWidth % 4 === 0 && inRegisters(kernel) <= mostInRegisters;

/** Threads of a workgroup, and rows that they stage together. */
const fusedSizes = { rows: [32, 64, 128, 256], tile: [32, 16], step: [8, 4] } as const;

function fusedCandidates(kernel: AttentionKernel, target: Target): FusedSchedule[] {
  if (!fitsRegisters(kernel)) return [];
  const { queries, keys, width, valueWidth, gradient } = kernel;
  const own = gradient ? Math.max(queries, keys) : queries;
  const padded = (rows: number): number => Math.ceil(own / rows) * rows;
  // Of workgroups with equally few idle threads the smallest: more of them are resident, and wait for each other less.
  const byRows = fusedSizes.rows
    .filter((rows) => rows <= target.workgroupThreads && (rows === together || rows < 2 * own))
    .sort((a, b) => padded(a) - padded(b) || a - b);
  const byTile = fusedSizes.tile.filter((tile) => 4 * tile * (width + valueWidth) <= target.workgroupBytes);
  return fusedSizes.step.flatMap((step) =>
    byTile.flatMap((tile) => byRows.map((rows): FusedSchedule => ({ kind: 'fused', rows, tile, step }))),
  );
}

/** Bytes that a buffer may have on every device: larger scratch buffers are not asked for where there is another way. */
const mostScratch = 2 ** 27;

/**
 * The schedules that `kernel` can be computed by on `target`, the one to take without measuring first: forward the
 * scores stay in registers wherever they can, which is one dispatch and two products both ways; backward they are kept
 * in memory as long as there is room, since making them again takes ten products instead of five.
 */
export function attentionCandidates(kernel: AttentionKernel, target: Target): readonly AttentionSchedule[] {
  const fused = fusedCandidates(kernel, target);
  if (fused.length > 0 && scoreBytes(kernel) > mostScratch) return fused;
  const materialised = materialisedCandidates(kernel, target);
  return kernel.gradient ? [...materialised, ...fused] : [...fused, ...materialised];
}

/**
 * The shaders of `kernel`, by the first of its candidates unless `forced` names another one. Throws DeviceError where
 * there is no candidate.
 */
export function attentionShaders(kernel: AttentionKernel, target: Target, forced?: AttentionSchedule): KernelShaders {
  const schedule = forced ?? attentionCandidates(kernel, target)[0];
  if (!schedule) {
    throw new DeviceError(
      `The kernel '${kernel.name}' has ${scoresOf(kernel)} scores of width ${kernel.width}, more than a WebGPU kernel counts`,
      'use a smaller batch',
    );
  }
  if (schedule.kind === 'materialised') return materialisedShaders(kernel, target, schedule);
  if (!kernel.gradient) return { shaders: [forwardShader(kernel, target, schedule)] };
  return { shaders: backwardShaders(kernel, target, schedule), scratch: [statisticsBytes(kernel)] };
}

/** Kernels of one class are best computed by the same schedule: their sizes have the same powers of two. */
export function attentionClass(kernel: AttentionKernel): string {
  const { batch, queries, keys, width, valueWidth, causal, mask, gradient, inputs, outputs } = kernel;
  const rounded = (x: number): number => 2 ** Math.floor(Math.log2(x));
  const sizes = [product(batch), queries, keys].map(rounded);
  const types = [...inputs, ...outputs].map(({ dtype }) => dtype).join(' ');
  const marks = [gradient ? 'gradient' : 'forward', ...(causal ? ['causal'] : []), ...(mask ? ['masked'] : [])];
  return `attention ${marks.join(' ')}, ${sizes.join(' ')}, ${width} ${valueWidth}: ${types}`;
}

/** What the threads of `kernel` count in any case: elements of matrices. */
export const attentionCounts = ({ batch, queries, keys, width, valueWidth }: AttentionKernel): number[] =>
  [queries * width, keys * width, keys * valueWidth, queries * valueWidth].map((each) => product(batch) * each);
