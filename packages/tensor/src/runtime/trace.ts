/** The trace of a captured function: what it may not do while it is traced, and what it leaves behind. */
import { CaptureError } from '../errors.ts';
import type { Node } from '../graph.ts';
import type { Tensor } from '../tensor.ts';

export interface Trace {
  /** Tensors that the function gave new values with `assign`, each with its value before. */
  readonly assigned: Map<Tensor, Node>;
  /** Tensors that collected gradients in the function. */
  readonly differentiated: Set<Tensor>;
  /** Live values in the order in which they were made. */
  readonly live: Node[];
  /** The first thing done that is forbidden, in case that the function swallowed the error. */
  violation: CaptureError | undefined;
}

let active: Trace | undefined;

export const activeTrace = (): Trace | undefined => active;

/** Throws CaptureError when called inside a captured function. */
export function forbidInTrace(what: string, instead: string): void {
  if (!active) return;
  const error = new CaptureError(`${what} inside a captured function would be frozen at its first value`, instead);
  active.violation ??= error;
  throw error;
}

/** What a trace leaves behind. */
export interface Traced<T> {
  readonly result: T;
  /** Tensors that `assign` updated, with the value before the trace and the next value. */
  readonly updates: readonly { readonly tensor: Tensor; readonly before: Node; readonly next: Node }[];
  readonly live: readonly Node[];
}

/**
 * Runs `body` as a captured function: reading tensors, Math.random and Date throw by name. Afterwards the tensors have
 * the values that they had before, and those differentiated inside have no gradient: it belonged to the run.
 */
export function traced<T>(body: () => T): Traced<T> {
  if (active)
    throw new CaptureError('compile: a captured function was called inside another one', 'capture the outer one alone');
  const trace: Trace = { assigned: new Map(), differentiated: new Set(), live: [], violation: undefined };
  active = trace;
  const restore = forbidGlobals();
  try {
    const result = body();
    if (trace.violation) throw trace.violation;
    const updates = [...trace.assigned].map(([tensor, before]) => ({ tensor, before, next: tensor.node }));
    return { result, updates, live: trace.live };
  } catch (error) {
    throw trace.violation ?? error;
  } finally {
    active = undefined;
    restore();
    for (const [tensor, before] of trace.assigned) tensor.commit(before);
    for (const tensor of trace.differentiated) {
      tensor.grad = undefined;
      tensor.gradientSources = [];
    }
  }
}

/** Makes Math.random and Date throw; returns what undoes it. */
function forbidGlobals(): () => void {
  const { random } = Math;
  const RealDate = globalThis.Date;
  Math.random = () => {
    forbidInTrace('Math.random', 'use rand() or a Generator');
    return random();
  };
  const now = (what: string): void => forbidInTrace(what, 'pass times as arguments');
  globalThis.Date = new Proxy(RealDate, {
    construct: (target, args: ConstructorParameters<DateConstructor>) => {
      now('new Date');
      return new target(...args);
    },
    apply: (target) => {
      now('Date()');
      return target();
    },
    get: (target, key) => {
      if (key === 'now') now('Date.now');
      return Reflect.get(target, key) as unknown;
    },
  });
  return () => {
    Math.random = random;
    globalThis.Date = RealDate;
  };
}
