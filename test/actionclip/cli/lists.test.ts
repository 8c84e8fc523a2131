import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { DataError } from 'actionclip';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { labelsFrom, parseLabelFile, parseLabelList } from '../../../packages/actionclip/src/cli/lists.ts';
import { OptionError } from '../../../packages/actionclip/src/cli/options.ts';
import { videosAt } from '../../../packages/actionclip/src/cli/videos.ts';
import { formatCsvField } from '../../../packages/actionclip/src/data/csv.ts';
import { rejection, withFolder } from '../data/shared-clips.ts';

describe('labels on the command line', () => {
  it.each([
    ['archery, juggling balls,yoga', ['archery', 'juggling balls', 'yoga']],
    ['"clean and jerk, heavy", yoga', ['clean and jerk, heavy', 'yoga']],
    ['"a ""quoted"" word",b', ['a "quoted" word', 'b']],
    ['one', ['one']],
  ])('%s are %j', (text, labels) => {
    expect(parseLabelList(text)).toEqual(labels);
  });

  it.each([
    ['a,,b', '--labels: label 2 is empty; remove it, or the comma too many'],
    ['a,b,', '--labels: label 3 is empty; remove it, or the comma too many'],
    ['a,b,a', '--labels: the label "a" is given twice; give it once'],
    [' ', '--labels: there is no label; give at least two'],
    ['a,"b', '--labels:1: a quoted field is never closed; add the missing "'],
  ])('%j are refused: %s', (text, message) => {
    expect(() => parseLabelList(text)).toThrow(message);
  });

  it('come back from CSV whatever they hold', () => {
    const labels = fc.uniqueArray(
      fc
        .string({ unit: 'grapheme', minLength: 1, maxLength: 12 })
        .map((label) => label.trim())
        .filter((label) => label !== ''),
      { minLength: 1, maxLength: 6 },
    );
    fc.assert(
      fc.property(labels, (all) => {
        // A byte order mark at the start is no part of the text.
        fc.pre(!all[0]?.startsWith('\uFEFF'));
        expect(parseLabelList(all.map(formatCsvField).join(','))).toEqual(all);
      }),
    );
  });

  it('are distinct texts or one sentence for the person, for any text', () => {
    const piece = fc.constantFrom(',', '"', '""', '\n', '\r', ' ', 'a', 'b', 'name', 'id', '化', '\uFEFF', '\0');
    const anyText = fc.oneof(
      fc.array(piece, { maxLength: 20 }).map((pieces) => pieces.join('')),
      fc.string({ unit: 'binary', maxLength: 30 }),
    );
    let accepted = 0;
    fc.assert(
      fc.property(
        anyText,
        fc.constantFrom(parseLabelList, (text: string) => parseLabelFile(text, 'labels.csv')),
        (text, parse) => {
          try {
            const labels = parse(text);
            accepted++;
            expect(labels.length).toBeGreaterThan(0);
            expect(new Set(labels).size).toBe(labels.length);
            for (const label of labels) expect(label.trim()).not.toBe('');
          } catch (error) {
            if (!(error instanceof OptionError || error instanceof DataError)) throw error;
          }
        },
      ),
      { numRuns: 10_000 },
    );
    expect(accepted).toBeGreaterThan(100);
  });
});

describe('a file of labels', () => {
  it('is CSV where its first line names the column, else a label on each line', () => {
    expect(parseLabelFile('id,name\n0,archery\n1,"bow, and arrow"\n', 'f')).toEqual(['archery', 'bow, and arrow']);
    expect(parseLabelFile('\uFEFFname\r\narchery\r\nyoga\r\n', 'f')).toEqual(['archery', 'yoga']);
    expect(parseLabelFile('\narchery\n bow, and arrow \n\nyoga', 'f')).toEqual(['archery', 'bow, and arrow', 'yoga']);
    expect(() => parseLabelFile('a\na\n', 'f.txt')).toThrow('f.txt: the label "a" is given twice; give it once');
    expect(() => parseLabelFile('', 'f.txt')).toThrow('f.txt: there is no label; give at least two');
  });

  it('is read, and refused in one sentence where it cannot be', async () => {
    await withFolder(async (folder) => {
      const file = path.join(folder, 'labels.txt');
      await writeFile(file, 'archery\nyoga\n');
      expect(await labelsFrom({ labelsFile: file })).toEqual(['archery', 'yoga']);
      await writeFile(file, new Uint8Array([0xff, 0xfe, 0x41]));
      expect(await rejection(labelsFrom({ labelsFile: file }))).toMatch(/labels\.txt is not UTF-8; /);
      expect(await rejection(labelsFrom({ labelsFile: folder }))).toMatch(/ cannot be read .*EISDIR.*; /);
      expect(await rejection(labelsFrom({ labelsFile: `${file}x` }))).toMatch(/ does not exist; check the path$/);
    });
  });

  it('and labels in the line exclude each other, one of them is needed, and one label is too few', async () => {
    expect(await rejection(labelsFrom({}))).toMatch(/^OptionError: There are no labels; .*--labels-file/);
    expect(await rejection(labelsFrom({ labels: 'a,b', labelsFile: 'f' }))).toMatch(/ both given; give one of them$/);
    expect(await rejection(labelsFrom({ labels: 'a' }))).toMatch(/"a" is the only label; give at least two/);
  });
});

it('a folder of videos is refused with the way to give them; a folder of frames and a missing file are not', async () => {
  await withFolder(async (folder) => {
    await videosAt([folder, path.join(folder, 'nothing')]);
    await writeFile(path.join(folder, 'img_00001.png'), '');
    await videosAt([folder]);
    await writeFile(path.join(folder, 'One.MP4'), '');
    expect(await rejection(videosAt([folder]))).toContain(
      `${folder} is a folder of videos; give the videos themselves, such as ${path.join(folder, 'One.MP4')}`,
    );
  });
});
