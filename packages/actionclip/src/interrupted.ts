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

/**
 * What the work gives, or InterruptedError as soon as the signal is set off: for work that may be left where it is,
 * since nothing is kept of it.
 */
export async function untilInterrupted<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  throwIfInterrupted(signal);
  let stop = (): void => {};
  const interruption = new Promise<never>((_resolve, reject) => {
    stop = () => reject(new InterruptedError());
    signal.addEventListener('abort', stop);
  });
  try {
    return await Promise.race([work, interruption]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
