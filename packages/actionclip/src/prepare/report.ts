/** What a preparation gives: each clip with its class, split, frames or fault, and the summary that is kept as JSON. */
import type { FrameNumbering } from './frame-names.ts';
import type { DatasetLayoutName } from './layout-names.ts';
import type { LabelledClip } from './layouts/layout.ts';

/** How thoroughly clips are looked at: `none` only lists them. */
export type CheckKind = 'full' | 'quick' | 'none';

/** A clip as it goes into the lists. `reason`: it is broken. */
export interface PreparedClip extends LabelledClip {
  readonly frames?: number;
  readonly reason?: string;
}

/** What is printed and written as `prepare.json`. */
export interface PrepareReport {
  /** absolute path of the data set: the root of the paths in the lists */
  readonly folder: string;
  /** absolute path of the lists */
  readonly out: string;
  readonly layout: DatasetLayoutName;
  /** why it was taken for this layout */
  readonly reason: string;
  /** which official split, for layouts that have several */
  readonly split?: number;
  readonly check: CheckKind;
  readonly classes: number;
  /** clips with a class, the broken ones among them */
  readonly clips: number;
  /** clips in the lists, by split */
  readonly listed: { readonly train: number; readonly val: number; readonly test: number };
  /** sum over the clips in the lists, where they were counted */
  readonly frames: number;
  readonly broken: number;
  /** annotated clips that are not there */
  readonly missing: number;
  /** clips that no list file can hold, because of their names; they are in clips.csv */
  readonly unlistable: number;
  /** how frames are numbered, where there are folders of them */
  readonly frameNumbering?: FrameNumbering;
  /** files written into `out` */
  readonly files: readonly string[];
  /** what is odd but usable, one sentence each */
  readonly notes: readonly string[];
}
