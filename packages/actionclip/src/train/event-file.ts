/**
 * The event file of a run, which TensorBoard draws: the same records as the log, the configuration as a text, and the
 * clips that the model sees first. Each process of a run has a file of its own, since event files are only appended to.
 */
import { type FileHandle, mkdir, open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type EventImage,
  type EventTime,
  imageRecord,
  scalarRecord,
  startRecord,
  textRecord,
  versionRecord,
} from './event-record.ts';
import type { LogRecord, RunLog } from './log.ts';

/** Tags of TensorBoard for fields of log records, by the kind of the record. */
const TAGS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  step: {
    loss: 'loss/total',
    videoToText: 'loss/video_to_text',
    textToVideo: 'loss/text_to_video',
    learningRate: 'optimizer/learning_rate',
    gradientNorm: 'optimizer/gradient_norm',
    lossScale: 'optimizer/loss_scale',
    clipsPerSecond: 'speed/clips_per_second',
    dataWait: 'speed/data_wait',
    residentBytes: 'memory/resident_bytes',
    deviceBytes: 'memory/device_bytes',
  },
  validation: {
    top1: 'validation/top1',
    top5: 'validation/top5',
    meanClassAccuracy: 'validation/mean_class_accuracy',
    meanAveragePrecision: 'validation/mean_average_precision',
  },
};

export interface EventFile extends RunLog {
  readonly path: string;
  /** A text, shown as Markdown. */
  text(step: number, tag: string, text: string): Promise<void>;
  image(step: number, tag: string, image: EventImage): Promise<void>;
}

export interface EventFileOptions {
  /** The step at which the run begins or goes on: what earlier files of the folder hold from there on is void. */
  readonly step: number;
  /** Seconds since 1970. */
  readonly now?: () => number;
}

/** Opens a new event file in a folder, which is made where there is none. */
export async function openEventFile(
  folder: string,
  { step, now = () => Date.now() / 1000 }: EventFileOptions,
): Promise<EventFile> {
  await mkdir(folder, { recursive: true });
  const path = join(folder, await nextName(folder, now()));
  const file = await open(path, 'wx');
  const append = appendTo(file);
  const at = (step: number): EventTime => ({ wallTime: now(), step });
  try {
    await append.write(versionRecord(now()));
    await append.write(startRecord(at(step)));
  } catch (error) {
    await file.close();
    throw error;
  }
  return {
    path,
    async write(record) {
      const scalars = scalarsOf(record);
      if (scalars.size > 0) await append.write(scalarRecord(at(record.step), scalars));
    },
    text: (step, tag, text) => append.write(textRecord(at(step), tag, text)),
    image: (step, tag, image) => append.write(imageRecord(at(step), tag, image)),
    close: append.close,
  };
}

/** The numbers of a log record by their tags. */
export function scalarsOf(record: LogRecord): Map<string, number> {
  const scalars = new Map<string, number>();
  for (const [field, tag] of Object.entries(TAGS[record.kind] ?? {})) {
    const value = record[field];
    if (typeof value === 'number') scalars.set(tag, value);
  }
  return scalars;
}

const EVENT_FILE = /^events\.out\.tfevents\.(\d{10})\./;

/**
 * TensorBoard knows event files by `tfevents` and reads those of a folder by the order of their names: the time in a
 * name is later than those of all files that are there. Where other programs put the machine's name, there is ours.
 */
async function nextName(folder: string, now: number): Promise<string> {
  const times = (await readdir(folder)).map((name) => Number(EVENT_FILE.exec(name)?.[1] ?? 0));
  const time = Math.max(Math.floor(now), ...times.map((earlier) => earlier + 1));
  return `events.out.tfevents.${String(time).padStart(10, '0')}.actionclip.0`;
}

/** Writes whole records in the order of the calls. */
function appendTo(file: FileHandle): { write(record: Uint8Array): Promise<void>; close(): Promise<void> } {
  let last: Promise<unknown> = Promise.resolve();
  return {
    async write(record) {
      const written = last.then(() => file.appendFile(record));
      // A failed write is reported to its caller and does not block the next.
      last = written.catch(() => undefined);
      await written;
    },
    async close() {
      await last;
      await file.close();
    },
  };
}
