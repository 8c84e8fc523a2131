// Clips of several classes: in list files, in tables, in what the step is given.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hasLabelSets } from '../../../packages/actionclip/src/data/label-sets.ts';
import {
  type ClipEntry,
  formatClipList,
  parseClipList,
  parseClipTable,
} from '../../../packages/actionclip/src/data/lists.ts';
import { Random } from '../../../packages/actionclip/src/data/random.ts';
import { joinLists } from '../../../packages/actionclip/src/evaluate/clip-selection.ts';
import { classInput, drawTexts } from '../../../packages/actionclip/src/train/batch-inputs.ts';

describe('a list file with several classes on a line', () => {
  it('has them joined by commas, with or without frames; one alone is what it always was', () => {
    expect(parseClipList('a b.mp4 36 3,17,20\nc 8 4\n', 'l')).toEqual([
      { path: 'a b.mp4', frames: 36, label: 3, labels: [3, 17, 20] },
      { path: 'c', frames: 8, label: 4 },
    ]);
    expect(parseClipList('a.mp4 2,0\n', 'l')).toEqual([{ path: 'a.mp4', label: 2, labels: [2, 0] }]);
  });

  it.each([
    ['a 8 3,x', /l:1: the class index "x" is not a whole number/],
    ['a 8 3,', /l:1: the class index "" is not a whole number/],
    ['a 8 3,3', /l:1: class 3 is named twice/],
    ['a 8 3,9', /l:1: class index 9 is out of range/],
  ])('is refused for "%s"', (line, message) => {
    expect(() => parseClipList(line, 'l', { classCount: 9 })).toThrow(message);
  });

  it('comes back as it was written', () => {
    const sets = fc.uniqueArray(fc.nat(30), { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(fc.array(fc.tuple(sets, fc.integer({ min: 1, max: 99 })), { minLength: 1 }), (rows) => {
        const entries = rows.map(([labels, frames], place): ClipEntry => {
          const [label = -1] = labels;
          return { path: `clip ${place}.mp4`, frames, label, ...(labels.length > 1 ? { labels } : {}) };
        });
        expect(parseClipList(formatClipList(entries), 'l')).toEqual(entries);
        expect(hasLabelSets(entries)).toBe(rows.some(([labels]) => labels.length > 1));
      }),
    );
  });

  it('may not differ between two lists', () => {
    const list = (name: string, line: string) => ({ name, entries: parseClipList(line, name) });
    expect(joinLists([list('a', 'x 1,2'), list('b', 'x 1,2')]).entries).toHaveLength(1);
    expect(() => joinLists([list('a', 'x 1,2'), list('b', 'x 1')])).toThrow(/b: x is of class 1 here and of class 1,2/);
  });
});

describe('a table with several labels in a row', () => {
  const head = 'path,label,text\n';

  it('has them separated by |, with as many texts or none', () => {
    const { clips, labels, texts } = parseClipTable(`${head}a,sit | eat,sitting|eating\nb,eat,\nc,run|sit,\n`, 't');
    expect(labels).toEqual(['sit', 'eat', 'run']);
    expect(texts).toEqual(['sitting', 'eating', 'run']);
    expect(clips.map(({ label, labels: several }) => [label, several])).toEqual([
      [0, [0, 1]],
      [1, undefined],
      [2, [2, 0]],
    ]);
  });

  it('is refused where texts are too few, a label is empty or stands twice', () => {
    expect(() => parseClipTable(`${head}a,sit|eat|run,x|y\n`, 't')).toThrow(/t:2: 3 labels have 2 texts/);
    expect(() => parseClipTable(`${head}a,sit||run,\n`, 't')).toThrow(/t:2: the label is empty/);
    expect(() => parseClipTable(`${head}a,sit|sit,\n`, 't')).toThrow(/t:2: class 0 is named twice/);
  });

  it('keeps a bar inside of a name that the label file has', () => {
    const { clips } = parseClipTable(`${head}a,x|y,\n`, 't', { labels: ['x|y', 'x'] });
    expect(clips.map(({ label, labels }) => [label, labels])).toEqual([[0, undefined]]);
  });
});

describe('a batch', () => {
  const entries: ClipEntry[] = [
    { path: 'a', label: 2, labels: [2, 0] },
    { path: 'b', label: 1 },
  ];
  const batch = {
    frames: new Uint8Array(0),
    shape: [4, 1, 3, 1, 1] as const,
    labels: Int32Array.of(1, 2, 2, 2),
    indices: Int32Array.of(1, 0, 0, 0),
    epoch: 0,
    waitMilliseconds: 0,
  };

  it('tells the step one index, or ones and zeros where clips have several classes', () => {
    expect([...classInput(at(0), entries).data]).toEqual([1, 2, 2, 2]);
    const several = classInput(at(0), entries, 3);
    expect(several.shape).toEqual([4, 3]);
    expect([...several.data]).toEqual([0, 1, 0, 1, 0, 1, 1, 0, 1, 1, 0, 1]);
  });

  it('has prompts of all the classes of a clip in turn, the same at the same place', () => {
    const prompts = { tokens: Int32Array.of(0, 1, 2, 10, 11, 12), length: 1, templates: 2, classes: 3 };
    const drawn = (batchIndex: number): number[] => [
      ...drawTexts(at(batchIndex), entries, prompts, new Random(5)).data,
    ];
    const all = Array.from({ length: 20 }, (_, index) => drawn(index));
    expect(new Set(all.map(([first]) => first))).toEqual(new Set([1, 11]));
    expect(new Set(all.flatMap(([, ...rest]) => rest))).toEqual(new Set([0, 2, 10, 12]));
    expect(drawn(3)).toEqual(all[3]);
  });

  function at(batchIndex: number) {
    return { ...batch, batchIndex };
  }
});
