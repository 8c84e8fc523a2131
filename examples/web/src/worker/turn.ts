/** The work of one call: whether it is still wanted, how far it is, and room for messages in between. */
import { InterruptedError } from 'actionclip/browser';
import type { Progress } from '../protocol.ts';
import type { TrainingProgress } from '../training-protocol.ts';

/** Seconds that reading a part of a file may take before more is heard; else the worker hangs. */
const readingPatience = 30;
/** Milliseconds after which a worker that computes hears its messages. */
const longestTurn = 30;

export class Turn {
  readonly signal: AbortSignal;
  readonly #tell: (progress: Progress) => void;
  #heard = performance.now();

  constructor(signal: AbortSignal, tell: (progress: Progress) => void) {
    this.signal = signal;
    this.#tell = tell;
  }

  /** Says how far the work is. What comes next is computing: it ends, however long it takes here. */
  report(activity: string, done?: number, total?: number): void {
    this.#tell(progressOf(activity, done, total));
  }

  /** The same, where reading what others made comes next: it may never end. */
  reportReading(activity: string, done?: number, total?: number): void {
    this.#tell({ ...progressOf(activity, done, total), patience: readingPatience });
  }

  /** Says where a training of so many epochs stands. */
  train(training: TrainingProgress, epochs: number): void {
    this.#tell({ activity: 'Training', done: training.epochs, total: epochs, training });
  }

  /** Lets messages in, if none could come for a while. Computing on this thread never gives them room by itself. */
  async hear(): Promise<void> {
    if (performance.now() - this.#heard < longestTurn) return;
    await new Promise((resolve) => setTimeout(resolve));
    this.#heard = performance.now();
  }

  /**
   * The same for work that is worth nothing unless it is done.
   * @throws InterruptedError where the call was cancelled.
   */
  async breathe(): Promise<void> {
    await this.hear();
    if (this.signal.aborted) throw new InterruptedError();
  }
}

const progressOf = (activity: string, done?: number, total?: number): Progress => ({
  activity,
  ...(done === undefined ? {} : { done }),
  ...(total === undefined ? {} : { total }),
});
