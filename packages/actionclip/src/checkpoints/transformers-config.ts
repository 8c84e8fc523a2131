/** The `config.json` that transformers reads beside the weights of a CLIPModel. Runs in browsers. */
import type { HostDtype } from '@actionclip/tensor';
import type { ClipSizes } from '@actionclip/transformer';
import type { ReadableTensors } from './write.ts';

const TORCH_DTYPES: Readonly<Partial<Record<HostDtype, string>>> = {
  f64: 'float64',
  f32: 'float32',
  f16: 'float16',
  bf16: 'bfloat16',
};

/** What both towers have in common in CLIP. */
const TOWER = { hidden_act: 'quick_gelu', layer_norm_eps: 1e-5, attention_dropout: 0, initializer_factor: 1 } as const;

/**
 * The configuration of a CLIP with these sizes as JSON. The ids of the special tokens are those of the files that OpenAI
 * published there: with 2 as end, transformers reads a text at its largest id, as CLIP does with any vocabulary.
 * @param tensors The parameters by this package's names, for the widths inside the blocks.
 */
export function transformersConfig({ embedding, vision, text }: ClipSizes, tensors: ReadableTensors): string {
  const inner = (tower: string, width: number): number =>
    tensors.get(`${tower}.resblocks.0.mlp.c_fc.weight`)?.shape[0] ?? 4 * width;
  const [dtype, ...others] = new Set([...tensors.values()].map((tensor) => tensor.dtype));
  const torchDtype = dtype === undefined || others.length > 0 ? undefined : TORCH_DTYPES[dtype];
  const config = {
    architectures: ['CLIPModel'],
    model_type: 'clip',
    ...(torchDtype === undefined ? {} : { torch_dtype: torchDtype }),
    projection_dim: embedding,
    logit_scale_init_value: 2.6592,
    initializer_factor: 1,
    text_config: {
      ...TOWER,
      model_type: 'clip_text_model',
      hidden_size: text.width,
      intermediate_size: inner('transformer', text.width),
      num_hidden_layers: text.layers,
      num_attention_heads: text.heads,
      max_position_embeddings: text.context,
      vocab_size: text.vocabulary,
      projection_dim: embedding,
      bos_token_id: 0,
      pad_token_id: 1,
      eos_token_id: 2,
    },
    vision_config: {
      ...TOWER,
      model_type: 'clip_vision_model',
      hidden_size: vision.width,
      intermediate_size: inner('visual.transformer', vision.width),
      num_hidden_layers: vision.layers,
      num_attention_heads: vision.heads,
      image_size: vision.resolution,
      patch_size: vision.patch,
      num_channels: 3,
      projection_dim: embedding,
    },
  };
  return `${JSON.stringify(config, null, 2)}\n`;
}
