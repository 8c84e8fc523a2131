/** What a layout of a data set on disk is: how it is told by its files, and how its clips get classes and splits. */
import { DataError } from '../../data/errors.ts';
import { counted } from '../counted.ts';

/** A video file, or a folder of frames. */
export interface ListedClip {
  /** relative to the folder of the data set, with `/` between the parts */
  readonly path: string;
  readonly kind: 'video' | 'frames';
}

/** A file that says which clip is of which class. */
export interface Annotation {
  /** name for people: the path as it was opened */
  readonly file: string;
  readonly text: string;
}

/** What there is: all clips in the order of their paths, and the texts of the files that may be annotations. */
export interface Tree {
  readonly clips: readonly ListedClip[];
  readonly annotations: readonly Annotation[];
}

/** `''`: the layout does not say. */
export type Split = 'train' | 'val' | 'test' | '';

export interface LabelledClip extends ListedClip {
  /** class name */
  readonly label: string;
  readonly split: Split;
  /** clips of one group must not be split: a person, a scene, a source video; `''` where it is not known */
  readonly group: string;
}

export interface LayoutResult {
  /** class names in the order of their indices */
  readonly labels: readonly string[];
  /** phrases for prompts, for the classes that have one of their own */
  readonly texts?: ReadonlyMap<string, string>;
  readonly clips: readonly LabelledClip[];
  /** annotated clips that are not there, one line each */
  readonly missing: readonly string[];
  /** what is odd but usable, one sentence each */
  readonly notes: readonly string[];
}

export interface LayoutOptions {
  /** which of the official splits; 1 unless told */
  readonly split?: number | undefined;
}

/** A layout: pure functions of what there is. */
export interface Layout {
  readonly name: string;
  /** base names of the files that are read as its annotations */
  readonly annotationNames?: RegExp;
  /** whether there are official splits to choose from */
  readonly splits?: true;
  /** why it is this layout, as the end of a sentence, or undefined if it is not */
  readonly recognise: (tree: Tree) => string | undefined;
  /** @throws DataError that names file and line of an annotation that cannot be used */
  readonly read: (tree: Tree, options: LayoutOptions) => LayoutResult;
  /** the phrase for a class without one in the result */
  readonly textOf: (label: string) => string;
}

/** The last part of a path. */
export function baseName(path: string): string {
  return path.slice(Math.max(path.lastIndexOf('/'), path.lastIndexOf('\\')) + 1);
}

/** The lines of a text that are not blank, trimmed, with their numbers from 1. */
export function linesOf(text: string): { readonly line: number; readonly text: string }[] {
  return text
    .replace(/^\uFEFF/, '')
    .split(/\r\n|\n|\r/)
    .map((raw, index) => ({ line: index + 1, text: raw.trim() }))
    .filter((line) => line.text !== '');
}

/**
 * Checks that a name or path of an annotation stays inside of the data set.
 * @param where file and line for the message
 * @throws DataError for an absolute path, `..`, a backslash or a control character
 */
export function requireInside(name: string, where: string): void {
  const parts = name.split('/');
  const absolute = name.startsWith('/') || /^[A-Za-z]:/.test(name);
  const odd = [...name].some((character) => character < ' ' || character === '\\');
  if (!absolute && !odd && !parts.includes('..')) return;
  const shown = name.length <= 80 ? name : `${name.slice(0, 77)}...`;
  throw new DataError(
    `${where}: ${JSON.stringify(shown)} leads out of the data set or is no plain name`,
    'expected a name below the folder of the clips, with / between its parts',
  );
}

/** Marks clips as taken; the same clip twice is an error that names both places. */
export class TakenClips {
  readonly #places = new Map<string, string>();

  /** @throws DataError if an earlier line has the clip */
  take(path: string, where: string): void {
    const earlier = this.#places.get(path);
    if (earlier !== undefined) {
      throw new DataError(
        `${where}: "${path}" is also at ${earlier}`,
        'every clip may be annotated once; remove one line',
      );
    }
    this.#places.set(path, where);
  }

  has(path: string): boolean {
    return this.#places.has(path);
  }

  /** One sentence on clips that no annotation names, if there are any. */
  notesOnOthers(clips: readonly ListedClip[]): string[] {
    const others = clips.filter(({ path }) => !this.#places.has(path));
    const [first] = others;
    if (first === undefined) return [];
    const count = counted(others.length, 'clip');
    return [`left out, as no annotation used here names them: ${count} in the folder, such as "${first.path}"`];
  }
}
