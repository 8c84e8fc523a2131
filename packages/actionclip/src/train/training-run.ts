/** What a training is given, and what comes of it. */

import type { Evaluation } from '../evaluate/evaluate.ts';
import type { Validation } from './checkpoint.ts';
import type { Config } from './config.ts';
import type { DatasetOptions, RunData } from './datasets.ts';
import type { RunLog } from './log.ts';
import type { OpenedModel } from './model-description.ts';
import type { Progress } from './progress.ts';
import type { TimeSplit } from './timing.ts';
import type { UnreadableClip } from './unreadable-clips.ts';

export interface TrainingRun {
  readonly config: Config;
  readonly data: RunData;
  /** With the weights that training starts from; a resumed run replaces them. */
  readonly opened: OpenedModel;
  readonly datasets?: DatasetOptions;
  /** Steps between checkpoints within an epoch; without it there is one after each epoch only. */
  readonly checkpointEvery?: number;
  readonly progress?: Progress;
  /** Gets the records of the log, those before a resumed run included, as they are written; whoever gives it closes it. */
  readonly watcher?: RunLog;
  /** Stops the run after the step at hand, with a checkpoint to go on from. */
  readonly signal?: AbortSignal;
  /** Called after each validation. */
  readonly onValidation?: (validation: Validation, evaluation: Evaluation) => void;
}

export interface TrainingOutcome {
  /** Optimizer steps done, those before a resumed run included. */
  readonly steps: number;
  /** The most accurate epoch; absent where nothing was validated. */
  readonly best?: Validation;
  /** The last validation with its scores. */
  readonly evaluation?: Evaluation;
  /** Seconds of this process by activity. */
  readonly time: TimeSplit;
  /** What of the training step did not run in its fastest form, with the reasons. */
  readonly fallbacks: readonly string[];
  /** Clips that could not be read, those before a resumed run included. */
  readonly unreadable: readonly UnreadableClip[];
  readonly lastCheckpoint: string;
  readonly bestCheckpoint: string;
  readonly log: string;
}
