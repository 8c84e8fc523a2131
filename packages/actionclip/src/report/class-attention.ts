/** What the class token of the image tower looks at: its attention to the patches in the last block. */
import type { Tensor } from '@actionclip/tensor';
import type { VisionTransformer } from '@actionclip/transformer';

/**
 * Normalised images [n, 3, R, R] to the class token's attention to the patches [n, (R/p)²] in the last block, as the mean
 * over heads. A row sums to 1 less what the token gives to itself. For models whose image tower sees frames one by one.
 */
export function classAttention(visual: VisionTransformer, images: Tensor): Tensor {
  const blocks = visual.transformer.resblocks;
  let tokens: Tensor = visual.ln_pre.forward(visual.embed(images)); // [n, length, width]
  for (const block of blocks.slice(0, -1)) tokens = block.forward(tokens);
  const last = blocks.at(-1);
  if (last === undefined) throw new RangeError('an image tower without blocks attends to nothing');
  const { heads } = last.attn;
  const [n, length, width] = tokens.shape as readonly [number, number, number];
  const size = width / heads;
  const packed: Tensor = last.attn.project(last.ln_1.forward(tokens));
  const parts: Tensor = packed.reshape([n, length, 3, heads, size]).permute(2, 0, 3, 1, 4); // [3, n, heads, length, size]
  const query: Tensor = parts.select(0, 0).narrow(2, 0, 1); // [n, heads, 1, size]
  const scores: Tensor = query.matmul(parts.select(0, 1).transpose()).mul(size ** -0.5); // [n, heads, 1, length]
  const mean: Tensor = scores.softmax(-1).mean(1).reshape([n, length]);
  return mean.narrow(1, 1, length - 1);
}

/**
 * Darkens the pixels [S, S, 3] of a frame where the weights of its patches, row by row, are small against the largest.
 */
export function shadeByAttention(pixels: Uint8Array, side: number, weights: Float32Array): Uint8Array {
  const across = Math.sqrt(weights.length);
  const most = Math.max(...weights);
  const shaded = new Uint8Array(pixels.length);
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      const weight = weights[Math.floor((y * across) / side) * across + Math.floor((x * across) / side)] ?? 0;
      const light = darkest + (1 - darkest) * (most > 0 ? weight / most : 1);
      const at = 3 * (y * side + x);
      for (let channel = at; channel < at + 3; channel++) shaded[channel] = Math.round((pixels[channel] ?? 0) * light);
    }
  }
  return shaded;
}

/** The light of a patch without weight. */
const darkest = 0.15;
