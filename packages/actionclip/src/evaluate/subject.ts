/** What an evaluation was made of, together with its result: what tables, JSON and pages are written from. */
import type { DatasetViews } from '../data/dataset-views.ts';
import type { Filmstrip } from '../report/data.ts';
import type { SelectedClips } from './clip-selection.ts';
import type { ZeroShotResult } from './zero-shot.ts';

export interface EvaluationSubject {
  /** The file of the model. */
  readonly weights: string;
  /** Where the model's towers are mixed: the file from before fine-tuning, and its share from 0 to 1. */
  readonly mixture: { readonly pretrained: string; readonly alpha: number } | undefined;
  /** Texts of the classes as they stood in the prompts. */
  readonly labels: readonly string[];
  readonly selected: SelectedClips;
  readonly templates: readonly string[];
  /** The set or file that the templates are of. */
  readonly templateName: string;
  readonly views: DatasetViews;
  /** Frames of a clip. */
  readonly frames: number;
  readonly result: ZeroShotResult;
  /** The best and the worst clips, where a page was asked for. */
  readonly clips?: readonly Filmstrip[];
}
