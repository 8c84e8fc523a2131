/** The messages between the loader and its worker threads, and errors in a form that survives the way. */

import type { ClipDatasetDescription } from './dataset.ts';
import { DataError, messageOf } from './errors.ts';
import { ImageError } from './image/image.ts';

/** What a worker is started with. */
export interface WorkerStart {
  readonly dataset: ClipDatasetDescription;
}

/** To the worker: load a clip, or finish the clip in hand and end. */
export type LoadRequest =
  | { readonly kind: 'load'; readonly id: number; readonly index: number; readonly epoch: number }
  | { readonly kind: 'close' };

/** From the worker: the clip, its buffer transferred, or why there is none. */
export type LoadReply =
  | { readonly id: number; readonly frames: Uint8Array<ArrayBuffer>; readonly label: number }
  | { readonly id: number; readonly failure: LoadFailure };

/** An error as plain data. `clip`: the clip is at fault, and another one may be taken in its place. */
export interface LoadFailure {
  readonly clip: boolean;
  readonly message: string;
  readonly hint: string;
  readonly stack: string;
}

export function failureOf(error: unknown, path: string): LoadFailure {
  const stack = error instanceof Error ? (error.stack ?? '') : '';
  if (!(error instanceof DataError || error instanceof ImageError)) {
    return { clip: false, message: messageOf(error), hint: '', stack };
  }
  const problem = error.hint === '' ? error.message : error.message.slice(0, -error.hint.length - 2);
  const named = problem.includes(path) ? problem : `${path}: ${problem}`;
  return { clip: true, message: named, hint: error.hint, stack };
}

/** The error again: a DataError if the clip is at fault, else a plain error with the worker's stack. */
export function errorOf(failure: LoadFailure): Error {
  if (failure.clip) return new DataError(failure.message, failure.hint);
  const error = new Error(failure.message);
  if (failure.stack !== '') error.stack = failure.stack;
  return error;
}
