/** The cases of the GPU benchmark, for a graphics card, and small ones that show on any adapter whether all works. */
import type { Case, Work } from '../harness/work.ts';

/** Sizes of a set of cases. */
interface Sizes {
  readonly copyBytes: number;
  readonly multiplyAdd: { readonly threads: number; readonly multiplyAdds: number };
  readonly squares: readonly number[];
  /** Rows of the linear layers: tokens of a batch of images. */
  readonly tokens: number;
  /** Width of the layers; the hidden layers have four times as much. */
  readonly width: number;
  readonly heads: number;
  readonly length: number;
  readonly towers: readonly { readonly model: 'ViT-B/32' | 'ViT-B/16'; readonly images: number }[];
  readonly steps: readonly {
    readonly model: 'small' | 'ViT-B/32' | 'ViT-B/16';
    readonly frames: number;
    readonly batch: number;
  }[];
  readonly adamw: boolean;
}

/** 64 images of 197 tokens, as in the notes of most engines for ViT-B/16. */
const full: Sizes = {
  copyBytes: 2 ** 30,
  multiplyAdd: { threads: 2 ** 20, multiplyAdds: 2 ** 16 },
  squares: [512, 1024, 2048, 4096, 8192],
  tokens: 64 * 197,
  width: 768,
  heads: 64 * 12,
  length: 197,
  towers: [
    { model: 'ViT-B/32', images: 1 },
    { model: 'ViT-B/32', images: 64 },
    { model: 'ViT-B/16', images: 1 },
    { model: 'ViT-B/16', images: 64 },
  ],
  steps: [
    { model: 'small', frames: 8, batch: 32 },
    { model: 'ViT-B/32', frames: 8, batch: 8 },
    { model: 'ViT-B/16', frames: 8, batch: 8 },
  ],
  adamw: true,
};

/** A few seconds each even where the processor computes. */
const tiny: Sizes = {
  copyBytes: 2 ** 24,
  multiplyAdd: { threads: 2 ** 12, multiplyAdds: 2 ** 11 },
  squares: [64, 128],
  tokens: 100,
  width: 64,
  heads: 4,
  length: 50,
  towers: [],
  steps: [{ model: 'small', frames: 2, batch: 2 }],
  adamw: false,
};

type MatmulSizes = Omit<Extract<Work, { kind: 'matmul' }>, 'kind' | 'batch'>;

const matmul = (name: string, sizes: MatmulSizes): Case => ({ name, work: { kind: 'matmul', batch: 1, ...sizes } });

/** Rows by a linear layer's weight, which is stored [out, in]. */
const linear = (m: number, k: number, n: number): Case =>
  matmul(`linear ${m}x${k}x${n}`, { m, k, n, transposeRight: true, weight: true });

/** The gradients of a linear layer of `k` to `n` features: of its input, and of its weight, summed over all rows. */
const linearBackward = (m: number, k: number, n: number): Case[] => [
  matmul(`input gradient ${m}x${n}x${k}`, { m, k: n, n: k, weight: true }),
  matmul(`weight gradient ${n}x${m}x${k}`, { m: n, k: m, n: k, transposeLeft: true }),
];

const bothWays = (name: string, work: Extract<Work, { readonly backward?: boolean }>): Case[] =>
  [false, true].map((backward) => ({ name: backward ? `${name}, backward` : name, work: { ...work, backward } }));

function casesOf(sizes: Sizes): Case[] {
  const { tokens, width, heads, length } = sizes;
  const layers = [
    [width, 3 * width],
    [width, width],
    [width, 4 * width],
    [4 * width, width],
  ] as const;
  return [
    { name: `copy ${sizes.copyBytes / 2 ** 20} MiB`, work: { kind: 'copy', bytes: sizes.copyBytes } },
    { name: 'multiply-adds in registers', work: { kind: 'multiplyAdd', ...sizes.multiplyAdd } },
    ...sizes.squares.map((size) => matmul(`GEMM ${size}`, { m: size, k: size, n: size })),
    ...layers.map(([k, n]) => linear(tokens, k, n)),
    ...linearBackward(tokens, width, 4 * width),
    ...bothWays(`attention ${heads} x ${length}x64`, { kind: 'attention', heads, length, width: 64 }),
    ...bothWays(`layerNorm ${tokens}x${width}`, { kind: 'layerNorm', rows: tokens, width }),
    ...bothWays(`softmax ${heads * length}x${length}`, { kind: 'softmax', rows: heads * length, width: length }),
    ...(sizes.adamw ? [{ name: 'AdamW, 86 M parameters', work: { kind: 'adamw', model: 'ViT-B/16' } } as const] : []),
    ...sizes.towers.map(({ model, images }): Case => {
      return { name: `${model} forward, ${images} image(s)`, work: { kind: 'imageTower', model, images } };
    }),
    ...sizes.steps.map(({ model, frames, batch }): Case => {
      const name = `step, ${model}, ${batch} clips of ${frames} frames`;
      return { name, work: { kind: 'trainingStep', model, frames, batch } };
    }),
  ];
}

export const cases: readonly Case[] = casesOf(full);
export const tinyCases: readonly Case[] = casesOf(tiny);

/** Images that one run of the work takes in. */
export function imagesOf(work: Work): number | undefined {
  if (work.kind === 'imageTower') return work.images ?? 1;
  return work.kind === 'trainingStep' ? work.frames * work.batch : undefined;
}
