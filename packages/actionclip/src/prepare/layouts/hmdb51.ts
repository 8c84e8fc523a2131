/**
 * HMDB51: for each class `<class>_test_split<N>.txt`, N from 1 to 3, with lines `clip.avi 1` for training, 2 for testing
 * and 0 for neither. Classes are numbered as in the lists released with ActionCLIP.
 */
import { DataError } from '../../data/errors.ts';
import { replaceUnderscores } from '../../prompts/templates.ts';
import { ClipIndex, stripExtension } from './clip-index.ts';
import {
  baseName,
  type LabelledClip,
  type Layout,
  type LayoutOptions,
  type LayoutResult,
  linesOf,
  requireInside,
  type Split,
  TakenClips,
  type Tree,
} from './layout.ts';

const fileName = /^(.+)_test_split([123])\.txt$/;

/** Pairs that the released order has the other way round than the alphabet; other projects number them by the alphabet. */
const before: readonly (readonly [string, string])[] = [
  ['kick ball', 'kick'],
  ['sword exercise', 'sword'],
];

const splitOf: ReadonlyMap<string, Split> = new Map([
  ['1', 'train'],
  ['2', 'test'],
]);

export const hmdb51: Layout = {
  name: 'hmdb51',
  annotationNames: fileName,
  splits: true,
  recognise: ({ annotations }) => {
    const file = annotations.map((annotation) => baseName(annotation.file)).find((name) => fileName.test(name));
    return file === undefined ? undefined : `it has ${file}`;
  },
  read,
  textOf: (label) => label,
};

/** Class names in the released order: by the alphabet, but for two pairs. */
export function releasedOrder(names: readonly string[]): string[] {
  const order = [...names].sort();
  for (const [first, second] of before) {
    const at = order.indexOf(first);
    if (at > 0 && order[at - 1] === second) order.splice(at - 1, 2, first, second);
  }
  return order;
}

function read({ clips, annotations }: Tree, { split = 1 }: LayoutOptions): LayoutResult {
  const lists = annotations.flatMap((annotation) => {
    const [, name = '', number] = fileName.exec(baseName(annotation.file)) ?? [];
    return Number(number) === split ? [{ ...annotation, folder: name, label: replaceUnderscores(name) }] : [];
  });
  if (lists.length === 0) {
    throw new DataError(
      `there is no file <class>_test_split${split}.txt`,
      'put the folder testTrainMulti_7030_splits beside the clips, or name it with --annotations',
    );
  }
  const index = new ClipIndex(clips);
  const taken = new TakenClips();
  const unused = new TakenClips();
  const missing: string[] = [];
  const found: LabelledClip[] = [];
  for (const { file, text, folder, label } of lists) {
    for (const { line, text: entry } of linesOf(text)) {
      const where = `${file}:${line}`;
      const { clip, use } = parseEntry(entry, where);
      const match = index.find(stripExtension(clip), [folder]);
      if (match === undefined) {
        missing.push(`${folder}/${clip}`);
        continue;
      }
      (use === '0' ? unused : taken).take(match.path, where);
      const name = splitOf.get(use);
      if (name !== undefined) found.push({ ...match, label, split: name, group: sourceOf(clip, folder) });
    }
  }
  const others = clips.filter(({ path }) => !unused.has(path));
  return {
    labels: releasedOrder([...new Set(lists.map(({ label }) => label))]),
    clips: found,
    missing,
    notes: [...index.notesOnDoubles(), ...taken.notesOnOthers(others)],
  };
}

function parseEntry(entry: string, where: string): { clip: string; use: string } {
  const [, clip, use] = /^(\S|\S.*\S)\s+([012])$/.exec(entry) ?? [];
  if (clip === undefined || use === undefined) {
    throw new DataError(
      `${where}: "${entry.slice(0, 80)}" is no clip with its use`,
      'expected "clip.avi 1", with 1 for training, 2 for testing, 0 for neither',
    );
  }
  requireInside(clip, where);
  if (clip.includes('/')) throw new DataError(`${where}: "${clip}" is no file name`, 'expected a name without folders');
  return { clip, use };
}

/** `April_09_brush_hair_u_nm_np1_ba_goo_0.avi` is cut from the source `April_09`. */
function sourceOf(clip: string, folder: string): string {
  const at = clip.indexOf(`_${folder}_`);
  return at > 0 ? clip.slice(0, at) : '';
}
