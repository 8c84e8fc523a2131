/** What a live page knows of a run: its subject, and the records of its log, few enough to be drawn at any time. */
import { numberOf } from '../report/run-curves.ts';
import type { LogRecord } from '../train/log.ts';

/** What is run, as it is known before the first step. */
export interface LiveSubject {
  readonly title: string;
  readonly subtitle: string;
  readonly epochs: number;
  readonly batchesPerEpoch: number;
  /** Machine, device, seeds: name and value. */
  readonly facts: readonly (readonly [name: string, value: string])[];
  readonly configuration: string;
}

/** Steps that are kept one by one; of longer runs a record stands for several. */
const MOST_STEPS = 4096;

export class History {
  subject: LiveSubject | undefined;
  /** How the run ended; undefined while it goes on. */
  end: string | undefined;
  readonly #most: number;
  #steps: LogRecord[] = [];
  readonly #others: LogRecord[] = [];
  /** Steps that are not enough yet for a record of their own. */
  #waiting: LogRecord[] = [];
  /** Steps that one record stands for. */
  #each = 1;
  #lastStep: LogRecord | undefined;

  constructor(most: number = MOST_STEPS) {
    this.#most = most;
  }

  add(record: LogRecord): void {
    if (record.kind !== 'step') {
      this.#others.push(record);
      return;
    }
    this.#lastStep = record;
    this.#waiting.push(record);
    if (this.#waiting.length < this.#each) return;
    this.#steps.push(mean(this.#waiting));
    this.#waiting = [];
    if (this.#steps.length < this.#most) return;
    this.#each *= 2;
    this.#steps = Array.from({ length: this.#most / 2 }, (_, pair) => mean(this.#steps.slice(2 * pair, 2 * pair + 2)));
  }

  /** All records so far, in the order of their kinds: steps, then the others. */
  get records(): readonly LogRecord[] {
    return [...this.#steps, ...this.#waiting, ...this.#others];
  }

  /** The last step just as it was logged. */
  get lastStep(): LogRecord | undefined {
    return this.#lastStep;
  }

  get validations(): readonly LogRecord[] {
    return this.#others.filter(({ kind }) => kind === 'validation');
  }
}

/** One record for several: the mean of every number. */
function mean(records: readonly LogRecord[]): LogRecord {
  const [first] = records;
  if (first === undefined || records.length === 1) return first ?? { kind: 'step', step: 0 };
  const fields = Object.keys(first).filter((field) => typeof first[field] === 'number');
  const meanOf = (field: string): number =>
    records.reduce((sum, record) => sum + numberOf(record, field), 0) / records.length;
  return {
    kind: first.kind,
    step: meanOf('step'),
    ...Object.fromEntries(fields.map((field) => [field, meanOf(field)])),
  };
}
