import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DataError } from '../../../packages/actionclip/src/data/errors.ts';
import {
  type ClipEntry,
  formatClipList,
  formatLabels,
  parseClipList,
  parseClipTable,
  parseLabels,
  readClipList,
  readClipTable,
  readLabels,
} from '../../../packages/actionclip/src/data/lists.ts';
import { rejection, sharedData, withFolder } from './shared-clips.ts';

const list = (text: string, options = {}): ClipEntry[] => parseClipList(text, 'train.txt', options);

describe('a list file', () => {
  it('has path, frames and class as released, or path and class', () => {
    expect(list('a/b 360 164\nc 8 0\n')).toEqual([
      { path: 'a/b', frames: 360, label: 164 },
      { path: 'c', frames: 8, label: 0 },
    ]);
    expect(list('clip.mp4 3')).toEqual([{ path: 'clip.mp4', label: 3 }]);
  });

  it('may have blanks in paths, CRLF, a byte order mark, blank lines, tabs and comments', () => {
    expect(list('\uFEFF# made by hand\r\n\r\nmy clips/first one\t12  3\r\n  other 5 1  \r\n')).toEqual([
      { path: 'my clips/first one', frames: 12, label: 3 },
      { path: 'other', frames: 5, label: 1 },
    ]);
  });

  it('keeps the columns of its first line, so that a path may end in a number', () => {
    expect(list('walk.mp4 0\nclip 7 1\n')[1]).toEqual({ path: 'clip 7', label: 1 });
    expect(list('clip 7 1\n', { columns: 'path-label' })[0]).toEqual({ path: 'clip 7', label: 1 });
  });

  it('puts the root before relative paths only', () => {
    const entries = list('a 1 0\n/b 1 0\n', { root: '/data' });
    expect(entries.map((entry) => entry.path)).toEqual([path.join('/data', 'a'), '/b']);
  });

  it.each([
    [
      'a 5 1\nb five 1\n',
      {},
      'train.txt:2: the number of frames "five" is not a whole number; expected "path frames label"',
    ],
    ['a 5 1\n\nb 5 x\n', {}, 'train.txt:3: the class index "x" is not a whole number'],
    ['a 5 1\nb 1\n', {}, 'train.txt:2: "b 1" has too few fields'],
    ['alone\n', {}, 'train.txt:1: "alone" has too few fields; expected "path label"'],
    ['a 5 1.5\n', {}, 'train.txt:1: the class index "1.5" is not a whole number'],
    ['a 5 -1\n', {}, 'train.txt:1: class index -1 is out of range'],
    [
      'a 5 4\n',
      { classCount: 4 },
      'train.txt:1: class index 4 is out of range; expected 0 to 3, as there are 4 classes',
    ],
    ['a 0 1\n', {}, 'train.txt:1: the clip has 0 frames'],
    ['# nothing\n', {}, 'train.txt: the list names no clip'],
    ['a 99999999999999999999 1\n', {}, 'is not a whole number'],
  ])('says for %j where it is wrong and what was expected', (text, options, message) => {
    expect(() => list(text, options)).toThrow(DataError);
    expect(() => list(text, options)).toThrow(message);
  });

  it('that is missing, or no text, is an error that names it', async () => {
    await withFolder(async (folder) => {
      const file = path.join(folder, 'none.txt');
      expect(await rejection(readClipList(file))).toBe(
        `DataError: ${file}: the clip list does not exist; check the path`,
      );
      await writeFile(file, Uint8Array.of(0xff, 0xfe, 0x00, 0xd8));
      expect(await rejection(readClipList(file))).toContain(`${file}: the clip list is not text in UTF-8`);
      expect(await rejection(readClipList(folder))).toContain(`${folder}: the clip list cannot be read`);
    });
  });

  const pathText = fc
    .string({ unit: 'binary', minLength: 1 })
    .filter((text) => text.trim() === text && text !== '' && !/[\r\n\uFEFF]/.test(text) && !text.startsWith('#'));
  const label = fc.nat();

  it('comes back as it was written, with frames', () => {
    const entry = fc.record({ path: pathText, frames: fc.integer({ min: 1 }), label });
    fc.assert(
      fc.property(fc.array(entry, { minLength: 1 }), (entries) => {
        expect(list(formatClipList(entries))).toEqual(entries);
      }),
    );
  });

  it('comes back as it was written, without frames', () => {
    const entry = fc.record({ path: pathText, label });
    fc.assert(
      fc.property(fc.array(entry, { minLength: 1 }), (entries) => {
        expect(list(formatClipList(entries), { columns: 'path-label' })).toEqual(entries);
      }),
    );
  });

  it('is not written with a path that it could not give back', () => {
    for (const bad of ['', ' a', 'a\nb', '#a'])
      expect(() => formatClipList([{ path: bad, label: 0 }])).toThrow(DataError);
  });

  it('of any content gives clips or a DataError that names the file', () => {
    const line = fc.oneof(fc.string({ unit: 'binary' }), fc.string({ unit: fc.constantFrom(...'a 1-#."\n\r,') }));
    fc.assert(
      fc.property(fc.array(line), (lines) => {
        for (const parse of [
          list,
          (text: string) => parseLabels(text, 'train.txt'),
          (text: string) => parseClipTable(text, 'train.txt'),
        ]) {
          try {
            parse(lines.join('\n'));
          } catch (error) {
            expect(error).toBeInstanceOf(DataError);
            expect(String(error)).toContain('train.txt');
          }
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe('a label file', () => {
  it('gives names in row order, whatever the ids, and keeps names that look like missing values', () => {
    const warnings: string[] = [];
    const names = parseLabels('id,name\r\n0,None\r\n7,"push, pull"\r\n2,NA\r\n', 'labels.csv', (text) =>
      warnings.push(text),
    );
    expect(names).toEqual(['None', 'push, pull', 'NA']);
    expect(warnings).toEqual(['labels.csv:3: id "7" stands in row 1; rows are counted and ids are not used']);
  });

  it('needs no ids', () => {
    expect(parseLabels('name\nwalk\nrun\n', 'labels.csv')).toEqual(['walk', 'run']);
  });

  it('warns of a name that stands twice', () => {
    const warnings: string[] = [];
    expect(parseLabels('name\nwalk\nrun\nwalk\n', 'labels.csv', (text) => warnings.push(text))).toHaveLength(3);
    expect(warnings).toEqual([expect.stringContaining('labels.csv:4: the class name "walk" is also on line 2')]);
  });

  it.each([
    ['', 'labels.csv: the file is empty; expected a header "id,name"'],
    ['0,walk\n1,run\n', 'labels.csv:1: no column "name" in "0,walk"'],
    ['id,name\n', 'labels.csv: no rows follow the header'],
    ['id,name\n0,walk\n1,  \n', 'labels.csv:3: the class name is empty'],
    [
      'id,name\n0,push, pull\n',
      'labels.csv:2: 3 fields where the header has 2; put a field that contains a comma in double quotes',
    ],
    ['id,name\n0,"walk\n1,run\n', 'labels.csv:2: a quoted field is never closed'],
    ['id,name\n0,"walk"ing\n', 'labels.csv:2: text follows the closing quote'],
  ])('says for %j what is wrong', (text, message) => {
    expect(() => parseLabels(text, 'labels.csv')).toThrow(message);
  });

  it('comes back as it was written', () => {
    const name = fc
      .string({ unit: 'binary' })
      .map((text) => text.trim())
      .filter((text) => text !== '');
    fc.assert(
      fc.property(fc.uniqueArray(name, { minLength: 1 }), (names) => {
        expect(parseLabels(formatLabels(names), 'labels.csv')).toEqual(names);
      }),
    );
  });

  it.each([
    ['kinetics_400_labels.csv', 400, 0, 'abseiling'],
    ['hmdb51_labels.csv', 51, 20, 'kick ball'],
    ['ucf_labels.csv', 101, 1, 'ApplyLipstick'],
  ])('as released, %s, has %i classes', async (file, count, index, name) => {
    const names = await readLabels(path.join(sharedData, 'labels', file));
    expect(names).toHaveLength(count);
    expect(names[index]).toBe(name);
  });
});

describe('a clip table', () => {
  it('numbers classes by their first use and keeps group and split', async () => {
    const table = await readClipTable(path.join(sharedData, 'weizmann4', 'labels.csv'));
    expect(table.labels).toHaveLength(4);
    expect(table.texts[table.labels.indexOf('wave_one_hand')]).toBe('a person waving one hand');
    expect(table.clips.filter((clip) => clip.split === 'train')).toHaveLength(48);
    expect(table.clips.filter((clip) => clip.split === 'test')).toHaveLength(24);
    await expect(readFile(table.clips[0]?.path ?? '')).resolves.toBeInstanceOf(Buffer);
    const groups = (split: string): Set<string> =>
      new Set(table.clips.filter((c) => c.split === split).map((c) => c.group));
    expect([...groups('test')].filter((group) => groups('train').has(group))).toEqual([]);
  });

  it('takes an order of classes, and refuses a class that is not in it', () => {
    const text = 'path,label\na,walk\nb,run\n';
    expect(parseClipTable(text, 't.csv', { labels: ['run', 'walk'] }).clips.map((clip) => clip.label)).toEqual([1, 0]);
    expect(() => parseClipTable(text, 't.csv', { labels: ['run'] })).toThrow(
      't.csv:2: "walk" is none of the 1 classes',
    );
  });

  it('describes a class by its first phrase, by its name if it has none, and warns of a second phrase', () => {
    const warnings: string[] = [];
    const text = 'path,label,text\na,walk,a person walking\nb,run,\nc,walk,somebody walks\n';
    const table = parseClipTable(text, 't.csv', { onWarning: (warning) => warnings.push(warning) });
    expect(table.texts).toEqual(['a person walking', 'run']);
    expect(warnings).toEqual([expect.stringContaining('t.csv:4: class "walk" is described as "somebody walks"')]);
  });

  it.each([
    ['path,class\na,walk\n', 't.csv:1: no column "label"'],
    ['path,label\na,\n', 't.csv:2: the label is empty'],
    ['path,label\n,walk\n', 't.csv:2: the path is empty'],
  ])('says for %j what is wrong', (text, message) => {
    expect(() => parseClipTable(text, 't.csv')).toThrow(message);
  });
});
