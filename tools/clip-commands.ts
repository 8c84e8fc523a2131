/** What tests in the browser ask of Node: real clips from beside the repository, and what Node's decoder makes of them. */

import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { openFrameSource } from '../packages/actionclip/src/data/open-source.ts';

const clips = fileURLToPath(new URL('../../shared/data/robust/', import.meta.url));

/** A clip as Node decodes it: SHA-256 of the RGB bytes of the frames asked for, as hexadecimal digits. */
export interface DecodedClip {
  readonly times: readonly number[];
  readonly frames: readonly { readonly width: number; readonly height: number; readonly hash: string }[];
}

/** The bytes of a clip in base 64. */
export async function readClip(_context: unknown, name: string): Promise<string> {
  return (await readFile(path.join(clips, path.basename(name)))).toString('base64');
}

/** Decodes the frames at some places of a clip, given as fractions of its last index. */
export async function decodeClip(_context: unknown, name: string, places: readonly number[]): Promise<DecodedClip> {
  const source = await openFrameSource(path.join(clips, path.basename(name)), { decoder: 'node-av' });
  const { images } = await source.readChosen((count) => places.map((place) => Math.round(place * (count - 1))));
  const frames = images.map(({ width, height, data }) => ({
    width,
    height,
    hash: createHash('sha256').update(data).digest('hex'),
  }));
  return { times: await source.frameTimes(), frames };
}
