/**
 * UCF101: `classInd.txt` (`1 ApplyEyeMakeup`), `trainlist0N.txt` (`Class/v_Class_g08_c01.avi 1`) and `testlist0N.txt`
 * (without the index), N from 1 to 3. Clips of one group `gNN` are cut from one video.
 */
import { DataError } from '../../data/errors.ts';
import { splitCamelCase } from '../../prompts/templates.ts';
import { ClipIndex, stripExtension } from './clip-index.ts';
import {
  type Annotation,
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

const classFile = 'classInd.txt';

export const ucf101: Layout = {
  name: 'ucf101',
  annotationNames: /^(classInd|(train|test)list0[123])\.txt$/,
  splits: true,
  recognise: ({ annotations }) => {
    const list = annotations.find(({ file }) => /list0[123]\.txt$/.test(baseName(file)));
    return named(annotations, classFile) !== undefined && list !== undefined
      ? `it has ${classFile} and ${baseName(list.file)}`
      : undefined;
  },
  read,
  textOf: splitCamelCase,
};

const named = (annotations: readonly Annotation[], name: string): Annotation | undefined =>
  annotations.find(({ file }) => baseName(file) === name);

function required(annotations: readonly Annotation[], name: string): Annotation {
  const found = named(annotations, name);
  if (found !== undefined) return found;
  throw new DataError(
    `the annotation file ${name} is missing`,
    'put the folder ucfTrainTestlist beside the clips, or name it with --annotations',
  );
}

function read({ clips, annotations }: Tree, { split = 1 }: LayoutOptions): LayoutResult {
  const labels = parseClasses(required(annotations, classFile));
  const index = new ClipIndex(clips);
  const taken = new TakenClips();
  const missing: string[] = [];
  const found: LabelledClip[] = [];
  const lists: [Split, string][] = [
    ['train', `trainlist0${split}.txt`],
    ['test', `testlist0${split}.txt`],
  ];
  for (const [name, list] of lists) {
    const { file, text } = required(annotations, list);
    for (const { line, text: entry } of linesOf(text)) {
      const where = `${file}:${line}`;
      const { label, clip } = parseEntry(entry, where, labels);
      const match = index.find(stripExtension(clip), [label]);
      if (match === undefined) {
        missing.push(`${label}/${clip}`);
        continue;
      }
      taken.take(match.path, where);
      found.push({ ...match, label, split: name, group: /_(g\d+)_c\d+/.exec(clip)?.[1] ?? '' });
    }
  }
  return { labels, clips: found, missing, notes: [...index.notesOnDoubles(), ...taken.notesOnOthers(clips)] };
}

/** Class names in the order of their indices, which count from 1 without a gap. */
function parseClasses({ file, text }: Annotation): string[] {
  const names: string[] = [];
  for (const { line, text: entry } of linesOf(text)) {
    const [, number = '', name = ''] = /^(\d+)\s+(\S.*)$/.exec(entry) ?? [];
    if (Number(number) !== names.length + 1 || names.includes(name)) {
      throw new DataError(
        `${file}:${line}: "${entry.slice(0, 80)}" is not class ${names.length + 1}`,
        'expected lines "1 ApplyEyeMakeup", "2 ApplyLipstick" and so on, each name once',
      );
    }
    names.push(name);
  }
  if (names.length === 0)
    throw new DataError(`${file}: there are no classes in it`, 'expected lines "1 ApplyEyeMakeup"');
  return names;
}

function parseEntry(entry: string, where: string, labels: readonly string[]): { label: string; clip: string } {
  const [, label = '', clip = '', number] = /^([^/]+)\/([^/]+?)(?:\s+(\d+))?$/.exec(entry) ?? [];
  requireInside(entry, where);
  if (clip === '') {
    throw new DataError(`${where}: "${entry.slice(0, 80)}" is no clip`, 'expected "Class/v_Class_g01_c01.avi"');
  }
  if (!labels.includes(label)) {
    throw new DataError(`${where}: the class "${label}" is not in ${classFile}`, 'compare the two files');
  }
  if (number !== undefined && labels[Number(number) - 1] !== label) {
    throw new DataError(
      `${where}: index ${number} is not that of "${label}"`,
      `expected ${labels.indexOf(label) + 1}, its number in ${classFile}`,
    );
  }
  return { label, clip };
}
