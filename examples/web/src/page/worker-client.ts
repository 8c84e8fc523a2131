/**
 * The page's end of the worker. A worker that dies, that gives no sign of life in a call, or that does not hear a
 * cancellation, is ended; the next call starts another one.
 */
import type { Answer, Ask, CallName, FromWorker, Progress, ToWorker } from '../protocol.ts';

/**
 * Seconds without news from a call, after which its worker is given up, where the worker says no others: enough for a
 * batch of a large model on a slow machine.
 */
const patience = 300;
/** The same for one that was cancelled. */
const cancelPatience = 5;

/** There is no answer, and none will come: the message says why. */
export class CallError extends Error {
  override readonly name: string = 'CallError';
  /** Whether it was given up by whoever asked. */
  readonly cancelled: boolean;
  /** Whether the worker is gone, and with it all that it held. */
  readonly lost: boolean;

  constructor(problem: string, { cancelled = false, lost = false } = {}) {
    super(problem);
    this.cancelled = cancelled;
    this.lost = lost;
  }
}

export interface CallOptions {
  readonly signal?: AbortSignal;
  /** What of the question is given away. */
  readonly transfer?: readonly Transferable[];
  readonly onProgress?: (progress: Progress) => void;
}

interface Pending {
  readonly resolve: (answer: Answer<CallName>) => void;
  readonly reject: (error: CallError) => void;
  /** Is called when there is an answer, or none will come. */
  readonly settled: () => void;
  readonly onProgress: (progress: Progress) => void;
  /** Ticks of a second since the last news. Ticks, not time: a machine that slept did not wait. */
  silent: number;
  patience: number;
  cancelled: boolean;
}

export class WorkerClient {
  readonly #start: () => Worker;
  #worker: Worker | undefined;
  readonly #pending = new Map<number, Pending>();
  #lastId = 0;
  #timer: ReturnType<typeof setInterval> | undefined;

  /** @param start Starts the worker's script. */
  constructor(start: () => Worker) {
    this.#start = start;
  }

  /** @throws CallError where there is no answer. */
  call<K extends CallName>(
    name: K,
    ask: Ask<K>,
    { signal, transfer, onProgress = () => {} }: CallOptions = {},
  ): Promise<Answer<K>> {
    const id = ++this.#lastId;
    return new Promise<Answer<CallName>>((resolve, reject) => {
      if (signal?.aborted) {
        reject(new CallError('cancelled', { cancelled: true }));
        return;
      }
      const cancel = (): void => this.#cancel(id);
      // A signal may outlast many calls, and would keep what each of them was given.
      const settled = (): void => signal?.removeEventListener('abort', cancel);
      this.#pending.set(id, { resolve, reject, settled, onProgress, silent: 0, patience, cancelled: false });
      this.#post({ id, call: name, ask } as ToWorker, transfer);
      signal?.addEventListener('abort', cancel, { once: true });
      this.#timer ??= setInterval(() => this.#tick(), 1000);
    }) as Promise<Answer<K>>;
  }

  #post(message: ToWorker, transfer: readonly Transferable[] = []): void {
    this.#worker ??= this.#started();
    this.#worker.postMessage(message, [...transfer]);
  }

  #started(): Worker {
    const worker = this.#start();
    // What an ended worker had still sent is nobody's any more.
    const isCurrent = (): boolean => this.#worker === worker;
    worker.addEventListener('message', ({ data }: MessageEvent<FromWorker>) => {
      if (isCurrent()) this.#hear(data);
    });
    worker.addEventListener('error', ({ message }) => {
      if (isCurrent()) this.#lose(`The worker stopped${message ? `: ${message}` : ' without saying why'}`);
    });
    worker.addEventListener('messageerror', () => {
      if (isCurrent()) this.#lose('The worker sent what cannot be read');
    });
    return worker;
  }

  #hear(message: FromWorker): void {
    const pending = this.#pending.get(message.id);
    if (pending === undefined) return;
    if ('progress' in message) {
      // The worker takes one call after the other: while one goes on, those behind it are not forgotten.
      for (const waiting of this.#pending.values()) waiting.silent = 0;
      pending.patience = message.progress.patience ?? patience;
      pending.onProgress(message.progress);
      return;
    }
    this.#settle(message.id);
    if ('answer' in message) pending.resolve(message.answer);
    else pending.reject(new CallError(message.failure.problem, message.failure));
  }

  #cancel(id: number): void {
    const pending = this.#pending.get(id);
    if (pending === undefined) return;
    pending.cancelled = true;
    pending.silent = 0;
    this.#post({ cancel: id });
  }

  #settle(id: number): void {
    this.#pending.get(id)?.settled();
    this.#pending.delete(id);
    if (this.#pending.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #tick(): void {
    for (const pending of this.#pending.values()) {
      pending.silent += 1;
      if (pending.cancelled && pending.silent >= cancelPatience) this.#lose('The work was cut short');
      else if (pending.silent >= pending.patience) {
        this.#lose(`Nothing was heard of the work for ${pending.patience} seconds, and it was ended`);
      }
    }
  }

  /** Ends the worker; every call fails. */
  #lose(problem: string): void {
    this.#worker?.terminate();
    this.#worker = undefined;
    for (const [id, pending] of [...this.#pending]) {
      this.#settle(id);
      pending.reject(new CallError(problem, { cancelled: pending.cancelled, lost: true }));
    }
  }
}
