/** CLIP's parameters under other programs' names, for the tests: written apart from the tables under test. */
import type { HostTensor, StateDict } from '@actionclip/tensor';

function rows(tensor: HostTensor, from: number, to: number): HostTensor {
  const width = tensor.data.length / (tensor.shape[0] ?? 1);
  const data = tensor.data.slice(from * width, to * width);
  return { dtype: tensor.dtype, shape: [to - from, ...tensor.shape.slice(1)], data };
}

function transposed({ dtype, shape, data }: HostTensor): HostTensor {
  const [height = 0, width = 0] = shape;
  const out = Float32Array.from({ length: data.length }, (_, i) =>
    Number(data[(i % height) * width + Math.floor(i / height)]),
  );
  return { dtype, shape: [width, height], data: out };
}

/** As transformers' converter renames them, with the buffer of positions that older files have. */
export function toHuggingFace(clip: StateDict): StateDict {
  const out: StateDict = new Map();
  for (const [name, tensor] of clip) {
    const visual = name.startsWith('visual.');
    const tower = visual ? 'vision_model' : 'text_model';
    const inner = name.replace(/^visual\./, '');
    const block = /^transformer\.resblocks\.(\d+)\.(.+)$/.exec(inner);
    if (block) {
      const layer = `${tower}.encoder.layers.${block[1]}`;
      const leaf = block[2] ?? '';
      const packed = /^attn\.in_proj_(weight|bias)$/.exec(leaf);
      if (packed) {
        const third = (tensor.shape[0] ?? 0) / 3;
        ['q', 'k', 'v'].forEach((letter, i) => {
          out.set(`${layer}.self_attn.${letter}_proj.${packed[1]}`, rows(tensor, i * third, (i + 1) * third));
        });
        continue;
      }
      const [from, to] = [
        ['attn.out_proj', 'self_attn.out_proj'],
        ['ln_1', 'layer_norm1'],
        ['ln_2', 'layer_norm2'],
        ['mlp.c_fc', 'mlp.fc1'],
        ['mlp.c_proj', 'mlp.fc2'],
      ].find(([prefix]) => leaf.startsWith(`${prefix}.`)) ?? ['', ''];
      out.set(`${layer}.${leaf.replace(from ?? '', to ?? '')}`, tensor);
    } else if (name === 'text_projection') out.set('text_projection.weight', transposed(tensor));
    else if (name === 'visual.proj') out.set('visual_projection.weight', transposed(tensor));
    else if (name === 'logit_scale') out.set(name, tensor);
    else {
      const renamed = inner
        .replace(/^positional_embedding$/, 'embeddings.position_embedding.weight')
        .replace(/^token_embedding\.weight$/, 'embeddings.token_embedding.weight')
        .replace(/^class_embedding$/, 'embeddings.class_embedding')
        .replace(/^conv1\.weight$/, 'embeddings.patch_embedding.weight')
        .replace(/^ln_final/, 'final_layer_norm')
        .replace(/^ln_pre/, 'pre_layrnorm')
        .replace(/^ln_post/, 'post_layernorm');
      out.set(`${tower}.${renamed}`, tensor);
    }
  }
  out.set('text_model.embeddings.position_ids', { dtype: 'i64', shape: [1, 1], data: BigInt64Array.of(0n) });
  return out;
}

/** The names that mmaction2 gives to an ActionCLIP. */
export const toMmaction2 = (actionClip: StateDict): StateDict =>
  new Map(
    [...actionClip].map(([name, tensor]) => [
      name.startsWith('fusion.') ? name.replace('fusion.', 'adapter.') : `clip.${name}`,
      tensor,
    ]),
  );
