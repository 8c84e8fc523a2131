/**
 * How other programs name the parameters of CLIP and of ActionCLIP's temporal head, as tables. The names of this
 * package are OpenAI CLIP's own, with the temporal head under `fusion.`.
 */

/** What a parameter is called on the other side: in this package when one is read, in the layout when one is written. */
export interface Renaming {
  readonly name: string;
  /** The layout's parameter is one third of the rows of ours: query, key or value. */
  readonly third?: 0 | 1 | 2;
  /** One is the transposed matrix of the other. */
  readonly transpose?: boolean;
}

export type LayoutName = 'openai' | 'huggingface' | 'mmaction2';

export interface Layout {
  readonly name: LayoutName;
  /** A parameter that every checkpoint of this layout has and no other layout has. */
  readonly marker: string;
  readonly rules: readonly Rule[];
}

/**
 * Two names of one parameter: `theirs` in the layout, `ours` in this package, both with places (`PLACES`) that stand
 * for the same text. Read from left to right when a file is read, from right to left when one is written. Without
 * `ours` the parameter is dropped.
 */
interface Rule {
  readonly theirs: Template;
  readonly ours?: Template;
  /** Their parameter is one third of the rows of ours: query, key or value. */
  readonly third?: 0 | 1 | 2;
  /** Their parameter is the transposed matrix. */
  readonly transpose?: boolean;
  /** Met in files, never written. */
  readonly readOnly?: boolean;
}

interface Template {
  readonly text: string;
  /** Fits the names that have this form, with a group for each place. */
  readonly pattern: RegExp;
}

/** What may stand at a `{place}` of a template. */
const PLACES: Readonly<Record<string, string>> = { layer: '\\d+', kind: 'weight|bias', rest: '.+' };

function template(text: string): Template {
  const escaped = text.replaceAll('.', '\\.');
  const pattern = escaped.replace(/\{(\w+)\}/g, (_, place: string) => `(?<${place}>${PLACES[place]})`);
  return { text, pattern: new RegExp(`^${pattern}$`) };
}

const rule = (theirs: string, ours?: string, more: Omit<Rule, 'theirs' | 'ours'> = {}): Rule => ({
  theirs: template(theirs),
  ...(ours === undefined ? {} : { ours: template(ours) }),
  ...more,
});

/** The name in `to` of what has this name in `from`; undefined where the name has another form. */
function translate(name: string, from: Template, to: Template): string | undefined {
  const match = from.pattern.exec(name);
  if (match === null) return undefined;
  return to.text.replace(/\{(\w+)\}/g, (_, place: string) => match.groups?.[place] ?? '');
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
const SIZES = ['input_resolution', 'context_length', 'vocab_size'];

/** The leaf names of Hugging Face's layers. */
const LEAVES = [
  ['self_attn.out_proj', 'attn.out_proj'],
  ['layer_norm1', 'ln_1'],
  ['layer_norm2', 'ln_2'],
  ['mlp.fc1', 'mlp.c_fc'],
  ['mlp.fc2', 'mlp.c_proj'],
] as const;
const THIRDS = ['q', 'k', 'v'] as const;

function huggingFaceLayers(theirTower: string, ourTower: string): Rule[] {
  const theirs = `${theirTower}.encoder.layers.{layer}`;
  const ours = `${ourTower}.resblocks.{layer}`;
  return [
    ...LEAVES.map(([from, to]) => rule(`${theirs}.${from}.{kind}`, `${ours}.${to}.{kind}`)),
    ...THIRDS.map((letter, index) =>
      rule(`${theirs}.self_attn.${letter}_proj.{kind}`, `${ours}.attn.in_proj_{kind}`, { third: index as 0 | 1 | 2 }),
    ),
  ];
}

/** In the order in which they are tried; so are the rules of each. */
export const LAYOUTS: readonly Layout[] = [
  {
    name: 'openai',
    marker: 'visual.conv1.weight',
    rules: [
      ...SIZES.map((size) => rule(size)),
      // The Shift variant wraps every visual block as `net`, and adds no parameters.
      rule('visual.transformer.resblocks.{layer}.net.{rest}', 'visual.transformer.resblocks.{layer}.{rest}', {
        readOnly: true,
      }),
      rule('{rest}', '{rest}'),
    ],
  },
  {
    // projects/actionclip of open-mmlab/mmaction2
    name: 'mmaction2',
    marker: 'clip.visual.conv1.weight',
    rules: [
      ...SIZES.map((size) => rule(`clip.${size}`)),
      rule('adapter.{rest}', 'fusion.{rest}'),
      rule('clip.{rest}', '{rest}'),
    ],
  },
  {
    // CLIPModel of huggingface/transformers; `pre_layrnorm` is its own spelling
    name: 'huggingface',
    marker: 'vision_model.embeddings.patch_embedding.weight',
    rules: [
      rule('text_model.embeddings.position_ids'),
      rule('vision_model.embeddings.position_ids'),
      rule('logit_scale', 'logit_scale'),
      rule('text_projection.weight', 'text_projection', { transpose: true }),
      rule('visual_projection.weight', 'visual.proj', { transpose: true }),
      rule('text_model.embeddings.token_embedding.weight', 'token_embedding.weight'),
      rule('text_model.embeddings.position_embedding.weight', 'positional_embedding'),
      rule('text_model.final_layer_norm.{kind}', 'ln_final.{kind}'),
      rule('vision_model.embeddings.class_embedding', 'visual.class_embedding'),
      rule('vision_model.embeddings.patch_embedding.weight', 'visual.conv1.weight'),
      rule('vision_model.embeddings.position_embedding.weight', 'visual.positional_embedding'),
      rule('vision_model.pre_layrnorm.{kind}', 'visual.ln_pre.{kind}'),
      rule('vision_model.post_layernorm.{kind}', 'visual.ln_post.{kind}'),
      ...huggingFaceLayers('text_model', 'transformer'),
      ...huggingFaceLayers('vision_model', 'visual.transformer'),
    ],
  },
];

/** The layout whose marker is among the names, or undefined. */
export function detectLayout(names: ReadonlySet<string>): Layout | undefined {
  return LAYOUTS.find(({ marker }) => names.has(marker));
}

/** What a layout makes of a name: a renaming, `'dropped'`, or `'unknown'` where no rule speaks about it. */
export function renameParameter(layout: Layout, name: string): Renaming | 'dropped' | 'unknown' {
  for (const { theirs, ours, third, transpose } of layout.rules) {
    const renamed = translate(name, theirs, ours ?? theirs);
    if (renamed === undefined) continue;
    if (ours === undefined) return 'dropped';
    return { name: renamed, ...(third === undefined ? {} : { third }), ...(transpose ? { transpose } : {}) };
  }
  return 'unknown';
}

/**
 * What a parameter of this package is in a layout: one parameter there, three where query, key and value stand apart,
 * none where the layout has no place for it.
 */
export function namesInLayout(layout: Layout, name: string): Renaming[] {
  const renamings: Renaming[] = [];
  for (const { theirs, ours, third, transpose, readOnly } of layout.rules) {
    const renamed = ours === undefined || readOnly ? undefined : translate(name, ours, theirs);
    if (renamed === undefined) continue;
    if (third === undefined) return [{ name: renamed, ...(transpose ? { transpose } : {}) }];
    renamings.push({ name: renamed, third });
  }
  return renamings;
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
