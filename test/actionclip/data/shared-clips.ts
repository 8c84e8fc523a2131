/** The real clips that tests read, and small image files and folders that they make for themselves. */

import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';

/** Folder of real video that lies beside the repository. */
export const sharedData = fileURLToPath(new URL('../../../../shared/data/', import.meta.url));

/** Runs with an empty folder that is removed afterwards. */
export async function withFolder<T>(run: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(path.join(tmpdir(), 'actionclip-data-'));
  try {
    return await run(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Writes a folder of PNG frames; frame i (from 0) is filled with (i, clip, 255 - i). */
export async function writeFrames(folder: string, clip: number, frames: number, side = 16): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (let frame = 0; frame < frames; frame++) {
    const background = { r: frame, g: clip, b: 255 - frame };
    const name = `img_${String(frame + 1).padStart(5, '0')}.png`;
    await sharp({ create: { width: side, height: side, channels: 3, background } })
      .png()
      .toFile(path.join(folder, name));
  }
}

/** The message of the error that a promise rejects with. */
export async function rejection(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'nothing was thrown',
    (error: unknown) => (error instanceof Error ? `${error.name}: ${error.message}` : String(error)),
  );
}
