/** The table of cases: a name, and the work that is measured under it. */
import type { Case, Work } from '../harness/work.ts';

const matmul = (
  name: string,
  sizes: readonly number[],
  rest: Partial<Extract<Work, { kind: 'matmul' }>> = {},
): Case => {
  const [m, k, n] = sizes as [number, number, number];
  return { name, work: { kind: 'matmul', batch: 1, m, k, n, ...rest } };
};

const square = (size: number): Case => matmul(`GEMM ${size} NN`, [size, size, size]);

/** Rows by a linear layer's weight, which is stored [out, in]. */
const linear = (m: number, k: number, n: number): Case =>
  matmul(`linear ${m}x${k}x${n}`, [m, k, n], { transposeRight: true, weight: true });

/** The case whose rate a training step's products are compared with. */
export const referenceCase = 'GEMM 1024 NN';

export const frameCounts = [1, 2, 4, 8, 16, 32] as const;

export const cases: readonly Case[] = [
  square(256),
  square(512),
  square(1024),
  matmul('GEMM 1024 TN', [1024, 1024, 1024], { transposeLeft: true }),
  matmul('GEMM 1024 NT', [1024, 1024, 1024], { transposeRight: true }),
  square(2048),
  linear(200, 768, 3072),
  linear(200, 3072, 768),
  linear(200, 768, 768),
  linear(1600, 768, 768),
  linear(256, 64, 256),
  linear(256, 64, 64),
  matmul('scores 96 x 50x64x50', [50, 64, 50], { batch: 96, transposeRight: true }),
  matmul('values 96 x 50x50x64', [50, 50, 64], { batch: 96 }),
  matmul('scores 12 x 197x64x197', [197, 64, 197], { batch: 12, transposeRight: true }),
  ...[false, true].map(
    (backward): Case => ({
      name: `layerNorm 1600x768${backward ? ', backward' : ''}`,
      work: { kind: 'layerNorm', rows: 1600, width: 768, backward },
    }),
  ),
  ...[false, true].map(
    (backward): Case => ({
      name: `softmax 2364x197${backward ? ', backward' : ''}`,
      work: { kind: 'softmax', rows: 2364, width: 197, backward },
    }),
  ),
  ...[
    { heads: 96, length: 50 },
    { heads: 12, length: 197 },
  ].flatMap(({ heads, length }) =>
    [false, true].map(
      (backward): Case => ({
        name: `attention ${heads} x ${length}x64${backward ? ', backward' : ''}`,
        work: { kind: 'attention', heads, length, width: 64, backward },
      }),
    ),
  ),
  { name: 'AdamW, 86 M parameters', work: { kind: 'adamw', model: 'ViT-B/16' } },
  { name: 'ViT-B/32, one image', work: { kind: 'imageTower', model: 'ViT-B/32' } },
  { name: 'ViT-B/16, one image', work: { kind: 'imageTower', model: 'ViT-B/16' } },
  { name: 'step, small model', work: { kind: 'trainingStep', model: 'small', frames: 8, batch: 32 } },
  { name: 'step, ViT-B/32', work: { kind: 'trainingStep', model: 'ViT-B/32', frames: 8, batch: 4 } },
  ...(['small', 'ViT-B/32'] as const).flatMap((model) =>
    frameCounts.map(
      (frames): Case => ({ name: `video, ${model}, ${frames} frames`, work: { kind: 'video', model, frames } }),
    ),
  ),
];
