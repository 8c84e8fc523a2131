/**
 * Kinetics 400, 600 and 700: CSV files with `label,youtube_id,time_start,time_end,split`, and clips named
 * `<id>_<start>_<end>` with six digits each, or `<id>`, in class folders or flat.
 */
import { parseCsv } from '../../data/csv.ts';
import { DataError } from '../../data/errors.ts';
import { counted } from '../counted.ts';
import { ClipIndex, stemOf } from './clip-index.ts';
import {
  type Annotation,
  baseName,
  type LabelledClip,
  type Layout,
  type LayoutResult,
  type ListedClip,
  requireInside,
  type Split,
  TakenClips,
  type Tree,
} from './layout.ts';

/** Length of the ids of YouTube. Some lists and files lost characters at the beginning. */
const idLength = 11;

const splitNames: ReadonlyMap<string, Split> = new Map([
  ['train', 'train'],
  ['val', 'val'],
  ['validate', 'val'],
  ['validation', 'val'],
  ['test', 'test'],
]);

export const kinetics: Layout = {
  name: 'kinetics',
  annotationNames: /\.csv$/i,
  recognise: ({ annotations }) => {
    const found = annotations.filter(isKinetics);
    return found.length === 0
      ? undefined
      : `${found.map(({ file }) => baseName(file)).join(', ')} ${found.length === 1 ? 'has' : 'have'} the column youtube_id`;
  },
  read,
  textOf: (label) => label,
};

const headerOf = ({ text }: Annotation): string[] =>
  (/^\uFEFF?([^\r\n]*)/.exec(text)?.[1] ?? '').split(',').map((name) => name.trim().replaceAll('"', '').toLowerCase());

const isKinetics = (annotation: Annotation): boolean => headerOf(annotation).includes('youtube_id');

interface Row {
  readonly where: string;
  readonly label: string;
  readonly id: string;
  /** `000010_000020`, or empty */
  readonly times: string;
  readonly split: Split;
}

const nameOf = ({ id, times }: Row): string => (times === '' ? id : `${id}_${times}`);

function read({ clips, annotations }: Tree): LayoutResult {
  const files = annotations.filter(isKinetics);
  if (files.length === 0) {
    throw new DataError(
      'there is no CSV with the columns label, youtube_id, time_start, time_end, split',
      'put train.csv and val.csv beside the clips, or name them with --annotations',
    );
  }
  const tables = files.map(parseRows);
  const rows = tables.flatMap((table) => table.rows);
  const unlabelled = tables.reduce((sum, table) => sum + table.unlabelled, 0);
  if (rows.length === 0)
    throw new DataError(`${files[0]?.file}: no row has a label`, 'the list of a test set has none');

  const index = new ClipIndex(clips);
  const taken = new TakenClips();
  const rowsOfId = new Map<string, number>();
  for (const { id } of rows) rowsOfId.set(id, (rowsOfId.get(id) ?? 0) + 1);
  const found: LabelledClip[] = [];
  const take = (clip: ListedClip, { where, label, split, id }: Row): void => {
    taken.take(clip.path, where);
    found.push({ ...clip, label, split, group: id });
  };
  const unmatched = rows.filter((row) => {
    const folders = [row.label, ...[...splitNames].flatMap(([name, split]) => (split === row.split ? [name] : []))];
    // A file with the bare id cannot be told to be this clip where the id has several.
    const bare = rowsOfId.get(row.id) === 1 ? index.find(row.id, folders) : undefined;
    const clip = index.find(nameOf(row), folders) ?? bare;
    if (clip !== undefined) take(clip, row);
    return clip === undefined;
  });
  const shortened = matchShortened(
    unmatched,
    clips.filter(({ path }) => !taken.has(path)),
  );
  for (const [row, clip] of shortened) take(clip, row);
  const missing = unmatched.filter((row) => !shortened.has(row)).map((row) => `${row.label}/${nameOf(row)}`);
  return {
    labels: [...new Set(rows.map(({ label }) => label))].sort(),
    clips: found,
    missing,
    notes: [
      ...(unlabelled === 0
        ? []
        : [`left out, as they have no label (test sets have none): ${counted(unlabelled, 'row')}`]),
      ...noteOnShortened(shortened),
      ...noteOnShort(clips, taken),
      ...index.notesOnDoubles(),
      ...taken.notesOnOthers(clips),
    ],
  };
}

function parseRows(annotation: Annotation): { rows: Row[]; unlabelled: number } {
  const { file, text } = annotation;
  const [header, ...records] = parseCsv(text, file);
  const names = header?.fields.map((name) => name.toLowerCase()) ?? [];
  const fileSplit = /(train|val|test)/i.exec(baseName(file))?.[1]?.toLowerCase() ?? '';
  let unlabelled = 0;
  const rows = records.flatMap(({ line, fields }): Row[] => {
    const where = `${file}:${line}`;
    if (fields.length !== names.length) {
      throw new DataError(`${where}: ${fields.length} fields where the header has ${names.length}`, 'mend the row');
    }
    const field = (name: string): string => (fields[names.indexOf(name)] ?? '').trim();
    const id = field('youtube_id');
    requireInside(id, where);
    if (id === '' || id.includes('/')) throw new DataError(`${where}: "${id}" is no id`, 'expected the id of a video');
    const label = field('label');
    if (label === '') {
      unlabelled += 1;
      return [];
    }
    const given = names.includes('split') ? field('split') : fileSplit;
    const split = splitNames.get(given.toLowerCase());
    if (split === undefined) {
      throw new DataError(`${where}: there is no split "${given}"`, `expected ${[...splitNames.keys()].join(', ')}`);
    }
    return [{ where, label, id, times: timesOf(field('time_start'), field('time_end'), where), split }];
  });
  return { rows, unlabelled };
}

/** Seconds as files have them: whole, six digits. */
function timesOf(start: string, end: string, where: string): string {
  if (start === '' && end === '') return '';
  const [from, to] = [start, end].map((text) => {
    if (/^\d{1,6}(\.\d*)?$/.test(text)) return String(Math.trunc(Number(text))).padStart(6, '0');
    throw new DataError(`${where}: "${text}" is no time`, 'expected seconds from the start of the video');
  });
  return `${from}_${to}`;
}

/**
 * Pairs rows and clips of equal times where one id is the end of the other, as it lost characters at its beginning. Only
 * pairs that are the single choice both ways.
 */
function matchShortened(rows: readonly Row[], clips: readonly ListedClip[]): Map<Row, ListedClip> {
  const timed = clips.flatMap((clip) => {
    const [, id = '', times = ''] = /^(.*)_(\d{6}_\d{6})$/.exec(stemOf(clip)) ?? [];
    return id === '' ? [] : [{ clip, id, times }];
  });
  const withTimes = rows.filter(({ times }) => times !== '').map((row) => ({ row, id: row.id, times: row.times }));
  const pairs = [
    ...endings(timed, withTimes).map(([{ clip }, { row }]) => ({ clip, row })),
    ...endings(withTimes, timed).map(([{ row }, { clip }]) => ({ clip, row })),
  ];
  const count = (pick: (pair: { clip: ListedClip; row: Row }) => unknown): Map<unknown, number> => {
    const counts = new Map<unknown, number>();
    for (const pair of pairs) counts.set(pick(pair), (counts.get(pick(pair)) ?? 0) + 1);
    return counts;
  };
  const [perClip, perRow] = [count(({ clip }) => clip), count(({ row }) => row)];
  return new Map(
    pairs
      .filter(({ clip, row }) => perClip.get(clip) === 1 && perRow.get(row) === 1)
      .map(({ clip, row }) => [row, clip]),
  );
}

interface Timed {
  readonly id: string;
  readonly times: string;
}

/** Pairs of a short id and a whole one that ends with it, at equal times. */
function endings<Short extends Timed, Whole extends Timed>(shorts: Short[], wholes: Whole[]): [Short, Whole][] {
  const pairs: [Short, Whole][] = [];
  for (let length = 1; length < idLength; length++) {
    const some = shorts.filter(({ id }) => id.length === length);
    if (some.length === 0) continue;
    const byEnding = new Map<string, Whole[]>();
    for (const whole of wholes) {
      if (whole.id.length <= length) continue;
      const key = `${whole.id.slice(-length)} ${whole.times}`;
      byEnding.set(key, [...(byEnding.get(key) ?? []), whole]);
    }
    for (const short of some) {
      for (const whole of byEnding.get(`${short.id} ${short.times}`) ?? []) pairs.push([short, whole]);
    }
  }
  return pairs;
}

function noteOnShortened(pairs: ReadonlyMap<Row, ListedClip>): string[] {
  const [first] = pairs;
  if (first === undefined) return [];
  const [row, clip] = first;
  return [
    `matched by what is left and the times: ${counted(pairs.size, 'id')} that lost characters at the beginning, such as "${clip.path}" for ${row.id}`,
  ];
}

/** Files whose ids are too short and could not be matched. */
function noteOnShort(clips: readonly ListedClip[], taken: TakenClips): string[] {
  const short = clips.filter(
    (clip) => !taken.has(clip.path) && stemOf(clip).replace(/_\d{6}_\d{6}$/, '').length < idLength,
  );
  const [first] = short;
  if (first === undefined) return [];
  return [
    `matched by no row: ${counted(short.length, 'file')} with an id of fewer than ${idLength} characters, which may have lost some, such as "${first.path}"`,
  ];
}
