/** What a contender is: an engine in a process of its own that makes work ready and runs it. */
import type { Cost, WorkKind, WorkOf } from './work.ts';

/** Work made ready. */
export interface Prepared {
  /** One run, finished when the promise is: results are computed, and given up. */
  run(): Promise<void>;
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

export interface Contender {
  readonly name: string;
  /** Packages of benchmarks/ that it needs. */
  readonly packages: readonly string[];
  /** Whether it can use more than one thread in Node. */
  readonly threaded: boolean;
  /** Options of the Node process for its good: `major` is Node's version. */
  readonly flags?: (major: number) => readonly string[];
  /** Loads and opens the engine; throws where a package is not installed. */
  readonly open: (threads: number) => Promise<Engine>;
}

/**
 * The flags that this project's engine sets for itself, for its WebAssembly peers too: relaxed SIMD, which is ready in
 * Node 20 but off, and the joining of neighbouring vectors from Node 24 on. Node refuses to start with an unknown flag.
 */
function engineFlags(major: number): readonly string[] {
  if (major < 22) return ['--experimental-wasm-relaxed-simd'];
  return major >= 24 && major <= 26 ? ['--experimental-wasm-revectorize'] : [];
}

/** In the order of the table; the first is what the others are compared with. */
export const contenders: readonly Contender[] = [
  {
    name: 'actionclip',
    packages: [],
    threaded: true,
    open: async (threads) => (await import('./contenders/actionclip.ts')).open(threads),
  },
  {
    name: 'onnxruntime-web',
    packages: ['onnxruntime-web'],
    threaded: true,
    flags: engineFlags,
    open: async (threads) => (await import('./contenders/onnxruntime.ts')).open('onnxruntime-web', threads),
  },
  {
    name: 'tfjs-wasm',
    packages: ['@tensorflow/tfjs-core', '@tensorflow/tfjs-backend-wasm'],
    threaded: false,
    flags: engineFlags,
    open: async () => (await import('./contenders/tfjs.ts')).open(),
  },
  {
    name: 'jax-js',
    packages: ['@jax-js/jax'],
    threaded: false,
    flags: engineFlags,
    open: async () => (await import('./contenders/jax.ts')).open(),
  },
  {
    name: 'onnxruntime-node',
    packages: ['onnxruntime-node'],
    threaded: true,
    open: async (threads) => (await import('./contenders/onnxruntime.ts')).open('onnxruntime-node', threads),
  },
];
