/** An index of videos brought up to date on disk, as a person sees it: a line of progress, a line of what there is. */
import type { Recognizer } from '../recognize/recognizer.ts';
import type { ViewOptions } from '../recognize/types.ts';
import { updateIndex } from '../search/update-index.ts';
import type { FoundVideo } from '../search/video-files.ts';
import { readVideoIndex, type VideoIndex, windowsOf, writeVideoIndex } from '../search/video-index.ts';
import type { Terminal } from './terminal.ts';

export interface Indexing {
  /** Where the index is, or will be. */
  readonly file: string;
  /** Where the paths of the videos start. */
  readonly root: string;
  readonly found: readonly FoundVideo[];
  readonly recognizer: Recognizer;
  readonly recipe: string;
  readonly views: ViewOptions;
}

/** Reads what is new, writes the index, and says what it holds and which videos cannot be read. */
export async function bringUpToDate({ file, found, ...options }: Indexing, terminal: Terminal): Promise<VideoIndex> {
  const earlier = await readVideoIndex(file);
  let read = 0;
  const index = await updateIndex(found, earlier, {
    ...options,
    signal: terminal.signal,
    onVideo: ({ path, done, total }) => {
      read = done;
      terminal.progress(`${done}/${total}  ${path}`);
    },
    onPart: (part) => writeVideoIndex(file, part),
  });
  terminal.progress('');
  await writeVideoIndex(file, index);
  const windows = index.videos.reduce((sum, video) => sum + windowsOf(video).length, 0);
  terminal.say(`${index.videos.length} videos, ${windows} windows, ${read} videos read now: ${file}`);
  const broken = index.videos.flatMap((video) => ('broken' in video ? [video.broken] : []));
  if (broken.length > 0) terminal.say(`${broken.length} of ${index.videos.length} videos cannot be read:`);
  for (const reason of broken) terminal.say(`  ${reason}`);
  return index;
}
