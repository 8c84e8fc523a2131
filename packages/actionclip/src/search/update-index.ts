/** Brings an index up to date with the files: only what is new or has changed is read. */
import path from 'node:path';
import { messageOf } from '../data/errors.ts';
import type { FrameSourceOptions } from '../data/open-source.ts';
import { videoFiles } from '../recognize/open.ts';
import type { Recognizer } from '../recognize/recognizer.ts';
import { unitRow } from '../recognize/towers.ts';
import type { VideoEmbedding, ViewOptions } from '../recognize/types.ts';
import type { FileStamp, FoundVideo } from './video-files.ts';
import { type IndexedVideo, type VideoIndex, windowsOf } from './video-index.ts';

export interface IndexProgress {
  readonly path: string;
  /** Videos read so far, this one included, and of how many that are new or have changed. */
  readonly done: number;
  readonly total: number;
  /** Why the video could not be read. */
  readonly broken?: string;
}

export interface UpdateOptions {
  /** Where the paths of the videos start. */
  readonly root: string;
  readonly recognizer: Recognizer;
  /** What the features depend on; an index of another recipe is made anew. */
  readonly recipe: string;
  readonly views?: ViewOptions;
  readonly source?: FrameSourceOptions;
  readonly signal?: AbortSignal;
  readonly onVideo?: (progress: IndexProgress) => void;
  /** Called with what there is so far after every few videos, so that a run that is stopped loses little. */
  readonly onPart?: (index: VideoIndex) => Promise<void>;
}

/** Videos between two calls of `onPart`. */
const partSize = 16;

/** A video and its rows. */
interface Entry {
  readonly video: IndexedVideo;
  readonly rows: Float32Array;
}

/**
 * The index of videos as they are now. Those that are gone are left out; broken ones are kept with the reason, and
 * tried again only when they have changed.
 * @throws InterruptedError where the signal was set off; `onPart` was then called with everything read so far.
 */
export async function updateIndex(
  found: readonly FoundVideo[],
  earlier: VideoIndex | undefined,
  options: UpdateOptions,
): Promise<VideoIndex> {
  const { recognizer, recipe, onVideo, onPart } = options;
  const width = recognizer.model.clip.sizes.embedding;
  const known = earlier?.recipe === recipe && earlier.width === width ? entriesOf(earlier) : new Map<string, Entry>();
  const entries = new Map<string, Entry>();
  for (const video of found) {
    const entry = known.get(video.path);
    if (entry !== undefined && isSame(entry.video, video)) entries.set(video.path, entry);
  }
  const missing = found.filter((video) => !entries.has(video.path));
  const current = (): VideoIndex =>
    indexOf(
      recipe,
      width,
      found.flatMap((video) => entries.get(video.path) ?? []),
    );
  try {
    for (const [at, video] of missing.entries()) {
      const entry = await readVideo(video, options);
      entries.set(video.path, entry);
      const broken = 'broken' in entry.video ? { broken: entry.video.broken } : {};
      onVideo?.({ path: video.path, done: at + 1, total: missing.length, ...broken });
      if ((at + 1) % partSize === 0) await onPart?.(current());
    }
  } catch (error) {
    await onPart?.(current());
    throw error;
  }
  return current();
}

const isSame = (a: FileStamp, b: FileStamp): boolean => a.size === b.size && a.modified === b.modified;

async function readVideo(video: FoundVideo, options: UpdateOptions): Promise<Entry> {
  const { recognizer, root, views, source, signal } = options;
  const [file] = videoFiles([path.join(root, video.path)], source);
  if (file === undefined) throw new RangeError('no video was named');
  const outcome = await recognizer.embed(file, { ...views, pictures: 1, ...(signal === undefined ? {} : { signal }) });
  if ('error' in outcome) return { video: { ...video, broken: messageOf(outcome.error) }, rows: new Float32Array() };
  const { frames, duration, windows } = outcome.embedding;
  const spans = windows.map(({ start, end }) => ({ start, end }));
  return { video: { ...video, frames, duration, windows: spans }, rows: windowRows(outcome.embedding) };
}

/** One unit row a window: the mean of its views. */
export function windowRows({ windows }: VideoEmbedding): Float32Array {
  const width = windows[0]?.views.width ?? 0;
  const rows = new Float32Array(windows.length * width);
  windows.forEach(({ views }, at) => {
    const sum = new Float32Array(width);
    views.rows.forEach((value, i) => {
      sum[i % width] = (sum[i % width] ?? 0) + value;
    });
    rows.set(unitRow(sum), at * width);
  });
  return rows;
}

function entriesOf({ videos, features, width }: VideoIndex): Map<string, Entry> {
  const entries = new Map<string, Entry>();
  let row = 0;
  for (const video of videos) {
    const count = windowsOf(video).length;
    entries.set(video.path, { video, rows: features.subarray(row * width, (row + count) * width) });
    row += count;
  }
  return entries;
}

function indexOf(recipe: string, width: number, entries: readonly Entry[]): VideoIndex {
  const features = new Float32Array(entries.reduce((sum, { rows }) => sum + rows.length, 0));
  let at = 0;
  for (const { rows } of entries) {
    features.set(rows, at);
    at += rows.length;
  }
  return { recipe, videos: entries.map(({ video }) => video), features, width };
}
