/**
 * The threads of a backend: persistent workers that instantiate every kernel over the one shared memory, sleep in
 * their event loop between runs, and walk a program together with the calling thread.
 */
import { DeviceError } from '../../errors.ts';
import { control, walkModule } from './walk.ts';

/** What a worker does, as a script that needs nothing beside it: all the work is in the modules it is sent. */
const workerScript = `
const run = (port) => {
  let engine, walk, scratch, controls;
  const instantiate = (module) => new WebAssembly.Instance(module, { engine }).exports;
  port((message, reply) => {
    if (message.memory) {
      const kernels = new WebAssembly.Table({ element: 'anyfunc', initial: 0 });
      engine = { memory: message.memory, kernels };
      ({ scratch, controls } = message);
      walk = instantiate(message.walk);
    } else if (message.module) {
      const exports = instantiate(message.module);
      const first = engine.kernels.grow(message.names.length);
      message.names.forEach((name, i) => engine.kernels.set(first + i, exports[name]));
    } else if (message.scratch) ({ scratch } = message);
    else {
      try {
        walk.join(controls, message.number, message.run, scratch);
      } catch (error) {
        walk.abandon(controls, message.run);
        walk.part(controls);
        throw error;
      }
    }
    if (message.reply) reply(message.reply);
  });
};
if (typeof self === 'undefined' || typeof postMessage === 'undefined') {
  const { parentPort } = require('node:worker_threads');
  run((receive) => parentPort.on('message', (m) => receive(m, (r) => parentPort.postMessage(r))));
} else run((receive) => { self.onmessage = (e) => receive(e.data, (r) => self.postMessage(r)); });
`;

interface WorkerHandle {
  post(message: unknown): void;
  /** Whether the process stays alive for the worker: only while an answer is awaited. */
  keepAlive(needed: boolean): void;
  close(): Promise<unknown> | undefined;
}

type Listen = { message: (value: unknown) => void; error: (error: Error) => void };

const inNode = typeof process !== 'undefined' && process.versions?.node !== undefined;

/** The number of threads that pay: the processors that this process may use; 1 where memory cannot be shared. */
export async function availableThreads(): Promise<number> {
  if (inNode) return (await import('node:os')).availableParallelism();
  const scope = globalThis as { crossOriginIsolated?: boolean; navigator?: { hardwareConcurrency?: number } };
  return scope.crossOriginIsolated ? (scope.navigator?.hardwareConcurrency ?? 1) : 1;
}

/** A function that starts a worker. */
async function workerStarter(listen: Listen): Promise<() => WorkerHandle> {
  if (inNode) {
    const { Worker: NodeWorker } = await import('node:worker_threads');
    return () => {
      const worker = new NodeWorker(workerScript, { eval: true, execArgv: [] });
      worker.on('message', listen.message);
      worker.on('error', listen.error);
      worker.unref();
      return {
        post: (message) => worker.postMessage(message),
        keepAlive: (needed) => (needed ? worker.ref() : worker.unref()),
        close: () => worker.terminate(),
      };
    };
  }
  return () => {
    const url = URL.createObjectURL(new Blob([workerScript], { type: 'text/javascript' }));
    const worker = new Worker(url);
    worker.onmessage = (event) => listen.message(event.data);
    worker.onerror = (event) => listen.error(new Error(event.message));
    return {
      post: (message) => worker.postMessage(message),
      keepAlive: () => {},
      close: () => {
        worker.terminate();
        URL.revokeObjectURL(url);
        return undefined;
      },
    };
  };
}

/** Whether this thread may sleep: everywhere but on the main thread of a browser page. */
const mayBlock = inNode || typeof document === 'undefined';

export interface ThreadsOptions {
  readonly memory: WebAssembly.Memory;
  /** Control words in the memory, zeroed. */
  readonly controls: number;
  /** A thread's private memory, one address for each thread; the first is the calling thread's. */
  readonly scratch: readonly number[];
}

export class Threads {
  readonly count: number;
  readonly #options: ThreadsOptions;
  #scratch: readonly number[];
  readonly #workers: WorkerHandle[] = [];
  readonly #unsent: ((worker: number) => object)[] = [];
  #startWorker: () => WorkerHandle = () => {
    throw new DeviceError('wasm: threads that were not started');
  };
  readonly #kernels: WebAssembly.Table;
  #walk: Record<string, (...args: number[]) => void> = {};
  #runNumber = 0;
  #replyNumber = 0;
  readonly #replies = new Map<number, { left: number; done: () => void; failed: (error: Error) => void }>();
  #failure: Error | undefined;

  private constructor(options: ThreadsOptions) {
    this.#options = options;
    this.count = options.scratch.length;
    this.#scratch = options.scratch;
    this.#kernels = new WebAssembly.Table({ element: 'anyfunc', initial: 0 });
  }

  static async start(options: ThreadsOptions): Promise<Threads> {
    const threads = new Threads(options);
    const { memory, controls, scratch } = options;
    const walk = await WebAssembly.compile(walkModule(scratch.length > 1));
    const instance = await WebAssembly.instantiate(walk, { engine: { memory, kernels: threads.#kernels } });
    threads.#walk = instance.exports as Record<string, (...args: number[]) => void>;
    const listen: Listen = {
      message: (value) => threads.#answered(value as number),
      error: (error) => threads.#failed(error),
    };
    threads.#startWorker = await workerStarter(listen);
    threads.#post((i) => ({ memory, walk, controls, scratch: scratch[i + 1] }));
    return threads;
  }

  /** Sends every worker a message, or keeps it for those that are not started yet. */
  #post(message: (worker: number) => object): void {
    if (this.#workers.length === 0 && this.count > 1) this.#unsent.push(message);
    for (const [i, worker] of this.#workers.entries()) worker.post(message(i));
  }

  /** Starts the workers when there is work for them. Nobody waits for one to be up: until then the others do its share. */
  #start(): void {
    if (this.#workers.length > 0) return;
    for (let i = 0; i < this.count - 1; i++) {
      const worker = this.#startWorker();
      for (const message of this.#unsent) worker.post(message(i));
      this.#workers.push(worker);
    }
    this.#unsent.length = 0;
  }

  /** Sends every worker a message; resolves when all have dealt with it. */
  #tell(message: (worker: number) => object): Promise<void> {
    if (this.#workers.length === 0) return Promise.resolve();
    if (this.#failure) return Promise.reject(this.#failure);
    const reply = ++this.#replyNumber;
    return new Promise((done, failed) => {
      this.#replies.set(reply, { left: this.#workers.length, done, failed });
      for (const [i, worker] of this.#workers.entries()) {
        worker.keepAlive(true);
        worker.post({ ...message(i), reply });
      }
    });
  }

  #answered(reply: number): void {
    const waiting = this.#replies.get(reply);
    if (!waiting || --waiting.left > 0) return;
    this.#replies.delete(reply);
    if (this.#replies.size === 0) for (const worker of this.#workers) worker.keepAlive(false);
    waiting.done();
  }

  #failed(cause: Error): void {
    this.#failure = new DeviceError(`wasm: a worker thread stopped: ${cause.message}`, 'start again with threads: 1');
    for (const waiting of this.#replies.values()) waiting.failed(this.#failure);
    this.#replies.clear();
  }

  /** Makes the functions `names` of a module callable on every thread; returns the first one's position in the table. */
  async add(module: WebAssembly.Module, names: readonly string[]): Promise<number> {
    const { memory } = this.#options;
    const instance = await WebAssembly.instantiate(module, { engine: { memory, kernels: this.#kernels } });
    const first = this.#kernels.grow(names.length);
    for (const [i, name] of names.entries()) {
      this.#kernels.set(first + i, instance.exports[name] as () => void);
    }
    // Messages arrive in order: the kernels are there before any run that the workers are asked to join.
    this.#post(() => ({ module, names }));
    return first;
  }

  /** Gives the threads other private memory, one address for each, for the runs that follow. */
  moveScratch(addresses: readonly number[]): void {
    this.#scratch = addresses;
    this.#post((i) => ({ scratch: addresses[i + 1] }));
  }

  /**
   * Runs the list of phases at `run`. Where this thread may sleep the run is over on return; otherwise the workers do
   * it alone and the promise says when. `parallel`: whether there is anything to share.
   */
  run(run: number, parallel: boolean): Promise<void> | void {
    if (this.#failure) throw this.#failure;
    const { controls } = this.#options;
    const scratch = this.#scratch;
    const walk = this.#walk.walk as (run: number, scratch: number) => void;
    const leave = this.#walk.leave as (controls: number) => number;
    if (this.count === 1 || !parallel) return walk(run, scratch[0] as number);
    this.#start();
    const number = ++this.#runNumber;
    Atomics.store(new Int32Array(this.#options.memory.buffer), (controls + control.open) >>> 2, number);
    if (!mayBlock) return this.#tell(() => ({ number, run })).then(() => void leave(controls));
    this.#post(() => ({ number, run }));
    try {
      walk(run, scratch[0] as number);
    } catch (error) {
      (this.#walk.abandon as (controls: number, run: number) => void)(controls, run);
      throw error;
    } finally {
      if (leave(controls) !== 0) this.#failed(new Error('a kernel failed there'));
    }
    if (this.#failure) throw this.#failure;
  }

  async close(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.close()));
    this.#workers.length = 0;
  }
}
