/** What a contender is: an engine in a process of its own that makes work ready and runs it. */
import type { Cost, WorkKind, WorkOf } from './work.ts';

/** Work made ready. */
export interface Prepared {
  /** One run: results are computed and given up, when the promise is kept or, if there is a `finish`, before that is. */
  run(): Promise<void>;
  /** Waits until the device has done all runs: with it, runs are timed by the bundle. */
  finish?(): Promise<void>;
  /** Milliseconds that the device itself counts for one run. */
  deviceTime?(): Promise<number>;
  /** The elements of one run's result, or nothing where there is none to compare. */
  result?(): Promise<ArrayLike<number>>;
  /** What a run costs, where the description of the work alone does not say. */
  readonly cost?: Cost;
  /** Bytes of device memory that a run needs beside the parameters, after the first run. */
  working?(): number;
}

/** An engine, opened. */
export interface Engine {
  /** What ran, in its own words. */
  readonly description: string;
  readonly abilities: Abilities;
}

/** How each kind of work is prepared, or why it is not. */
export type Abilities = { readonly [K in WorkKind]: ((work: WorkOf<K>) => Promise<Prepared | string>) | string };

/** Prepares the forward direction alone; the other is left out for `reason`. */
export const forwardOnly =
  <W extends { readonly backward?: boolean }>(prepare: (work: W) => Promise<Prepared>, reason: string) =>
  async (work: W): Promise<Prepared | string> =>
    work.backward ? reason : prepare(work);

/** Why only this engine measures what the device itself can do. */
export const unmeasured = 'the device is measured by this engine alone';

/** What an engine is opened with. */
export interface Setting {
  /** Threads of the processor; 0 where another device computes. */
  readonly threads: number;
  /** Whether a WebGPU adapter that computes on the processor will do. */
  readonly software: boolean;
}

export interface Contender {
  readonly name: string;
  /** The URL of the module whose `contenders` it is one of: its process finds it there. */
  readonly listedIn: string;
  /** Packages of benchmarks/ that it needs. */
  readonly packages: readonly string[];
  /** Whether it can use more than one thread in Node. */
  readonly threaded: boolean;
  /** Options of the Node process for its good: `major` is Node's version. */
  readonly flags?: (major: number) => readonly string[];
  /** The largest difference from the first contender's result, relative to its largest element; 1e-3 if absent. */
  readonly tolerance?: number;
  /** Loads and opens the engine; throws where a package is not installed. */
  readonly open: (setting: Setting) => Promise<Engine>;
}
