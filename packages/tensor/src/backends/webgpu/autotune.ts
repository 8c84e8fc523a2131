/**
 * Schedules that were measured: which one is fastest for a class of kernels on one adapter. What was found is kept as
 * text in a store, so that it is measured once.
 */

/** How a kernel is computed, as plain data. */
export type Schedule = object;

/**
 * `off`: schedules as the tables have them. `cached`: those that were measured before, where there are any.
 * `measure`: those, and new classes are measured when a program is compiled.
 */
export type Autotune = 'off' | 'cached' | 'measure';

/** Where the text of measured schedules is kept. */
export interface ScheduleStore {
  /** Where that is, for messages. */
  readonly place: string;
  /** The text, or undefined where there is none. */
  load(): Promise<string | undefined>;
  /** Replaces the text, whole or not at all. */
  save(text: string): Promise<void>;
}

/** Kernels whose schedule is to be chosen. */
export interface Tunable<S extends Schedule> {
  /** Kernels with the same key are best computed by the same schedule. */
  readonly key: string;
  /** What may be chosen; the first is taken where nothing is known. */
  readonly candidates: readonly S[];
  /** Microseconds that the kernel takes by a schedule. Rejects where the device does not take it. */
  readonly measure: (schedule: S) => Promise<number>;
}

interface Measured {
  readonly schedule: Schedule;
  readonly microseconds: number;
}

/** The layout of the text. */
const formatVersion = 1;

/** Times differ by the kernels that schedules stand for: raised when those change. */
const kernelVersion = 1;

/** Rounds of measuring at most, and how much slower than the fastest a candidate may be to stay in for the next one. */
const rounds = [1.5, 1.15, 1.05] as const;

export interface TunerOptions {
  readonly mode: Autotune;
  readonly store: ScheduleStore;
  /** The adapter and its driver: what was measured on another one is no use. */
  readonly adapter: string;
  /** Takes a line about a store that cannot be read or written; the console's warning if absent. */
  readonly warn?: (line: string) => void;
}

export class Tuner {
  private readonly options: TunerOptions;
  private known: Promise<Map<string, Measured>> | undefined;
  /** Measurements follow each other: two at once would disturb each other. */
  private queue: Promise<unknown> = Promise.resolve();

  constructor(options: TunerOptions) {
    this.options = options;
  }

  /** For each of `tunables` the schedule to compute it by. New classes are measured first where the mode is `measure`. */
  async choose<S extends Schedule>(tunables: readonly Tunable<S>[]): Promise<(S | undefined)[]> {
    if (this.options.mode === 'off' || tunables.every(({ candidates }) => candidates.length < 2)) {
      return tunables.map(({ candidates }) => candidates[0]);
    }
    this.known ??= this.load();
    const known = await this.known;
    if (this.options.mode === 'measure') {
      const done = this.queue.then(() => this.measureMissing(tunables, known));
      this.queue = done.catch(() => undefined);
      await done;
    }
    return tunables.map((tunable) => chosen(tunable, known) ?? tunable.candidates[0]);
  }

  private async measureMissing<S extends Schedule>(
    tunables: readonly Tunable<S>[],
    known: Map<string, Measured>,
  ): Promise<void> {
    let isNew = false;
    for (const tunable of tunables) {
      if (tunable.candidates.length < 2 || chosen(tunable, known)) continue;
      const fastest = await pickFastest(tunable.candidates, tunable.measure);
      if (!fastest) continue;
      known.set(tunable.key, fastest);
      isNew = true;
    }
    if (isNew) await this.save(known);
  }

  private async load(): Promise<Map<string, Measured>> {
    const { store, adapter } = this.options;
    try {
      const text = await store.load();
      return text === undefined ? new Map() : parse(text, adapter);
    } catch (error) {
      this.warn(`Measured schedules in ${store.place} are not readable and will be measured again`, error);
      return new Map();
    }
  }

  /** Adds what another process may have measured since, and writes all of it. */
  private async save(known: Map<string, Measured>): Promise<void> {
    const { store, adapter } = this.options;
    try {
      const text = await store.load();
      const others = text === undefined ? new Map<string, Measured>() : readable(text, adapter);
      await store.save(print(new Map([...others, ...known]), adapter));
    } catch (error) {
      this.warn(`Measured schedules could not be kept in ${store.place}`, error);
    }
  }

  private warn(line: string, error: unknown): void {
    const { warn = console.warn } = this.options;
    warn(`${line} (${error instanceof Error ? error.message : String(error)})`);
  }
}

/** What was measured for a tunable, where it is still among its candidates. */
function chosen<S extends Schedule>({ key, candidates }: Tunable<S>, known: Map<string, Measured>): S | undefined {
  const measured = known.get(key);
  if (!measured) return undefined;
  const text = canonical(measured.schedule);
  return candidates.find((candidate) => canonical(candidate) === text);
}

/** The text of plain data, whatever the order of its keys. */
function canonical(value: unknown): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? '';
  if (Array.isArray(value)) return `[${value.map(canonical)}]`;
  const entries = Object.entries(value).filter(([, entry]) => entry !== undefined);
  return `{${entries.sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, entry]) => `${name}:${canonical(entry)}`)}}`;
}

/**
 * The fastest of `candidates` and its time: every one is measured once, those near the fastest again, until one is
 * clearly ahead or the rounds are over; the least time of each counts. Undefined where the device takes none.
 */
export async function pickFastest<S extends Schedule>(
  candidates: readonly S[],
  measure: (schedule: S) => Promise<number>,
): Promise<{ schedule: S; microseconds: number } | undefined> {
  let field = candidates.map((schedule) => ({ schedule, microseconds: Number.POSITIVE_INFINITY }));
  for (const factor of rounds) {
    for (const entry of field) {
      // A schedule that the device refuses never wins.
      const time = await measure(entry.schedule).catch(() => Number.NaN);
      if (time < entry.microseconds) entry.microseconds = time;
    }
    field.sort((a, b) => a.microseconds - b.microseconds);
    const limit = (field[0]?.microseconds ?? 0) * factor;
    field = field.filter(({ microseconds }) => microseconds <= limit && Number.isFinite(microseconds));
    if (field.length <= 1) break;
  }
  return field[0];
}

function print(known: ReadonlyMap<string, Measured>, adapter: string): string {
  return `${JSON.stringify({ format: formatVersion, kernels: kernelVersion, adapter, schedules: Object.fromEntries(known) }, undefined, 1)}\n`;
}

/** The schedules in `text`; none where they belong to other kernels or another adapter. Throws for anything else. */
function parse(text: string, adapter: string): Map<string, Measured> {
  const value = JSON.parse(text) as Partial<Record<string, unknown>> | null;
  if (typeof value !== 'object' || value === null || typeof value.format !== 'number')
    throw new Error('it is no list of schedules');
  if (value.format !== formatVersion || value.kernels !== kernelVersion || value.adapter !== adapter) return new Map();
  const { schedules } = value;
  if (typeof schedules !== 'object' || schedules === null) throw new Error('the schedules are missing');
  return new Map(
    Object.entries(schedules as Record<string, Partial<Measured> | null>).map(([key, entry]) => {
      const { schedule, microseconds } = entry ?? {};
      if (typeof schedule !== 'object' || schedule === null || typeof microseconds !== 'number')
        throw new Error(`the entry '${key}' is incomplete`);
      return [key, { schedule, microseconds }];
    }),
  );
}

function readable(text: string, adapter: string): Map<string, Measured> {
  try {
    return parse(text, adapter);
  } catch {
    return new Map();
  }
}
