/** Finds clips by the names that annotations use: file names without extension, wherever they lie. */
import { counted } from '../counted.ts';
import { labelKey } from '../label-names.ts';
import { baseName, type ListedClip } from './layout.ts';

/** Name of a clip without folders, and without extension if it is a file. */
export function stemOf({ path, kind }: ListedClip): string {
  const name = baseName(path);
  return kind === 'frames' ? name : stripExtension(name);
}

/** `v_X_g01_c01.avi` -> `v_X_g01_c01`. A name that only begins with a dot has no extension. */
export function stripExtension(name: string): string {
  const dot = name.lastIndexOf('.');
  return dot > 0 ? name.slice(0, dot) : name;
}

export class ClipIndex {
  readonly #byStem = new Map<string, ListedClip[]>();
  #doubles = 0;

  constructor(clips: readonly ListedClip[]) {
    for (const clip of clips) {
      const stem = stemOf(clip);
      const same = this.#byStem.get(stem);
      if (same === undefined) this.#byStem.set(stem, [clip]);
      else same.push(clip);
    }
  }

  /**
   * The clip of this name. Where there are several, those in a folder with one of the names in `folders` (class, split)
   * come first, the more of them the better, and then the order of paths decides.
   */
  find(stem: string, folders: readonly string[]): ListedClip | undefined {
    const candidates = this.#byStem.get(stem);
    if (candidates === undefined || candidates.length === 1) return candidates?.[0];
    const wanted = new Set(folders.map(labelKey));
    const agreement = ({ path }: ListedClip): number =>
      path
        .split('/')
        .slice(0, -1)
        .filter((part) => wanted.has(labelKey(part))).length;
    const [best, second] = candidates
      .map((clip) => ({ clip, score: agreement(clip) }))
      .sort((a, b) => b.score - a.score);
    if (best?.score === second?.score) this.#doubles += 1;
    return best?.clip;
  }

  /** One sentence on names that several clips have, if that left a choice. */
  notesOnDoubles(): string[] {
    if (this.#doubles === 0) return [];
    return [`${counted(this.#doubles, 'annotated name')} with several files; the first by path was taken`];
  }
}
