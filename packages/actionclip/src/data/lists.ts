/**
 * The files that say which clips there are: list files (`path frames label`, as released with ActionCLIP, or
 * `path label`), class names (`id,name`), and tables with the header `path,label,text,group,split`.
 */

import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { type CsvRecord, formatCsvField, parseCsv } from './csv.ts';
import { codeOf, DataError, messageOf } from './errors.ts';
import { type ClipEntry, classesOf } from './label-sets.ts';

export type { ClipEntry } from './label-sets.ts';

/** The columns of a list file. `auto`: as the first line has them. */
export type ListColumns = 'auto' | 'path-frames-label' | 'path-label';

export interface ClipListOptions {
  /** folder that relative paths start from; without it they are used as they stand */
  readonly root?: string;
  /** number of classes; class indices from here on are errors */
  readonly classCount?: number;
  readonly columns?: ListColumns;
}

/** Called with one sentence for what is odd but usable. */
export type WarningHandler = (message: string) => void;

const integer = /^[+-]?\d+$/;

/**
 * Parses a list file. Fields are split from the right, so that paths may contain blanks; blank lines and lines that
 * start with `#` are dropped. A clip of several classes has their indices joined by commas, `path frames 3,17`. With `columns: 'auto'` the first line decides for the whole file: two integers at its
 * end mean `path frames label`.
 * @param file name for error messages
 * @throws DataError that names file and line
 */
export function parseClipList(text: string, file: string, options: ClipListOptions = {}): ClipEntry[] {
  const entries: ClipEntry[] = [];
  let columns = options.columns ?? 'auto';
  const lines = (text.startsWith('\uFEFF') ? text.slice(1) : text).split(/\r\n|\n|\r/);
  for (const [index, raw] of lines.entries()) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) continue;
    if (columns === 'auto') columns = columnsOf(line);
    entries.push(parseLine(line, `${file}:${index + 1}`, columns === 'path-frames-label', options));
  }
  if (entries.length === 0) {
    throw new DataError(
      `${file}: the list names no clip`,
      'expected one line per clip: "path frames label" or "path label"',
    );
  }
  return entries;
}

function columnsOf(line: string): ListColumns {
  const fields = line.split(/\s+/);
  const beforeLast = fields.at(-2) ?? '';
  return fields.length >= 3 && integer.test(beforeLast) ? 'path-frames-label' : 'path-label';
}

function parseLine(line: string, where: string, hasFrames: boolean, options: ClipListOptions): ClipEntry {
  const expected = hasFrames ? '"path frames label"' : '"path label"';
  const match = (hasFrames ? /^(.*\S)\s+(\S+)\s+(\S+)$/s : /^(.*\S)\s+(\S+)$/s).exec(line);
  if (match === null) {
    throw new DataError(`${where}: "${shorten(line)}" has too few fields`, `expected ${expected}, separated by blanks`);
  }
  const labelText = match.at(-1) ?? '';
  const labels = labelText.split(',').map((part) => parseInteger(part, where, 'the class index', expected));
  for (const label of labels) checkClass(label, options.classCount, where);
  const clip = { path: resolveAgainst(options.root, match[1] ?? ''), ...labelsOfClip(labels, where) };
  if (!hasFrames) return clip;
  const frames = parseInteger(match[2] ?? '', where, 'the number of frames', expected);
  if (frames < 1)
    throw new DataError(`${where}: the clip has ${frames} frames`, 'expected at least 1; remove the line');
  return { ...clip, frames };
}

/** One class as `label` alone, several also as `labels`. */
function labelsOfClip(labels: readonly number[], where: string): Pick<ClipEntry, 'label' | 'labels'> {
  const [label = -1] = labels;
  const repeated = labels.find((each, place) => labels.indexOf(each) !== place);
  if (repeated !== undefined) throw new DataError(`${where}: class ${repeated} is named twice`, 'name each class once');
  return labels.length === 1 ? { label } : { label, labels };
}

function parseInteger(text: string, where: string, what: string, expected: string): number {
  const value = integer.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(value)) {
    throw new DataError(`${where}: ${what} "${shorten(text)}" is not a whole number`, `expected ${expected}`);
  }
  return value + 0; // "-0" is 0
}

function checkClass(label: number, classCount: number | undefined, where: string): void {
  if (label >= 0 && (classCount === undefined || label < classCount)) return;
  const range = classCount === undefined ? '0 or more' : `0 to ${classCount - 1}, as there are ${classCount} classes`;
  throw new DataError(
    `${where}: class index ${label} is out of range`,
    `expected ${range}; class indices start at 0 and count the rows of the label file`,
  );
}

function resolveAgainst(root: string | undefined, name: string): string {
  return root === undefined || path.isAbsolute(name) ? name : path.join(root, name);
}

function shorten(text: string): string {
  return text.length <= 80 ? text : `${text.slice(0, 77)}...`;
}

/** Reads a list file; see {@link parseClipList}. */
export async function readClipList(file: string, options: ClipListOptions = {}): Promise<ClipEntry[]> {
  return parseClipList(await readText(file, 'the clip list'), file, options);
}

/**
 * Whether a list file can give this path back: it is not empty, has no blanks at its ends, no line break and no `#`
 * first; and where the list has no numbers of frames, it does not end in a number that would be taken for one.
 */
export function fitsClipList(name: string, withFrames: boolean): boolean {
  if (name === '' || name.trim() !== name || /[\r\n]/.test(name) || name.startsWith('#')) return false;
  return withFrames || !/\s[+-]?\d+$/.test(name);
}

/**
 * Writes entries as a list file, `path frames label` if every entry has a number of frames, else `path label`.
 * @throws DataError for a path that a list file cannot hold, see `fitsClipList`
 */
export function formatClipList(entries: readonly ClipEntry[]): string {
  const withFrames = entries.every((entry) => entry.frames !== undefined);
  const lines = entries.map((entry) => {
    if (!fitsClipList(entry.path, withFrames)) {
      throw new DataError(`"${shorten(entry.path)}" cannot stand in a list file`, 'rename the clip');
    }
    const classes = classesOf(entry).join(',');
    return withFrames ? `${entry.path} ${entry.frames} ${classes}` : `${entry.path} ${classes}`;
  });
  return lines.map((line) => `${line}\n`).join('');
}

/**
 * Parses class names from CSV with a column `name` and, if present, `id`. The order of the rows counts, not the ids,
 * as in the released code; names such as "None" and "NA" stay text.
 * @throws DataError for a missing header, an empty name, a row of the wrong length, or no rows
 */
export function parseLabels(text: string, file: string, onWarning: WarningHandler = () => {}): string[] {
  const { rows, column } = parseTable(text, file, ['name'], 'a header "id,name"');
  const names: string[] = [];
  const firstLine = new Map<string, number>();
  let idWarned = false;
  for (const [index, row] of rows.entries()) {
    const name = (row.fields[column('name')] ?? '').trim();
    if (name === '') throw new DataError(`${file}:${row.line}: the class name is empty`, 'every class needs a name');
    const earlier = firstLine.get(name);
    if (earlier === undefined) firstLine.set(name, row.line);
    else
      onWarning(
        `${file}:${row.line}: the class name "${name}" is also on line ${earlier}; the text cannot tell the two apart`,
      );
    const id = row.fields[column('id')];
    if (!idWarned && id !== undefined && id !== String(index)) {
      onWarning(`${file}:${row.line}: id "${id}" stands in row ${index}; rows are counted and ids are not used`);
      idWarned = true;
    }
    names.push(name);
  }
  return names;
}

/** Reads class names; see {@link parseLabels}. */
export async function readLabels(file: string, onWarning?: WarningHandler): Promise<string[]> {
  return parseLabels(await readText(file, 'the label file'), file, onWarning);
}

/** Writes class names as `id,name` CSV. */
export function formatLabels(names: readonly string[]): string {
  return `id,name\n${names.map((name, id) => `${id},${formatCsvField(name)}\n`).join('')}`;
}

/** A clip of a table, with the group that must not be split (a person, a scene) and its split. */
export interface TableClip extends ClipEntry {
  readonly group: string;
  readonly split: string;
  /** line of the table on which the clip stands */
  readonly line: number;
}

export interface ClipTable {
  readonly clips: readonly TableClip[];
  /** class names; `label` of a clip counts into it */
  readonly labels: readonly string[];
  /** for each class the phrase that describes it, or its name where the table has none */
  readonly texts: readonly string[];
}

export interface ClipTableOptions {
  /** folder that relative paths start from; by default the table's own folder */
  readonly root?: string;
  /** class names in the order wanted; by default the order in which the table first uses them, over all splits */
  readonly labels?: readonly string[];
  readonly onWarning?: WarningHandler;
}

/**
 * Reads a table of clips: CSV with the columns `path`, `label` (a name, or several with `|` between them) and, if
 * present, `text` (as many), `group`, `split`; other columns are ignored.
 * @throws DataError for a missing column, an empty path or label, or a label that `options.labels` does not have
 */
export async function readClipTable(file: string, options: ClipTableOptions = {}): Promise<ClipTable> {
  return parseClipTable(await readText(file, 'the clip table'), file, { root: path.dirname(file), ...options });
}

/** Parses a table of clips; see {@link readClipTable}. Without `options.root`, paths are used as they stand. */
export function parseClipTable(text: string, file: string, options: ClipTableOptions = {}): ClipTable {
  const { rows, column } = parseTable(text, file, ['path', 'label'], 'a header "path,label,text,group,split"');
  const labels = [...(options.labels ?? [])];
  const indexOf = new Map(labels.map((name, index) => [name, index]));
  const texts = new Map<number, string>();
  const indexOfName = (name: string, where: string): number => {
    if (name === '') throw new DataError(`${where}: the label is empty`, 'every clip needs a class name');
    const known = indexOf.get(name);
    if (known !== undefined) return known;
    if (options.labels !== undefined) {
      throw new DataError(
        `${where}: "${name}" is none of the ${labels.length} classes`,
        'add it to the label file or remove the row',
      );
    }
    indexOf.set(name, labels.length);
    return labels.push(name) - 1;
  };
  const describe = (label: number, phrase: string, where: string): void => {
    const known = texts.get(label);
    if (known === undefined && phrase !== '') texts.set(label, phrase);
    else if (phrase !== '' && phrase !== known) {
      options.onWarning?.(
        `${where}: class "${labels[label]}" is described as "${phrase}" and before as "${known}"; the first is used`,
      );
    }
  };
  const clips = rows.map((row): TableClip => {
    const field = (name: string): string => (row.fields[column(name)] ?? '').trim();
    const where = `${file}:${row.line}`;
    const clipPath = row.fields[column('path')] ?? ''; // blanks inside of quotes belong to it
    const whole = field('label');
    if (clipPath.trim() === '') throw new DataError(`${where}: the path is empty`, 'every row needs a path');
    // A class whose own name has a bar is one class where the label file says so.
    const names = indexOf.has(whole) && options.labels !== undefined ? [whole] : splitNames(whole);
    const phrases = names.length === 1 ? [field('text')] : splitNames(field('text'));
    if (phrases.length !== names.length && field('text') !== '') {
      throw new DataError(
        `${where}: ${names.length} labels have ${phrases.length} texts`,
        'give one text for each label, with | between them, or none',
      );
    }
    const indices = names.map((name, place) => {
      const label = indexOfName(name, where);
      describe(label, phrases[place] ?? '', where);
      return label;
    });
    const [group, split] = [field('group'), field('split')];
    return {
      path: resolveAgainst(options.root, clipPath),
      ...labelsOfClip(indices, where),
      group,
      split,
      line: row.line,
    };
  });
  return { clips, labels, texts: labels.map((name, index) => texts.get(index) ?? name) };
}

const splitNames = (text: string): string[] => text.split('|').map((name) => name.trim());

/** Parses CSV with a header; `column` gives a column's position, or -1 where it is missing and not needed. */
function parseTable(
  text: string,
  file: string,
  needed: readonly string[],
  expected: string,
): { rows: readonly CsvRecord[]; column: (name: string) => number } {
  const [header, ...rows] = parseCsv(text, file);
  if (header === undefined) throw new DataError(`${file}: the file is empty`, `expected ${expected}`);
  const names = header.fields.map((name) => name.toLowerCase());
  for (const name of needed) {
    if (!names.includes(name)) {
      throw new DataError(
        `${file}:${header.line}: no column "${name}" in "${shorten(names.join(','))}"`,
        `expected ${expected}`,
      );
    }
  }
  if (rows.length === 0) throw new DataError(`${file}: no rows follow the header`, 'expected one row each');
  for (const row of rows) {
    if (row.fields.length !== names.length) {
      throw new DataError(
        `${file}:${row.line}: ${row.fields.length} fields where the header has ${names.length}`,
        'put a field that contains a comma in double quotes',
      );
    }
  }
  return { rows, column: (name) => names.indexOf(name) };
}

/** Reads UTF-8. @throws DataError that calls the file `what` ("the label file") */
export async function readText(file: string, what: string): Promise<string> {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(await readFile(file));
  } catch (error) {
    if (codeOf(error) === 'ENOENT') {
      throw new DataError(`${file}: ${what} does not exist`, 'check the path', { cause: error });
    }
    if (error instanceof TypeError) {
      throw new DataError(`${file}: ${what} is not text in UTF-8`, 'convert it to UTF-8', { cause: error });
    }
    throw new DataError(`${file}: ${what} cannot be read (${messageOf(error)})`, 'check the path and its permissions', {
      cause: error,
    });
  }
}
