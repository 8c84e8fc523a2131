/**
 * What features of frames depend on, as keys: the image tower, and for each clip its content, the frames that are taken
 * of it and what is done to them.
 */
import { createHash } from 'node:crypto';
import { defaultDevice } from '@actionclip/tensor';
import type { ClipDatasetDescription } from '../data/dataset.ts';
import type { ActionCLIP } from '../model/action-clip.ts';
import { partOf } from './freezing.ts';

/**
 * What all features of a model's image tower have in common, as 64 hexadecimal digits: the names, shapes and values of
 * its parameters, its sizes, how it looks across frames, and the kind of device that computes.
 */
export async function imageSpace(model: ActionCLIP): Promise<string> {
  const { vision, embedding } = model.clip.sizes;
  const { frames, options } = model;
  const hash = createHash('sha256');
  hash.update(`frame features, f32 on ${(await defaultDevice()).name}\n`);
  hash.update(
    JSON.stringify({
      ...vision,
      embedding,
      frames,
      joint: options.joint,
      shift: options.shift,
      adapter: options.adapter,
    }),
  );
  for (const [name, parameter] of model.namedParameters()) {
    if (partOf(name) !== 'image') continue;
    const values = await parameter.data();
    hash.update(`\n${name} [${parameter.shape}] `);
    hash.update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  }
  return hash.digest('hex');
}

/**
 * The key of one view of the clip at a place of a data set, in the form of the keys of a text cache: numbers, the last of
 * which is the largest.
 * @param content What the clip is: see `clipContents`.
 */
export function viewKey(
  { entries, sampling, pipeline, source, seed }: ClipDatasetDescription,
  content: string,
  place: number,
  view: number,
): string {
  // What is drawn for a clip depends on its place in the list; where nothing is drawn, lists may share features.
  const drawn = pipeline.kind === 'training' || sampling.randomShift ? { seed, place, view } : {};
  const frames = entries[place]?.frames ?? null;
  const digest = createHash('sha256')
    .update(JSON.stringify([content, frames, sampling, pipeline, source, drawn]))
    .digest();
  const numbers = Array.from({ length: 8 }, (_, at) => digest.readUInt32LE(4 * at) & (largest - 1));
  return [...numbers, largest].join();
}

const largest = 2 ** 30;
