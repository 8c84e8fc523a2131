/** Clips of a run that cannot be read: what is done about them, and what is told of them. */
import type { ClipLoaderOptions, CorruptClipReport } from '../data/loader.ts';
import type { Config } from './config.ts';
import type { LogRecord } from './log.ts';

export type RunPart = 'training' | 'validation';

/** A clip that could not be read. */
export interface UnreadableClip {
  readonly path: string;
  readonly part: RunPart;
  /** One sentence, of the first time. */
  readonly reason: string;
  /** Epochs of training in which another clip took its place; 1 where validation left it out. */
  readonly epochs: number;
}

/** One clip in one epoch, as the log has it. */
type Occurrence = Pick<UnreadableClip, 'path' | 'part' | 'reason'> & { readonly epoch: number };

const kind = 'unreadable-clip';

export class UnreadableClips {
  readonly #strict: boolean;
  readonly #onMessage: (message: string) => void;
  readonly #clips = new Map<string, Omit<UnreadableClip, 'epochs'> & { readonly epochs: Set<number> }>();
  #unlogged: Occurrence[] = [];

  /** @param onMessage Told of every clip, as one sentence, when it is first met. */
  constructor({ data }: Pick<Config, 'data'>, onMessage: (message: string) => void) {
    this.#strict = data.corruptClips === 'error';
    this.#onMessage = onMessage;
  }

  /** What a loader of a part of the run does: another clip in training, none in validation, where it would count twice. */
  loading(part: RunPart): Pick<ClipLoaderOptions, 'corruptClips' | 'onCorruptClip'> {
    if (this.#strict) return { corruptClips: 'error' };
    return {
      corruptClips: part === 'training' ? 'replace' : 'skip',
      onCorruptClip: (report) => this.#meet(part, report),
    };
  }

  #meet(part: RunPart, { path, error, epoch }: CorruptClipReport): void {
    const occurrence = { part, path, reason: error.message, epoch };
    if (this.#count(occurrence)) {
      const what = part === 'training' ? 'another clip takes its place' : 'validation leaves it out';
      this.#onMessage(`warning: a clip cannot be read, ${what}: ${error.message}`);
    }
    this.#unlogged.push(occurrence);
  }

  /** Whether the clip is met for the first time. Equal occurrences, as of a resumed run that loads again, count once. */
  #count({ part, path, reason, epoch }: Occurrence): boolean {
    const key = JSON.stringify([part, path]);
    const known = this.#clips.get(key);
    const clip = known ?? { part, path, reason, epochs: new Set() };
    clip.epochs.add(epoch);
    this.#clips.set(key, clip);
    return known === undefined;
  }

  /** Records for the log of what was met since the last call. */
  records(step: number): LogRecord[] {
    const records = this.#unlogged.map((occurrence) => ({ kind, step, ...occurrence }));
    this.#unlogged = [];
    return records;
  }

  /** Goes on with what the log of a resumed run says. */
  resume(log: readonly LogRecord[]): void {
    for (const record of log) if (record.kind === kind) this.#count(record as unknown as Occurrence);
  }

  get all(): readonly UnreadableClip[] {
    return [...this.#clips.values()].map((clip) => ({ ...clip, epochs: clip.epochs.size }));
  }
}

/** Clips that a sentence names. */
const namedClips = 3;

/** How many clips could not be read, and which, for the end of a run; undefined where all could. */
export function unreadableLine(clips: readonly UnreadableClip[]): string | undefined {
  if (clips.length === 0) return undefined;
  const count = (part: RunPart): number => clips.filter((clip) => clip.part === part).length;
  const paths = clips.slice(0, namedClips).map(({ path }) => path);
  const more = clips.length > namedClips ? ` and ${clips.length - namedClips} more` : '';
  return (
    `warning: clips that could not be read: ${count('training')} of training, in whose place others were taken, and ` +
    `${count('validation')} of validation, left out: ${paths.join(', ')}${more}`
  );
}
