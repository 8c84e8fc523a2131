/** What a person may choose of a training run. */
import type { AdapterOptions } from '../model/adapters.ts';
import type { TemporalHeadName } from '../model/temporal.ts';
import type { ConfigOverrides } from '../train/config-file.ts';

/** Everything is optional: without a configuration, lists or a table, the run is the built-in one. */
export interface RunOptions {
  /** Which built-in data set, where the run is on one: its standard form unless told. */
  readonly builtIn?: 'standard' | 'hard' | 'pairs';
  /** One of ActionCLIP's YAML files, or one of the same form. */
  readonly config?: string;
  readonly trainList?: string;
  readonly valList?: string;
  readonly labels?: string;
  readonly root?: string;
  /** In place of the lists: CSV with the columns path, label, text, group, split. */
  readonly clipsTable?: string;
  /** A checkpoint of an earlier run, whose model training starts from. */
  readonly init?: string;
  readonly frames?: number;
  readonly size?: number;
  readonly epochs?: number;
  readonly batchSize?: number;
  /** In how many parts a batch is computed. */
  readonly accumulate?: number;
  readonly lr?: number;
  readonly head?: TemporalHeadName;
  readonly precision?: 'f32' | 'mixed';
  /** Views of each clip whose features are kept, where the image tower is frozen. */
  readonly featureViews?: number;
  readonly trainOnly?: 'temporal' | 'image' | 'text';
  /** What is trained in place of the towers' own parameters, and how large it is: LoRA's rank, an ST-Adapter's channels. */
  readonly adapter?: 'lora' | 'st-adapter';
  readonly adapterSize?: number;
  readonly checkpoint?: 'on' | 'off';
  readonly seed?: number;
  /** Train on this number of clips of each class, drawn with the seed. */
  readonly shots?: number;
  readonly workers?: number;
  /** Ends the run at the first clip that cannot be read. */
  readonly strict?: boolean;
  /** A checkpoint of the same run, to go on from. */
  readonly resume?: string;
  readonly out?: string;
  /** Whether a page on this machine shows the run while it trains, and its port: 8765 or the next free one unless told. */
  readonly live?: boolean;
  readonly port?: number;
}

/** The keys of the configuration about each adapter's settings and its size. */
const adapterKeys = {
  lora: { section: 'lora', size: 'rank' },
  'st-adapter': { section: 'st_adapter', size: 'channels' },
} as const;

/** The adapter with its size as told, or else the settings of the one that the run starts from. */
function adapterValues({ adapter, adapterSize }: RunOptions, known: AdapterOptions | undefined): ConfigOverrides {
  if (adapter === undefined) return {};
  const { section, size } = adapterKeys[adapter];
  if (adapterSize !== undefined) return { adapter, [section]: { [size]: adapterSize } };
  if (known?.kind !== adapter) return { adapter };
  const { kind: _, ...settings } = known;
  return { adapter, [section]: settings };
}

/**
 * The configuration of the network that the options ask for: how blocks are computed, and what is trained.
 * @param known The adapter of what the run starts from, with which one of its kind goes on unless its size is told.
 */
export const networkOf = (options: RunOptions, known?: AdapterOptions): ConfigOverrides => ({
  ...(options.checkpoint === undefined ? {} : { checkpoint: options.checkpoint === 'on' }),
  ...(options.trainOnly === undefined ? {} : { train_only: options.trainOnly }),
  ...adapterValues(options, known),
});

/** What the options ask for where a clip cannot be read: nothing without `strict`. */
export const corruptClipsOf = ({ strict }: RunOptions): { readonly corrupt_clips?: 'error' } =>
  strict ? { corrupt_clips: 'error' } : {};
