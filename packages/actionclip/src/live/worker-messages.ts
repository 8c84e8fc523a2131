/** What a run and the thread of its live page tell each other. */
import type { LogRecord } from '../train/log.ts';
import type { LiveSubject } from './history.ts';

export interface LiveStart {
  /** The first one that is free is taken. */
  readonly ports: readonly number[];
}

/** To the thread. */
export type LiveMessage =
  | { readonly kind: 'subject'; readonly subject: LiveSubject }
  | { readonly kind: 'record'; readonly record: LogRecord }
  /** The last one. */
  | { readonly kind: 'end'; readonly text: string };

/** From the thread, once. */
export type LiveReply =
  | { readonly kind: 'listening'; readonly port: number }
  | { readonly kind: 'failed'; readonly problem: string; readonly hint: string };
