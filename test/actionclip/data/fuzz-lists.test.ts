/** Whatever stands in list files, tables, label files and annotations: a result that makes sense, or one clear sentence. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatCsvField, parseCsv } from '../../../packages/actionclip/src/data/csv.ts';
import { DataError } from '../../../packages/actionclip/src/data/errors.ts';
import {
  type ClipEntry,
  fitsClipList,
  formatClipList,
  formatLabels,
  parseClipList,
  parseClipTable,
  parseLabels,
} from '../../../packages/actionclip/src/data/lists.ts';
import { parseJournalLine } from '../../../packages/actionclip/src/prepare/journal.ts';
import { divide } from '../../../packages/actionclip/src/prepare/split.ts';

const runs = { numRuns: 10_000 };

/** Words that mean something in these files, and any other text. */
const word = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.constantFrom(
      'a.mp4',
      'run',
      'path',
      'label',
      'name',
      'id',
      'text',
      '0',
      '7',
      '-1',
      '1e9',
      '"',
      '""',
      '#',
    ),
  },
  { weight: 2, arbitrary: fc.string({ maxLength: 6 }) },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 6 }) },
);
const between = fc.constantFrom(' ', ',', ', ', '\t', '  ', '\u00a0', '');
const lineEnd = fc.constantFrom('\n', '\r\n', '\r', '\n\n', '');
const line = fc.array(fc.tuple(word, between), { maxLength: 6 }).map((parts) => parts.flat().join(''));
const start = fc.constantFrom('', '', '\uFEFF', 'path,label\n', 'path,label,text,group,split\n', 'id,name\n', 'name\n');
const fileText = fc
  .tuple(start, fc.array(fc.tuple(line, lineEnd), { maxLength: 8 }))
  .map(([head, lines]) => head + lines.flat().join(''));

/** The result, or undefined for a DataError that names the file and has a hint; anything else fails the test. */
function parsed<T>(parse: () => T, file: string): T | undefined {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    expect(error.message.startsWith(file)).toBe(true);
    expect(error.hint).not.toBe('');
    return undefined;
  }
}

function isWholeEntry({ path, label, frames }: ClipEntry): boolean {
  const counts = frames === undefined || (Number.isSafeInteger(frames) && frames >= 1);
  return path.trim() !== '' && Number.isSafeInteger(label) && Object.is(Math.abs(label), label) && counts;
}

describe('10,000 texts of any content', () => {
  it('as a list file are clips, or an error with its line', () => {
    fc.assert(
      fc.property(fileText, fc.constantFrom(undefined, 3), (text, classCount) => {
        const options = classCount === undefined ? {} : { classCount };
        const entries = parsed(() => parseClipList(text, 'l.txt', options), 'l.txt');
        if (entries === undefined) return;
        expect(entries.length).toBeGreaterThan(0);
        expect(entries.every(isWholeEntry)).toBe(true);
        if (classCount !== undefined) expect(entries.every(({ label }) => label < classCount)).toBe(true);
      }),
      runs,
    );
  });

  it('as a table of clips are clips of its classes, or an error', () => {
    fc.assert(
      fc.property(fileText, (text) => {
        const table = parsed(() => parseClipTable(text, 't.csv'), 't.csv');
        if (table === undefined) return;
        expect(table.clips.length).toBeGreaterThan(0);
        expect(table.clips.every(isWholeEntry)).toBe(true);
        expect(table.clips.every(({ label }) => (table.labels[label] ?? '') !== '')).toBe(true);
        expect(table.texts).toHaveLength(table.labels.length);
      }),
      runs,
    );
  });

  it('as a label file are names, or an error', () => {
    fc.assert(
      fc.property(fileText, (text) => {
        const names = parsed(() => parseLabels(text, 'n.csv'), 'n.csv');
        if (names === undefined) return;
        expect(names.length).toBeGreaterThan(0);
        expect(names.every((name) => name.trim() === name && name !== '')).toBe(true);
      }),
      runs,
    );
  });

  it('as CSV are records with their lines in order, or an error', () => {
    fc.assert(
      fc.property(fileText, (text) => {
        const records = parsed(() => parseCsv(text, 'c.csv'), 'c.csv');
        if (records === undefined) return;
        const lines = records.map((record) => record.line);
        expect(lines.every((at, index) => at > (lines[index - 1] ?? 0))).toBe(true);
        expect(records.every(({ fields }) => fields.length > 0)).toBe(true);
      }),
      runs,
    );
  });

  it('as a line of a journal are a result, or nothing', () => {
    const json = fc.oneof(
      fileText,
      fc.json(),
      fc
        .record({
          path: fc.string(),
          size: fc.integer(),
          modified: fc.double(),
          level: fc.constantFrom('full', 'none'),
          numbering: fc.constant(''),
          frames: fc.integer(),
        })
        .map((value) => JSON.stringify(value)),
    );
    fc.assert(
      fc.property(json, (text) => {
        const result = parseJournalLine(text);
        if (result === undefined) return;
        expect('frames' in result ? result.frames > 0 : typeof result.reason === 'string').toBe(true);
      }),
      runs,
    );
  });
});

describe('10,000 values that are written', () => {
  const anyText = fc.oneof(fc.string({ unit: 'binary', maxLength: 12 }), line);
  const entry = fc.record({ path: anyText, frames: fc.integer({ min: 1 }), label: fc.nat() });

  it('come back from a list file, or do not fit into one', () => {
    fc.assert(
      fc.property(fc.array(entry, { minLength: 1, maxLength: 5 }), fc.boolean(), (given, withFrames) => {
        const entries = given.map(({ frames, ...rest }) => (withFrames ? { ...rest, frames } : rest));
        const fitting = entries.filter(({ path }) => fitsClipList(path, withFrames));
        if (fitting.length < entries.length) expect(() => formatClipList(entries)).toThrow(DataError);
        if (fitting.length > 0) expect(parseClipList(formatClipList(fitting), 'l.txt')).toEqual(fitting);
      }),
      runs,
    );
  });

  it('come back from CSV, whatever they hold', () => {
    const row = fc.array(anyText, { minLength: 2, maxLength: 4 });
    fc.assert(
      fc.property(fc.array(row, { minLength: 1, maxLength: 4 }), (rows) => {
        const text = `head\n${rows.map((fields) => `${fields.map(formatCsvField).join(',')}\n`).join('')}`;
        expect(
          parseCsv(text, 'c.csv')
            .map(({ fields }) => fields)
            .slice(1),
        ).toEqual(rows);
      }),
      runs,
    );
  });

  it('come back from a label file', () => {
    const name = anyText.map((text) => text.trim()).filter((text) => text !== '');
    fc.assert(
      fc.property(fc.uniqueArray(name, { minLength: 1, maxLength: 5 }), (names) => {
        expect(parseLabels(formatLabels(names), 'n.csv')).toEqual(names);
      }),
      runs,
    );
  });

  it('are divided so that no group is on both sides, whatever their order', () => {
    const clip = fc.record({
      path: fc.string({ maxLength: 3 }),
      label: fc.constantFrom('a', 'b'),
      group: fc.constantFrom('', 'x', 'y'),
    });
    const clips = fc.uniqueArray(clip, { selector: ({ path }) => path, maxLength: 8 });
    fc.assert(
      fc.property(clips, fc.double({ min: 0, max: 1, noNaN: true }), fc.nat(5), (some, fraction, seed) => {
        const given = some.map((one) => ({ ...one, kind: 'video', split: '' }) as const);
        const divided = divide(given, fraction, seed);
        const sides = new Map(divided.map(({ path, split }) => [path, split]));
        for (const one of divided) {
          const same = divided.filter(({ group }) => group !== '' && group === one.group);
          expect(same.every(({ split }) => split === one.split)).toBe(true);
        }
        for (const { path, split } of divide([...given].reverse(), fraction, seed)) expect(split).toBe(sides.get(path));
      }),
      runs,
    );
  });
});
