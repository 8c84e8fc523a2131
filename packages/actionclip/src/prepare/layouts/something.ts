/**
 * Something-Something: version 2 with JSON lists (`id`, `template` with `[something]`) and a JSON object of class
 * indices, version 1 with lines `id;template` and one template per line. Clips are `<id>.webm` or folders `<id>` of frames.
 */
import { DataError, messageOf } from '../../data/errors.ts';
import { ClipIndex } from './clip-index.ts';
import {
  type Annotation,
  baseName,
  type LabelledClip,
  type Layout,
  type LayoutResult,
  linesOf,
  type Split,
  TakenClips,
  type Tree,
} from './layout.ts';

const fileName = /^(?:.*-)?(labels|train|validation|test-answers)\.(?:json|csv)$/i;

const splitOf: ReadonlyMap<string, Split> = new Map([
  ['train', 'train'],
  ['validation', 'val'],
  ['test-answers', 'test'],
]);

export const something: Layout = {
  name: 'something',
  annotationNames: fileName,
  recognise: ({ annotations }) => {
    const [labels] = roles(annotations).get('labels') ?? [];
    const [list] = [...(roles(annotations).get('train') ?? []), ...(roles(annotations).get('validation') ?? [])];
    if (labels === undefined || list === undefined) return undefined;
    const fits = isJson(list) ? /^\uFEFF?\s*\[\s*\{[^}]*"id"/.test(list.text) : /^\uFEFF?\d+;/.test(list.text);
    return fits ? `it has ${baseName(labels.file)} and ${baseName(list.file)}` : undefined;
  },
  read,
  textOf: (label) => label,
};

const isJson = ({ file }: Annotation): boolean => /\.json$/i.test(file);

/** The annotation files by what they are. */
function roles(annotations: readonly Annotation[]): Map<string, Annotation[]> {
  const found = new Map<string, Annotation[]>();
  for (const annotation of annotations) {
    const role = fileName.exec(baseName(annotation.file))?.[1]?.toLowerCase();
    if (role !== undefined) found.set(role, [...(found.get(role) ?? []), annotation]);
  }
  return found;
}

function read({ clips, annotations }: Tree): LayoutResult {
  const files = roles(annotations);
  const [labelFile] = files.get('labels') ?? [];
  if (labelFile === undefined) {
    throw new DataError(
      'the file of the classes, something-something-v2-labels.json, is missing',
      'put it beside the lists, or name their folder with --annotations',
    );
  }
  const labels = isJson(labelFile) ? parseLabelObject(labelFile) : parseLabelLines(labelFile);
  const known = new Set(labels);
  const index = new ClipIndex(clips);
  const taken = new TakenClips();
  const missing: string[] = [];
  const found: LabelledClip[] = [];
  for (const [role, split] of splitOf) {
    for (const file of files.get(role) ?? []) {
      for (const { where, id, template } of isJson(file) ? parseEntries(file) : parseLines(file)) {
        const label = withoutBrackets(template);
        if (!/^\d+$/.test(id)) {
          throw new DataError(`${where}: ${JSON.stringify(id.slice(0, 80))} is no id`, 'expected a number');
        }
        if (!known.has(label)) {
          throw new DataError(`${where}: "${label.slice(0, 80)}" is not in ${labelFile.file}`, 'compare the two files');
        }
        const clip = index.find(id, [role, split]);
        if (clip === undefined) {
          missing.push(id);
          continue;
        }
        taken.take(clip.path, where);
        found.push({ ...clip, label, split, group: '' });
      }
    }
  }
  return { labels, clips: found, missing, notes: [...index.notesOnDoubles(), ...taken.notesOnOthers(clips)] };
}

const withoutBrackets = (template: string): string => template.replace(/[[\]]/g, '').trim();

function parseJson({ file, text }: Annotation): unknown {
  try {
    return JSON.parse(text.replace(/^\uFEFF/, ''));
  } catch (error) {
    throw new DataError(`${file}: it is no JSON (${messageOf(error)})`, 'fetch the file again', { cause: error });
  }
}

/** `{"Approaching something with your camera": "0", ...}`: every index from 0 once. */
function parseLabelObject(annotation: Annotation): string[] {
  const { file } = annotation;
  const value = parseJson(annotation);
  if (typeof value !== 'object' || value === null || Array.isArray(value) || Object.keys(value).length === 0) {
    throw new DataError(`${file}: it is no object of classes`, 'expected {"template": "0", ...}');
  }
  const entries: [string, unknown][] = Object.entries(value);
  const names: string[] = [];
  for (const [name, given] of entries) {
    const at = /^(0|[1-9]\d{0,6})$/.test(String(given)) ? Number(given) : -1;
    if (at < 0 || at >= entries.length || names[at] !== undefined || withoutBrackets(name) === '') {
      throw new DataError(
        `${file}: ${JSON.stringify(name.slice(0, 80))} has the index ${JSON.stringify(given)}`,
        `expected each whole number from 0 to ${entries.length - 1} once, and a name`,
      );
    }
    names[at] = withoutBrackets(name);
  }
  return requireDistinct(names, file);
}

const parseLabelLines = ({ file, text }: Annotation): string[] => {
  const names = linesOf(text).map((line) => withoutBrackets(line.text));
  if (names.length === 0) throw new DataError(`${file}: there are no classes in it`, 'expected one on each line');
  return requireDistinct(names, file);
};

function requireDistinct(names: string[], file: string): string[] {
  const twice = names.find((name, at) => name === '' || names.indexOf(name) !== at);
  if (twice === undefined) return names;
  throw new DataError(`${file}: the class "${twice}" is empty or there twice`, 'expected every class once');
}

interface Entry {
  readonly where: string;
  readonly id: string;
  readonly template: string;
}

function parseEntries(annotation: Annotation): Entry[] {
  const { file } = annotation;
  const value = parseJson(annotation);
  if (!Array.isArray(value))
    throw new DataError(`${file}: it is no list`, 'expected [{"id": ..., "template": ...}, ...]');
  return value.map((item: unknown, index) => {
    const where = `${file}: entry ${index + 1}`;
    const fields = new Map<string, unknown>(typeof item === 'object' && item !== null ? Object.entries(item) : []);
    const [id, template] = [fields.get('id'), fields.get('template')];
    if ((typeof id !== 'string' && typeof id !== 'number') || typeof template !== 'string') {
      throw new DataError(
        `${where} has no id or no template`,
        'expected {"id": "78687", "template": "Holding [something]"}',
      );
    }
    return { where, id: String(id), template };
  });
}

function parseLines({ file, text }: Annotation): Entry[] {
  return linesOf(text).map(({ line, text: entry }) => {
    const where = `${file}:${line}`;
    const [, id, template] = /^([^;]*);(.+)$/.exec(entry) ?? [];
    if (id === undefined || template === undefined) {
      throw new DataError(`${where}: "${entry.slice(0, 80)}" is no clip`, 'expected "id;template"');
    }
    return { where, id, template };
  });
}
