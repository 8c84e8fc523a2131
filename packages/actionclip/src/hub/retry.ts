/** Trying again after failures that may pass: how often, after which pauses, and which failures those are. */
import { setTimeout as pause } from 'node:timers/promises';
import { codeOf } from '../data/errors.ts';
import { InterruptedError, throwIfInterrupted } from '../interrupted.ts';
import { TransientError } from './errors.ts';

export interface RetryOptions {
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds before the second attempt; each further pause is twice as long. Half a second if absent. */
  readonly firstPause?: number;
}

/** Attempts in a row that bring nothing before it is given up. */
const MOST_ATTEMPTS = 4;
const FIRST_PAUSE = 500;
/** A server that asks for a longer pause than this is not waited for. */
const LONGEST_PAUSE = 60_000;

/** The system's codes for connections that did not come about or broke. */
const NETWORK_CODES: ReadonlySet<string> = new Set([
  ...['ECONNRESET', 'ECONNREFUSED', 'ECONNABORTED', 'EPIPE', 'ETIMEDOUT', 'ENOTFOUND', 'EAI_AGAIN', 'ENETUNREACH'],
  ...['EHOSTUNREACH', 'ENETDOWN', 'EPROTO', 'ERR_STREAM_PREMATURE_CLOSE', 'HPE_INVALID_CONSTANT', 'EADDRNOTAVAIL'],
]);

/** Whether another attempt may do better. */
export const isTransient = (error: unknown): boolean =>
  error instanceof TransientError ||
  NETWORK_CODES.has(codeOf(error)) ||
  (error instanceof AggregateError && error.errors.some(isTransient));

/**
 * Calls `attempt` until it gives a result. It says through `progressed` that this attempt brought something, which
 * makes the count of failures begin again: a connection that breaks ever so often is no reason to give up.
 * @throws what the last attempt threw, or at once what is not transient; InterruptedError where the signal was set off
 */
export async function withRetries<Result>(
  attempt: (progressed: () => void) => Promise<Result>,
  { signal, firstPause = FIRST_PAUSE }: RetryOptions,
): Promise<Result> {
  let failures = 0;
  for (;;) {
    throwIfInterrupted(signal);
    try {
      return await attempt(() => {
        failures = 0;
      });
    } catch (error) {
      throwIfInterrupted(signal);
      failures++;
      const asked = error instanceof TransientError ? (error.wait ?? 0) : 0;
      if (!isTransient(error) || failures >= MOST_ATTEMPTS || asked > LONGEST_PAUSE) throw error;
      const length = Math.max(asked, firstPause * 2 ** (failures - 1));
      await pause(length, undefined, signal && { signal }).catch(() => {
        throw new InterruptedError();
      });
    }
  }
}
