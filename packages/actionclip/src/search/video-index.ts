/**
 * An index of videos on disk: unit features of their windows, and which file each came from. One safetensors file, so
 * that any other program can read it too: `features` [windows, embedding], and the videos as JSON in the metadata.
 */
import { access } from 'node:fs/promises';
import type { HostTensor } from '@actionclip/tensor';
import { z } from 'zod';
import { CheckpointError } from '../checkpoints/errors.ts';
import { readSafetensorsFile, writeSafetensorsFile } from '../checkpoints/files.ts';

const windowSchema = z.object({ start: z.number(), end: z.number() });
const stamp = { path: z.string().min(1), size: z.number(), modified: z.number() };
const videoSchema = z.union([
  z.object({ ...stamp, frames: z.int(), duration: z.number(), windows: z.array(windowSchema).min(1) }),
  z.object({ ...stamp, broken: z.string() }),
]);
const headSchema = z.object({
  /** What the features depend on: the weights' content and how videos are looked at. */
  recipe: z.string(),
  videos: z.array(videoSchema),
});

/** A video that was read, with its windows in seconds, or one that could not be, with the reason. */
export type IndexedVideo = z.output<typeof videoSchema>;
/** One that was read. */
export type ReadVideo = Extract<IndexedVideo, { windows: unknown }>;

export interface VideoIndex {
  readonly recipe: string;
  readonly videos: readonly IndexedVideo[];
  /** Unit rows [windows of all videos in their order, width]. */
  readonly features: Float32Array;
  readonly width: number;
}

const format = 'actionclip-video-index';

/** Writes an index, atomically. */
export async function writeVideoIndex(path: string, { recipe, videos, features, width }: VideoIndex): Promise<void> {
  const rows = width === 0 ? 0 : features.length / width;
  const tensor: HostTensor = { dtype: 'f32', shape: [rows, width], data: features };
  const head = JSON.stringify({ recipe, videos });
  await writeSafetensorsFile(
    path,
    new Map([['features', tensor]]),
    new Map([
      ['format', format],
      ['index', head],
    ]),
  );
}

/**
 * Reads an index; undefined where there is none yet.
 * @throws CheckpointError where the file is damaged or of another kind.
 */
export async function readVideoIndex(path: string): Promise<VideoIndex | undefined> {
  const exists = await access(path).then(
    () => true,
    () => false,
  );
  if (!exists) return undefined;
  const { tensors, metadata } = await readSafetensorsFile(path);
  const head = headOf(metadata.get('index'));
  const tensor = tensors.get('features');
  const [rows, width] = tensor?.shape ?? [];
  const windows = head?.videos.reduce((sum, video) => sum + windowsOf(video).length, 0);
  const fits = tensor?.data instanceof Float32Array && rows === windows && width !== undefined;
  if (metadata.get('format') !== format || head === undefined || !fits) {
    throw new CheckpointError(`${path}: not an index of videos`, 'remove the file or name another with --index');
  }
  return { ...head, features: tensor.data as Float32Array, width };
}

function headOf(json: string | undefined): z.output<typeof headSchema> | undefined {
  try {
    return headSchema.safeParse(JSON.parse(json ?? '')).data;
  } catch {
    return undefined;
  }
}

/** The windows of a video; a broken one has none. */
export const windowsOf = (video: IndexedVideo): ReadVideo['windows'] => ('windows' in video ? video.windows : []);
