/** A table of clips beside them: CSV with `path,label` and, if there, `text,group,split`. */
import { DataError } from '../../data/errors.ts';
import { parseClipTable } from '../../data/lists.ts';
import { replaceUnderscores } from '../../prompts/templates.ts';
import {
  type Annotation,
  baseName,
  type Layout,
  type LayoutResult,
  requireInside,
  type Split,
  TakenClips,
  type Tree,
} from './layout.ts';

const splitNames: ReadonlyMap<string, Split> = new Map([
  ['', ''],
  ['train', 'train'],
  ['val', 'val'],
  ['validation', 'val'],
  ['test', 'test'],
]);

export const table: Layout = {
  name: 'table',
  annotationNames: /\.csv$/i,
  recognise: ({ annotations }) => {
    const [first] = annotations.filter(isTable);
    return first === undefined ? undefined : `${baseName(first.file)} has the columns path and label`;
  },
  read,
  textOf: replaceUnderscores,
};

function isTable({ text }: Annotation): boolean {
  const names = (/^\uFEFF?([^\r\n]*)/.exec(text)?.[1] ?? '').split(',').map((name) => name.trim().toLowerCase());
  return names.includes('path') && names.includes('label');
}

function read({ clips, annotations }: Tree): LayoutResult {
  const [first, second] = annotations.filter(isTable);
  if (first === undefined) {
    throw new DataError('there is no CSV with the columns path and label', 'name it with --annotations');
  }
  if (second !== undefined) {
    throw new DataError(`${first.file} and ${second.file} are both tables of clips`, 'name one with --annotations');
  }
  const { file, text } = first;
  const notes: string[] = [];
  const parsed = parseClipTable(text, file, { onWarning: (warning) => notes.push(warning) });
  const byPath = new Map(clips.map((clip) => [clip.path, clip]));
  const taken = new TakenClips();
  const missing: string[] = [];
  const found = parsed.clips.flatMap(({ path: given, label, labels, group, split, line }) => {
    const where = `${file}:${line}`;
    if (labels !== undefined) {
      throw new DataError(
        `${where}: the clip has ${labels.length} labels`,
        'train and evaluate with this table as it is',
      );
    }
    requireInside(given, where);
    const path = given.replace(/^(?:\.\/)+/, '');
    const name = splitNames.get(split.toLowerCase());
    if (name === undefined)
      throw new DataError(`${where}: there is no split "${split}"`, 'expected train, val or test');
    const clip = byPath.get(path);
    if (clip === undefined) {
      missing.push(path);
      return [];
    }
    taken.take(path, where);
    return [{ ...clip, label: parsed.labels[label] ?? '', group, split: name }];
  });
  return {
    labels: parsed.labels,
    texts: new Map(parsed.labels.map((label, index) => [label, parsed.texts[index] ?? label])),
    clips: found,
    missing,
    notes: [...notes, ...taken.notesOnOthers(clips)],
  };
}
