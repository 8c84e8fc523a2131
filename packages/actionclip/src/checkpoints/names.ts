/**
 * How other programs name the parameters of CLIP and of ActionCLIP's temporal head, as tables. The names of this
 * package are OpenAI CLIP's own, with the temporal head under `fusion.`.
 */

/** What becomes of one foreign parameter. */
export interface Renaming {
  readonly name: string;
  /** The source is one third of the rows of `name`: query, key or value. */
  readonly third?: 0 | 1 | 2;
  /** The source is the transposed matrix. */
  readonly transpose?: boolean;
}

export type LayoutName = 'openai' | 'huggingface' | 'mmaction2';

export interface Layout {
  readonly name: LayoutName;
  /** A parameter that every checkpoint of this layout has and no other layout has. */
  readonly marker: string;
  readonly rules: readonly Rule[];
}

/** A rule speaks about the names that `pattern` matches whole. Without `to` the parameter is dropped. */
interface Rule {
  readonly pattern: RegExp;
  readonly to?: string;
  readonly third?: 0 | 1 | 2;
  readonly transpose?: boolean;
}

/** Where a checkpoint file keeps its state dicts; a file with none of these is one state dict. */
export const CONTAINERS: readonly { readonly prefix: string; readonly to: string }[] = [
  { prefix: 'model_state_dict.', to: '' },
  { prefix: 'fusion_model_state_dict.', to: 'fusion.' },
  { prefix: 'state_dict.', to: '' },
];

/** What torch.nn.DataParallel puts before every name of the module that it wraps. */
export const DATA_PARALLEL_PREFIX = 'module.';

/** OpenAI's archives carry three sizes that the shapes tell as well. */
const SIZES: Rule = { pattern: /input_resolution|context_length|vocab_size/ };
/** The Shift variant wraps every visual block as `net`, and adds no parameters. */
const SHIFT: Rule = { pattern: /(visual\.transformer\.resblocks\.\d+)\.net\.(.+)/, to: '$1.$2' };
const AS_IT_IS: Rule = { pattern: /(.+)/, to: '$1' };

/** Hugging Face's two towers and the leaf names of their layers. */
const TOWERS = [
  ['text_model', 'transformer'],
  ['vision_model', 'visual.transformer'],
] as const;
const LEAVES = [
  ['self_attn\\.out_proj', 'attn.out_proj'],
  ['layer_norm1', 'ln_1'],
  ['layer_norm2', 'ln_2'],
  ['mlp\\.fc1', 'mlp.c_fc'],
  ['mlp\\.fc2', 'mlp.c_proj'],
] as const;
const THIRDS = ['q', 'k', 'v'] as const;

function huggingFaceLayers(): Rule[] {
  return TOWERS.flatMap(([theirs, ours]) => {
    const layer = `${theirs}\\.encoder\\.layers\\.(\\d+)\\.`;
    const block = `${ours}.resblocks.$1.`;
    const leaves = LEAVES.map(([from, to]) => ({
      pattern: new RegExp(`${layer}${from}\\.(weight|bias)`),
      to: `${block}${to}.$2`,
    }));
    const thirds = THIRDS.map((letter, index) => ({
      pattern: new RegExp(`${layer}self_attn\\.${letter}_proj\\.(weight|bias)`),
      to: `${block}attn.in_proj_$2`,
      third: index as 0 | 1 | 2,
    }));
    return [...leaves, ...thirds];
  });
}

/** In the order in which they are tried. */
export const LAYOUTS: readonly Layout[] = [
  { name: 'openai', marker: 'visual.conv1.weight', rules: [SIZES, SHIFT, AS_IT_IS] },
  {
    // projects/actionclip of open-mmlab/mmaction2
    name: 'mmaction2',
    marker: 'clip.visual.conv1.weight',
    rules: [
      { pattern: /clip\.(?:input_resolution|context_length|vocab_size)/ },
      { pattern: /clip\.(.+)/, to: '$1' },
      { pattern: /adapter\.(.+)/, to: 'fusion.$1' },
    ],
  },
  {
    // CLIPModel of huggingface/transformers; `pre_layrnorm` is its own spelling
    name: 'huggingface',
    marker: 'vision_model.embeddings.patch_embedding.weight',
    rules: [
      { pattern: /(?:text|vision)_model\.embeddings\.position_ids/ },
      { pattern: /logit_scale/, to: 'logit_scale' },
      { pattern: /text_projection\.weight/, to: 'text_projection', transpose: true },
      { pattern: /visual_projection\.weight/, to: 'visual.proj', transpose: true },
      { pattern: /text_model\.embeddings\.token_embedding\.weight/, to: 'token_embedding.weight' },
      { pattern: /text_model\.embeddings\.position_embedding\.weight/, to: 'positional_embedding' },
      { pattern: /text_model\.final_layer_norm\.(weight|bias)/, to: 'ln_final.$1' },
      { pattern: /vision_model\.embeddings\.class_embedding/, to: 'visual.class_embedding' },
      { pattern: /vision_model\.embeddings\.patch_embedding\.weight/, to: 'visual.conv1.weight' },
      { pattern: /vision_model\.embeddings\.position_embedding\.weight/, to: 'visual.positional_embedding' },
      { pattern: /vision_model\.pre_layrnorm\.(weight|bias)/, to: 'visual.ln_pre.$1' },
      { pattern: /vision_model\.post_layernorm\.(weight|bias)/, to: 'visual.ln_post.$1' },
      ...huggingFaceLayers(),
    ],
  },
];

/** The layout whose marker is among the names, or undefined. */
export function detectLayout(names: ReadonlySet<string>): Layout | undefined {
  return LAYOUTS.find(({ marker }) => names.has(marker));
}

/** What a layout makes of a name: a renaming, `'dropped'`, or `'unknown'` where no rule speaks about it. */
export function renameParameter(layout: Layout, name: string): Renaming | 'dropped' | 'unknown' {
  for (const { pattern, to, third, transpose } of layout.rules) {
    const match = pattern.exec(name);
    if (match === null || match[0] !== name) continue;
    if (to === undefined) return 'dropped';
    const renamed = to.replace(/\$(\d)/g, (_, group: string) => match[Number(group)] ?? '');
    return { name: renamed, ...(third === undefined ? {} : { third }), ...(transpose ? { transpose } : {}) };
  }
  return 'unknown';
}

/**
 * Takes the state dicts out of a checkpoint's dotted paths: containers are opened, everything outside of them
 * (the optimizer's state, say) is left out, and a `module.` that stands before every name of a part is removed.
 * @returns The path in the file by its name inside the state dict.
 */
export function stateDictPaths(paths: Iterable<string>): Map<string, string> {
  const all = [...paths];
  const contained = CONTAINERS.map((container) => ({
    ...container,
    paths: all.filter((path) => path.startsWith(container.prefix)),
  })).filter(({ paths: found }) => found.length > 0);
  const parts = contained.length > 0 ? contained : [{ prefix: '', to: '', paths: all }];
  const byName = new Map<string, string>();
  for (const { prefix, to, paths: found } of parts) {
    const wrapped = found.every((path) => path.startsWith(prefix + DATA_PARALLEL_PREFIX));
    const cut = prefix.length + (wrapped ? DATA_PARALLEL_PREFIX.length : 0);
    for (const path of found) byName.set(to + path.slice(cut), path);
  }
  return byName;
}
