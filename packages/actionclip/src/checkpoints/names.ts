/**
 * How other programs name the parameters of CLIP and of ActionCLIP's temporal head, as tables. The names of this
 * package are OpenAI CLIP's own, with the temporal head under `fusion.`.
 */
import { isSpatioTemporal } from '../model/adapters.ts';

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

/**
 * Where checkpoints keep the state dict of the model, the preferred one first where there are several: the file itself,
 * or one of these entries. The averaged weights of a run (`ema`) count only where they are alone.
 */
export const CONTAINERS: readonly string[] = ['', 'model_state_dict.', 'state_dict.', 'model.', 'net.', 'ema.'];

/** Where the released checkpoints keep the temporal head, apart from the model. */
const HEAD_CONTAINER = 'fusion_model_state_dict.';

/** What torch.nn.DataParallel puts before every name of the module that it wraps. */
export const DATA_PARALLEL_PREFIX = 'module.';

/** OpenAI's archives carry three sizes that the shapes tell as well. */
const SIZES = ['input_resolution', 'context_length', 'vocab_size'];

/** The Shift variant wraps every visual block as `net`, and adds no parameters. */
const SHIFTED_BLOCK = template('visual.transformer.resblocks.{layer}.net.{rest}');

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

/**
 * In the order in which they are tried; so are the rules of each. The marker of mmaction2 ends like that of OpenAI, so it
 * is tried before.
 */
export const LAYOUTS: readonly Layout[] = [
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
    name: 'openai',
    marker: 'visual.conv1.weight',
    rules: [
      ...SIZES.map((size) => rule(size)),
      rule(SHIFTED_BLOCK.text, 'visual.transformer.resblocks.{layer}.{rest}', { readOnly: true }),
      rule('{rest}', '{rest}'),
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

export interface StateDictLocation {
  readonly layout: Layout;
  /** The path in the file by its name inside the state dict; the temporal head's names start with `fusion.`. */
  readonly paths: ReadonlyMap<string, string>;
}

/** What stands before a layout's marker in these paths, each once. */
function prefixesOf(marker: string, paths: readonly string[]): string[] {
  return paths
    .filter((path) => path === marker || path.endsWith(`.${marker}`))
    .map((path) => path.slice(0, path.length - marker.length));
}

const withoutDataParallel = (prefix: string): string => prefix.replaceAll(DATA_PARALLEL_PREFIX, '');

/**
 * Finds the model's state dict among a checkpoint's dotted paths by the marker of its layout, whatever it is nested in,
 * and the temporal head beside it. What lies elsewhere (the optimizer's state, say) is left out.
 * @returns The candidates where several state dicts hold a model and none is known to be preferred; undefined where none does.
 */
export function locateStateDict(given: Iterable<string>): StateDictLocation | readonly string[] | undefined {
  const paths = [...given];
  for (const layout of LAYOUTS) {
    const prefixes = prefixesOf(layout.marker, paths);
    const [only, ...more] = prefixes;
    if (only === undefined) continue;
    const preferred = CONTAINERS.flatMap((name) => prefixes.filter((prefix) => withoutDataParallel(prefix) === name));
    const prefix = more.length === 0 ? only : preferred[0];
    if (prefix === undefined) return prefixes;
    return { layout, paths: pathsUnder(prefix, paths, prefixes) };
  }
  return undefined;
}

function pathsUnder(prefix: string, paths: readonly string[], all: readonly string[]): Map<string, string> {
  const byName = new Map<string, string>();
  const others = all.filter((other) => other !== prefix && other.startsWith(prefix));
  for (const path of paths) {
    const head = headName(path);
    if (head !== undefined) byName.set(head, path);
    else if (path.startsWith(prefix) && !others.some((other) => path.startsWith(other)))
      byName.set(path.slice(prefix.length), path);
  }
  return byName;
}

/** The name of a parameter of the temporal head that is kept apart from the model. */
function headName(path: string): string | undefined {
  const start = path.startsWith(HEAD_CONTAINER) ? 0 : path.indexOf(`.${HEAD_CONTAINER}`) + 1;
  if (start === 0 && !path.startsWith(HEAD_CONTAINER)) return undefined;
  const name = path.slice(start + HEAD_CONTAINER.length);
  return `fusion.${name.startsWith(DATA_PARALLEL_PREFIX) ? name.slice(DATA_PARALLEL_PREFIX.length) : name}`;
}

/** Whether names of a state dict are those of the Shift variant, which adds no parameters. */
export function areShifted(names: Iterable<string>): boolean {
  return [...names].some((name) => SHIFTED_BLOCK.pattern.test(name));
}

/** Whether a parameter, by this package's names, belongs to a temporal prompt, ST-Adapters included, and not to CLIP. */
export const isTemporal = (name: string): boolean =>
  name.startsWith('fusion.') || name === 'visual.time_embedding' || isSpatioTemporal(name);
