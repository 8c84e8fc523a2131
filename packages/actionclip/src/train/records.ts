/** Where the records of a run go: its log, its event file, and whoever watches. */
import { join } from 'node:path';
import sharp from 'sharp';
import type { ClipBatch } from '../data/loader.ts';
import type { Config } from './config.ts';
import { type EventFile, openEventFile } from './event-file.ts';
import type { EventImage } from './event-record.ts';
import { LOG_FILE, type LogRecord, openRunLog, type RunLog, readRunLog } from './log.ts';

export interface RunRecords extends RunLog {
  /** Shows some clips of a batch as the model sees them, where there is an event file. */
  clips(step: number, batch: ClipBatch): Promise<void>;
}

/**
 * Opens the records of a run in its folder. A watcher gets those that a resumed run goes on from at once.
 * @param resumeAtStep The step at which a run goes on; without it both files begin anew.
 * @throws LogError for a damaged log.
 */
export async function openRunRecords(
  config: Config,
  { resumeAtStep, watcher }: { readonly resumeAtStep?: number | undefined; readonly watcher?: RunLog | undefined },
): Promise<RunRecords> {
  const { folder, tensorboard } = config.output;
  const log = await openRunLog(join(folder, LOG_FILE), resumeAtStep);
  let events: EventFile | undefined;
  try {
    if (watcher !== undefined)
      for (const record of await readRunLog(join(folder, LOG_FILE))) await watcher.write(record);
    const step = resumeAtStep ?? 0;
    events = tensorboard ? await openEventFile(folder, { step }) : undefined;
    await events?.text(step, 'configuration', asCode(JSON.stringify(config, null, 2)));
  } catch (error) {
    await Promise.all([log.close(), events?.close()]);
    throw error;
  }
  // The watcher belongs to its giver, who closes it.
  const files = [log, events].filter((file) => file !== undefined);
  return {
    async write(record: LogRecord): Promise<void> {
      await Promise.all([...files, watcher].map((sink) => sink?.write(record)));
    },
    async clips(step, batch): Promise<void> {
      if (events === undefined) return;
      const shown = Math.min(SHOWN_CLIPS, batch.labels.length);
      for (let clip = 0; clip < shown; clip++) await events.image(step, `clips/${clip}`, await clipImage(batch, clip));
    },
    async close(): Promise<void> {
      await Promise.all(files.map((file) => file.close()));
    },
  };
}

/** Clips of the first batch that are shown, and their frames at most. */
const SHOWN_CLIPS = 4;
const SHOWN_FRAMES = 16;

/** Markdown sets lines that begin with four spaces as they are. */
const asCode = (text: string): string => text.replace(/^/gm, '    ');

/** The frames of one clip beside each other. */
async function clipImage({ frames, shape }: ClipBatch, clip: number): Promise<EventImage> {
  const [, count, , height, rowLength] = shape;
  const shown = Math.min(SHOWN_FRAMES, count);
  const width = shown * rowLength;
  const pixels = new Uint8Array(3 * width * height);
  for (let frame = 0; frame < shown; frame++) {
    for (let channel = 0; channel < 3; channel++) {
      const plane = ((clip * count + frame) * 3 + channel) * height * rowLength;
      for (let y = 0; y < height; y++) {
        for (let x = 0; x < rowLength; x++) {
          pixels[3 * (y * width + frame * rowLength + x) + channel] = frames[plane + y * rowLength + x] ?? 0;
        }
      }
    }
  }
  const png = await sharp(pixels, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer();
  return { width, height, bytes: png };
}
