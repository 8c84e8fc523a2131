/**
 * The log of a run: one JSON object a line, appended. Each line is one write, so a kill leaves at most one torn
 * line at the end; reading and resuming take that into account.
 */
import { type FileHandle, mkdir, open, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';

/** The log's name in the folder of a run. */
export const LOG_FILE = 'log.jsonl';

/** `step` counts optimizer steps of the whole run; records of one step may differ in `kind`. */
export interface LogRecord {
  readonly kind: string;
  readonly step: number;
  readonly [field: string]: unknown;
}

/** A log with a damaged line that is not its last. */
export class LogError extends Error {
  override readonly name = 'LogError';
  readonly hint: string;

  constructor(problem: string, hint: string) {
    super(`${problem}; ${hint}`);
    this.hint = hint;
  }
}

export interface RunLog {
  /** Appends one record. Records are written in the order of the calls. */
  write(record: LogRecord): Promise<void>;
  close(): Promise<void>;
}

/**
 * Opens a log for appending; folders on the way are made.
 * @param resumeAtStep Cuts off every record from the first one at or after this step on, and a torn last line:
 *   what a run that continues at this step will write again. Without it the log starts empty.
 * @throws LogError where a line before the last is damaged.
 */
export async function openRunLog(path: string, resumeAtStep?: number): Promise<RunLog> {
  await mkdir(dirname(path), { recursive: true });
  const file = await open(path, resumeAtStep === undefined ? 'w' : 'a+');
  try {
    if (resumeAtStep !== undefined) await file.truncate(await keptBytes(path, resumeAtStep));
  } catch (error) {
    await file.close();
    throw error;
  }
  return appendTo(file);
}

function appendTo(file: FileHandle): RunLog {
  let last: Promise<unknown> = Promise.resolve();
  return {
    async write(record: LogRecord): Promise<void> {
      const line = Buffer.from(`${formatRecord(record)}\n`);
      const written = last.then(() => file.write(line, 0, line.byteLength));
      // A failed write is reported to its caller and does not block the next.
      last = written.catch(() => undefined);
      await written;
    },
    async close(): Promise<void> {
      await last;
      await file.close();
    },
  };
}

/** One line of JSON. NaN and infinities, which JSON cannot hold, become texts, so that a diverged loss is seen. */
export function formatRecord(record: LogRecord): string {
  return JSON.stringify(record, (_, value: unknown) =>
    typeof value === 'number' && !Number.isFinite(value) ? String(value) : value,
  );
}

/**
 * Reads all whole records; a torn last line is left out. A log that does not exist has none.
 * @throws LogError where a line before the last is damaged.
 */
export async function readRunLog(path: string): Promise<LogRecord[]> {
  return (await readLines(path)).map(({ record }) => record);
}

async function keptBytes(path: string, step: number): Promise<number> {
  let kept = 0;
  for (const { record, end } of await readLines(path)) {
    if (record.step >= step) break;
    kept = end;
  }
  return kept;
}

const NEWLINE = 0x0a;

/** Whole lines with the byte at which each ends. */
async function readLines(path: string): Promise<{ record: LogRecord; end: number }[]> {
  const bytes = await readFile(path).catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return Buffer.alloc(0);
    throw error;
  });
  const lines: { record: LogRecord; end: number }[] = [];
  let start = 0;
  for (let end = bytes.indexOf(NEWLINE); end !== -1; end = bytes.indexOf(NEWLINE, start)) {
    const record = parseRecord(bytes.toString('utf8', start, end));
    if (record === undefined) {
      // A torn line is only ever the last one; a resumed run of another program may have ended it.
      if (bytes.indexOf(NEWLINE, end + 1) === -1 && end + 1 === bytes.byteLength) break;
      throw new LogError(`${path}:${lines.length + 1}: not a record of a run`, 'remove the line or start another log');
    }
    lines.push({ record, end: end + 1 });
    start = end + 1;
  }
  return lines;
}

function parseRecord(line: string): LogRecord | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  return isRecord(value) ? value : undefined;
}

function isRecord(value: unknown): value is LogRecord {
  if (typeof value !== 'object' || value === null || !('kind' in value) || !('step' in value)) return false;
  return typeof value.kind === 'string' && typeof value.step === 'number';
}
