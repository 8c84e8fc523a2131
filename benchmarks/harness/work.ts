/** What can be measured: kinds of work as plain data, with what each costs at least. */
import { type ClipSizes, presets } from '@actionclip/transformer';

/** `batch` products of [m, k] by [k, n]. A transposed factor is stored the other way round. */
export interface MatmulWork {
  readonly kind: 'matmul';
  readonly batch: number;
  readonly m: number;
  readonly k: number;
  readonly n: number;
  readonly transposeLeft?: boolean;
  readonly transposeRight?: boolean;
  /** The right factor is a parameter, the same in every run, so that an engine may arrange it beforehand. */
  readonly weight?: boolean;
}

/** Rows of the given width, normalised on their own. `backward`: from the gradient of the result to that of the rows. */
export interface RowWork {
  readonly kind: 'layerNorm' | 'softmax';
  readonly rows: number;
  readonly width: number;
  readonly backward?: boolean;
}

/** softmax(q kᵀ / √width) v for `heads` independent heads. `backward`: to the gradients of q, k and v. */
export interface AttentionWork {
  readonly kind: 'attention';
  readonly heads: number;
  readonly length: number;
  readonly width: number;
  readonly backward?: boolean;
}

/** One update of all parameters of an image tower. */
export interface AdamWork {
  readonly kind: 'adamw';
  readonly model: TowerName;
}

/** Images through CLIP's image tower: one if not said otherwise. */
export interface TowerWork {
  readonly kind: 'imageTower';
  readonly model: TowerName;
  readonly images?: number;
}

/** One step of ActionCLIP with the Transf head: forward, loss, backward, update. */
export interface StepWork {
  readonly kind: 'trainingStep';
  readonly model: ModelName;
  readonly frames: number;
  readonly batch: number;
}

/** One video of so many frames to its features. */
export interface VideoWork {
  readonly kind: 'video';
  readonly model: ModelName;
  readonly frames: number;
}

/** Device memory copied from one place to another: how fast it can be. */
export interface CopyWork {
  readonly kind: 'copy';
  readonly bytes: number;
}

/** Multiply-adds in registers, without memory: how fast arithmetic can be. */
export interface MultiplyAddWork {
  readonly kind: 'multiplyAdd';
  readonly threads: number;
  /** Of each thread. */
  readonly multiplyAdds: number;
}

export type Work =
  | CopyWork
  | MultiplyAddWork
  | MatmulWork
  | RowWork
  | AttentionWork
  | AdamWork
  | TowerWork
  | StepWork
  | VideoWork;
/** Work under a name. */
export interface Case {
  readonly name: string;
  readonly work: Work;
}

export type WorkKind = Work['kind'];
export type WorkOf<K extends WorkKind> = Extract<Work, { readonly kind: K }>;

export type TowerName = 'ViT-B/16' | 'ViT-B/32';
/** `small` is the model that `npm run train` trains. */
export type ModelName = 'ViT-B/16' | 'ViT-B/32' | 'small';

/** The towers' sizes, shared by all contenders. */
export const towerOf = (model: TowerName): ClipSizes['vision'] & { readonly embedding: number } => ({
  ...presets[model].vision,
  embedding: presets[model].embedding,
});

/** Side of an image in patches, squared, and the class token. */
export const tokensOf = ({ resolution, patch }: { readonly resolution: number; readonly patch: number }): number =>
  (resolution / patch) ** 2 + 1;

/** Floating-point operations of matrix products: 2 for each multiplication and addition. */
const product = (m: number, k: number, n: number): number => 2 * m * k * n;

/** Products of `layers` residual attention blocks on `sequences` of `length` tokens. */
export function blockProducts(layers: number, sequences: number, length: number, width: number): number {
  const tokens = sequences * length;
  const projections = product(tokens, width, (3 + 1 + 4 + 4) * width);
  return layers * (projections + 2 * product(tokens, width, length));
}

/** Products of `images` through an image tower; those of the patch embedding apart, since its input needs no gradient. */
export function towerProducts(
  vision: ClipSizes['vision'],
  embedding: number,
  images: number,
): { readonly patches: number; readonly rest: number } {
  const { width, layers, patch } = vision;
  const length = tokensOf(vision);
  return {
    patches: product(images * (length - 1), 3 * patch ** 2, width),
    rest: blockProducts(layers, images, length, width) + product(images, width, embedding),
  };
}

/** What a run costs at least: operations of matrix products, or bytes read and written once. */
export type Cost = { readonly flops: number } | { readonly bytes: number };

const costs: { readonly [K in WorkKind]?: (work: WorkOf<K>) => Cost } = {
  copy: ({ bytes }) => ({ bytes: 2 * bytes }),
  multiplyAdd: ({ threads, multiplyAdds }) => ({ flops: 2 * threads * multiplyAdds }),
  matmul: ({ batch, m, k, n }) => ({ flops: batch * product(m, k, n) }),
  // Backward reads rows and gradient, forward rows alone; both write one result.
  layerNorm: ({ rows, width, backward }) => ({ bytes: (backward ? 3 : 2) * 4 * rows * width }),
  softmax: ({ rows, width, backward }) => ({ bytes: (backward ? 3 : 2) * 4 * rows * width }),
  // Backward alone needs two products for v and the weights and two for q and k; the scores are computed again.
  attention: ({ heads, length, width, backward }) => ({
    flops: (backward ? 5 : 2) * heads * product(length, width, length),
  }),
  imageTower: ({ model, images = 1 }) => {
    const { embedding, ...vision } = towerOf(model);
    const { patches, rest } = towerProducts(vision, embedding, images);
    return { flops: patches + rest };
  },
};

/** What the work costs at least, where its description alone says so. */
export function costOf(work: Work): Cost | undefined {
  const cost = costs[work.kind] as ((work: Work) => Cost) | undefined;
  return cost?.(work);
}
