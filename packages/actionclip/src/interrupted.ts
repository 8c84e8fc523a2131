/** Work that a person stopped on the way. */

/** Nothing is wrong, but there is no result. The message says how to go on, where there is something to say. */
export class InterruptedError extends Error {
  override readonly name = 'InterruptedError';

  constructor(message = '') {
    super(message);
  }
}

/** @throws InterruptedError where the signal was set off. */
export function throwIfInterrupted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new InterruptedError();
}
