/** Which files of a repository are its weights: safetensors before pickles, one file before shards of the same kind. */
import { HubError } from './errors.ts';
import { isSafeFileName } from './names.ts';

/** Best first. An index stands for the shards that it names. */
const WEIGHT_FILES = [
  'model.safetensors',
  'model.safetensors.index.json',
  'pytorch_model.bin',
  'open_clip_model.safetensors',
  'open_clip_pytorch_model.bin',
];

/** The file of the weights among `names`: the wanted one, else the best that is there; undefined where there is none. */
export function chooseWeights(names: ReadonlySet<string>, wanted?: string): string | undefined {
  if (wanted !== undefined) return names.has(wanted) ? wanted : undefined;
  return WEIGHT_FILES.find((name) => names.has(name));
}

export const isShardIndex = (name: string): boolean => name.endsWith('.index.json');

/**
 * The shards that an index names, beside it, sorted.
 * @throws HubError where the text is no index, or names files outside of its folder
 */
export function shardsOf(index: string, text: string): string[] {
  let shards: unknown[];
  try {
    shards = Object.values((JSON.parse(text) as { weight_map: Record<string, unknown> }).weight_map);
  } catch (cause) {
    throw new HubError(`${index} is no index of shards`, 'expected JSON with "weight_map"', { cause });
  }
  const folder = index.slice(0, index.lastIndexOf('/') + 1);
  const names = [...new Set(shards)].map((shard) => {
    if (typeof shard !== 'string' || !isSafeFileName(shard) || shard.includes('/')) {
      throw new HubError(`${index} names the shard ${JSON.stringify(shard)}`, 'expected names of files beside it');
    }
    return `${folder}${shard}`;
  });
  if (names.length === 0) throw new HubError(`${index} names no shards`, 'expected JSON with "weight_map"');
  return names.sort();
}
