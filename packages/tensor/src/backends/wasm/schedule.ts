/**
 * From a straight line of steps to phases: between two phases all threads meet, so steps that do not depend on each
 * other share one, and each of its chunks is work of one of them, or of several that are small.
 */

/** Work of one chunk in nanoseconds. */
const chunkCost = 25_000;
/** Less work than this is not worth cutting. */
const smallStep = 30_000;
const mostChunks = 1024;

/** One function call's worth of work: `units` units, each of about `cost` nanoseconds. */
export interface Work {
  readonly units: number;
  readonly cost: number;
  /** Memory that it reads and writes: numbers that are equal for the same memory. */
  readonly reads: readonly number[];
  readonly writes: readonly number[];
}

export interface Step {
  /** The work's position in the list given. */
  readonly work: number;
  /** Units in a chunk, the number of chunks, and the first one's position in the phase. */
  readonly chunk: number;
  readonly chunks: number;
  readonly firstChunk: number;
}

export interface Phase {
  readonly steps: readonly Step[];
  readonly chunks: number;
}

class OpenPhase {
  readonly steps: Step[] = [];
  readonly #readers = new Map<number, Step[]>();
  readonly #writers = new Map<number, Step[]>();
  chunks = 0;
  /** Work so far in the last chunk, in nanoseconds; none where it belongs to a step of several. */
  #lastCost = Number.POSITIVE_INFINITY;

  /** Puts the work into this phase if the order that its dependences ask for can be kept, and says whether it could. */
  add(work: Work, index: number): boolean {
    const total = work.units * work.cost;
    const chunk =
      total < smallStep
        ? work.units
        : Math.max(1, Math.ceil(chunkCost / work.cost), Math.ceil(work.units / mostChunks));
    const chunks = Math.ceil(work.units / chunk);
    const firstChunk = this.#place(work, chunks, total);
    if (firstChunk === undefined) return false;
    const step = { work: index, chunk, chunks, firstChunk };
    this.steps.push(step);
    for (const memory of work.reads) push(this.#readers, memory, step);
    for (const memory of work.writes) push(this.#writers, memory, step);
    return true;
  }

  #place(work: Work, chunks: number, total: number): number | undefined {
    const before = this.#conflicts(work);
    const [first] = before;
    if (first !== undefined) {
      // Within one chunk, one thread takes the steps in order.
      const inOne = chunks === 1 && before.every((step) => step.chunks === 1 && step.firstChunk === first.firstChunk);
      if (!inOne) return undefined;
      if (first.firstChunk === this.chunks - 1) this.#lastCost += total;
      return first.firstChunk;
    }
    if (chunks === 1 && this.#lastCost + total <= chunkCost) {
      this.#lastCost += total;
      return this.chunks - 1;
    }
    this.#lastCost = chunks === 1 ? total : Number.POSITIVE_INFINITY;
    this.chunks += chunks;
    return this.chunks - chunks;
  }

  /** Steps that must be over before the work begins. */
  #conflicts({ reads, writes }: Work): Step[] {
    const found: Step[] = [];
    for (const memory of reads) found.push(...(this.#writers.get(memory) ?? []));
    for (const memory of writes) {
      found.push(...(this.#writers.get(memory) ?? []), ...(this.#readers.get(memory) ?? []));
    }
    return found;
  }
}

function push(map: Map<number, Step[]>, key: number, step: Step): void {
  const list = map.get(key);
  if (list) list.push(step);
  else map.set(key, [step]);
}

/** The phases of `works`, in order. */
export function schedule(works: readonly Work[]): readonly Phase[] {
  const phases: OpenPhase[] = [];
  for (const [index, work] of works.entries()) {
    const last = phases[phases.length - 1];
    if (last?.add(work, index)) continue;
    const next = new OpenPhase();
    next.add(work, index);
    phases.push(next);
  }
  return phases;
}
