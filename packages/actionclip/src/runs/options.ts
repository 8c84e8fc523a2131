/** What a person may choose of a training run. */
import type { TemporalHeadName } from '../model/temporal.ts';

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
  readonly checkpoint?: 'on' | 'off';
  readonly seed?: number;
  /** Train on this number of clips of each class, drawn with the seed. */
  readonly shots?: number;
  readonly workers?: number;
  /** A checkpoint of the same run, to go on from. */
  readonly resume?: string;
  readonly out?: string;
  /** Whether a page on this machine shows the run while it trains, and its port: 8765 or the next free one unless told. */
  readonly live?: boolean;
  readonly port?: number;
}

/** The configuration of the network that the options ask for: how blocks are computed, and which part is trained. */
export const networkOf = ({
  checkpoint,
  trainOnly,
}: RunOptions): { readonly checkpoint?: boolean; readonly train_only?: string } => ({
  ...(checkpoint === undefined ? {} : { checkpoint: checkpoint === 'on' }),
  ...(trainOnly === undefined ? {} : { train_only: trainOnly }),
});
