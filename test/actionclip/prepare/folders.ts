/** Small data sets that tests make: empty files, links to real clips, and annotations. */

import { mkdir, readdir, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Annotation, ListedClip, Tree } from '../../../packages/actionclip/src/prepare/layouts/layout.ts';
import { sharedData } from '../data/shared-clips.ts';

/** Writes files, with the folders on the way. */
export async function writeFiles(folder: string, files: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, content] of Object.entries(files)) {
    const file = path.join(folder, name);
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, content);
  }
}

/** Links to all real clips of a shared set, or to those whose names fit. */
export async function linkClips(set: string, folder: string, names = /./): Promise<string[]> {
  await mkdir(folder, { recursive: true });
  const clips = (await readdir(path.join(sharedData, set))).filter(
    (name) => names.test(name) && !name.endsWith('.csv'),
  );
  for (const name of clips) await symlink(path.join(sharedData, set, name), path.join(folder, name));
  return clips;
}

/** What a listing would give: videos for names with an extension, frame folders for others. */
export function treeOf(clips: readonly string[], annotations: Readonly<Record<string, string>>): Tree {
  return {
    clips: [...clips]
      .sort()
      .map((clip): ListedClip => ({ path: clip, kind: /\.\w{3,4}$/.test(clip) ? 'video' : 'frames' })),
    annotations: Object.entries(annotations).map(([file, text]): Annotation => ({ file, text })),
  };
}
