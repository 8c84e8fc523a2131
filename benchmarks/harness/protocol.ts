/** What the measuring process and a contender's process say to each other. */
import type { Setting } from './contender.ts';
import type { Cost, Work } from './work.ts';

export type Request =
  /** Open the engine, make the work ready, warm up for so many milliseconds. */
  | { readonly ask: 'prepare'; readonly setting: Setting; readonly work: Work; readonly warmUp: number }
  /** Run for so many milliseconds, at least once. */
  | { readonly ask: 'time'; readonly milliseconds: number }
  /** Say how much memory it took, and what the device counts for a run. */
  | { readonly ask: 'memory' };

export interface PreparedReply {
  readonly answer: 'prepared';
  readonly description: string;
  /** Elements of the result, where there is one. */
  readonly sample?: Float32Array;
  readonly cost?: Cost;
}

export interface MemoryReply {
  readonly answer: 'memory';
  /** The process at its fullest, in bytes. */
  readonly resident: number;
  /** Bytes of device memory that a run needs beside the parameters. */
  readonly working?: number;
  /** Milliseconds of one run as the device counts them. */
  readonly device?: number;
}

export type Reply =
  | PreparedReply
  | MemoryReply
  | { readonly answer: 'times'; readonly times: readonly number[] }
  /** The engine does not do this work. */
  | { readonly answer: 'absent'; readonly reason: string }
  | { readonly answer: 'failed'; readonly message: string };
