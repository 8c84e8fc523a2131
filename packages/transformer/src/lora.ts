/** LoRA (Hu et al. 2021, arXiv 2106.09685) in the blocks of a tower: which of their layers get low-rank updates. */
import { type LowRankOptions, LowRankUpdate } from '@actionclip/tensor';
import type { ResidualAttentionBlock, Transformer } from './block.ts';

/** How each layer gets its update; the packed projection of queries, keys and values has one for all three. */
const places = {
  in_proj: ({ attn }, options) => {
    const [rows, width] = attn.in_proj_weight.shape as readonly [number, number];
    attn.in_proj_lora = new LowRankUpdate(width, rows, options);
  },
  out_proj: ({ attn }, options) => updateLinear(attn.out_proj, options),
  c_fc: ({ mlp }, options) => updateLinear(mlp.c_fc, options),
  c_proj: ({ mlp }, options) => updateLinear(mlp.c_proj, options),
} as const satisfies Readonly<Record<string, (block: ResidualAttentionBlock, options: LowRankOptions) => void>>;

function updateLinear(linear: ResidualAttentionBlock['mlp']['c_fc'], options: LowRankOptions): void {
  const [outSize, inSize] = linear.weight.shape as readonly [number, number];
  linear.lora = new LowRankUpdate(inSize, outSize, options);
}

/** A linear layer of a block by CLIP's name. */
export type LoraLayer = keyof typeof places;

export const loraLayers = Object.keys(places) as readonly LoraLayer[];

/**
 * Gives these layers of every block a low-rank update. The parameter `NAME.weight` (`attn.in_proj_weight`) is joined by
 * `NAME.lora.A` and `NAME.lora.B` (`attn.in_proj_lora.A`).
 */
export function addLora(tower: Transformer, layers: readonly LoraLayer[], options: LowRankOptions): void {
  for (const block of tower.resblocks) for (const layer of layers) places[layer](block, options);
}
