/** The trace of a captured function: what it may not do while it is traced, and what it leaves behind. */
import { CaptureError } from '../errors.ts';
import type { Tensor } from '../tensor.ts';

export interface Trace {
  /** Tensors that the function gave new values with `assign`. */
  readonly assigned: Set<Tensor>;
}

let active: Trace | undefined;

export const activeTrace = (): Trace | undefined => active;

/** Throws CaptureError when called inside a captured function. */
export function forbidInTrace(what: string, instead: string): void {
  if (active) throw new CaptureError(`${what} inside a captured function would be frozen at its first value`, instead);
}

/** Runs `body` as a captured function: reading tensors, Math.random and Date throw by name. */
export function traced<T>(body: () => T): { result: T; trace: Trace } {
  if (active)
    throw new CaptureError('compile: a captured function was called inside another one', 'capture the outer one alone');
  const trace: Trace = { assigned: new Set() };
  const { random } = Math;
  const RealDate = globalThis.Date;
  active = trace;
  Math.random = () => {
    forbidInTrace('Math.random', 'use rand() or a Generator');
    return random();
  };
  globalThis.Date = new Proxy(RealDate, {
    construct: () => {
      throw new CaptureError(
        'new Date inside a captured function would be frozen at its first value',
        'pass times as arguments',
      );
    },
    get: (target, key) => {
      if (key === 'now') forbidInTrace('Date.now', 'pass times as arguments');
      return Reflect.get(target, key) as unknown;
    },
  });
  try {
    const result = body();
    if (result instanceof Promise)
      throw new CaptureError('compile: the captured function is asynchronous', 'build the graph without await');
    return { result, trace };
  } finally {
    active = undefined;
    Math.random = random;
    globalThis.Date = RealDate;
  }
}
