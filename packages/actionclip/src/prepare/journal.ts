/**
 * The journal of checks: one line of JSON per clip, appended as results come, so that work that was stopped at any moment
 * is not done again. A line that was cut off is dropped; the last line on a clip counts.
 */
import { open } from 'node:fs/promises';
import type { CheckLevel, CheckResult } from './check-clip.ts';

/** What a result is for: a clip that has changed since is checked again. */
export interface ClipState {
  /** as in the listing */
  readonly path: string;
  /** bytes of a video, files of a folder of frames */
  readonly size: number;
  /** when the file or folder was last modified, in milliseconds */
  readonly modified: number;
  readonly level: CheckLevel;
  /** how frames are numbered, for folders of them */
  readonly numbering: string;
}

export interface Journal {
  /** The result for a clip as it is now, if there is one. A full check counts as a quick one too. */
  readonly find: (state: ClipState) => CheckResult | undefined;
  /** Appends a result. */
  readonly add: (state: ClipState, result: CheckResult) => Promise<void>;
  readonly close: () => Promise<void>;
}

type JournalLine = ClipState & CheckResult;

/**
 * Opens a journal, or begins one.
 * @param fresh forget what it has
 * @throws the system's error if the file cannot be opened or written
 */
export async function openJournal(file: string, fresh: boolean): Promise<Journal> {
  const handle = await open(file, fresh ? 'w+' : 'a+');
  const bytes = await handle.readFile();
  const whole = bytes.subarray(0, bytes.lastIndexOf(0x0a) + 1);
  if (whole.length < bytes.length) await handle.truncate(whole.length);
  const known = new Map<string, JournalLine>();
  for (const line of whole.toString().split('\n')) {
    const parsed = parseJournalLine(line);
    if (parsed !== undefined) known.set(parsed.path, parsed);
  }
  // One after the other: a line that is written as a whole can only be cut off at the end of the file.
  let writing: Promise<unknown> = Promise.resolve();
  return {
    find: (state) => {
      const line = known.get(state.path);
      if (line === undefined) return undefined;
      const same =
        line.size === state.size &&
        line.modified === state.modified &&
        line.numbering === state.numbering &&
        (line.level === state.level || line.level === 'full');
      if (!same) return undefined;
      return 'frames' in line ? { frames: line.frames } : { reason: line.reason };
    },
    add: async (state, result) => {
      const line = `${JSON.stringify({ ...state, ...result } satisfies JournalLine)}\n`;
      writing = writing.then(() => handle.appendFile(line));
      await writing;
    },
    close: async () => {
      await writing.catch(() => {});
      await handle.close();
    },
  };
}

/** A line of the journal, or undefined for what is none: such a clip is checked again. */
export function parseJournalLine(text: string): JournalLine | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const { path, size, modified, level, numbering, frames, reason } = value as Readonly<Record<string, unknown>>;
  if (typeof path !== 'string' || typeof size !== 'number' || typeof modified !== 'number') return undefined;
  if ((level !== 'full' && level !== 'quick') || typeof numbering !== 'string') return undefined;
  const state = { path, size, modified, level, numbering } as const;
  if (typeof frames === 'number' && Number.isSafeInteger(frames) && frames > 0) return { ...state, frames };
  return typeof reason === 'string' ? { ...state, reason } : undefined;
}
