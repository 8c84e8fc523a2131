// Lists whose class indices follow the label file, another order, or neither.

import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ClipEntry } from '../../../packages/actionclip/src/data/lists.ts';
import { readLabels } from '../../../packages/actionclip/src/data/lists.ts';
import { classOfPath, findLabelOrder, mapLabels } from '../../../packages/actionclip/src/evaluate/label-orders.ts';
import { classFinder } from '../../../packages/actionclip/src/prompts/class-names.ts';

const labelsOf = (name: string): Promise<string[]> =>
  readLabels(fileURLToPath(new URL(`../../../../shared/data/labels/${name}.csv`, import.meta.url)));
const released = await labelsOf('hmdb51_labels');
const mmaction = released.map(
  (_, row) => released[[20, 44].includes(row) ? row + 1 : [21, 45].includes(row) ? row - 1 : row] ?? '',
);

/** A list in the order of `names`: two clips of each class, in folders named after it. */
const listed = (names: readonly string[], folder = (name: string) => name.replaceAll(' ', '_')): ClipEntry[] =>
  names.flatMap((name, label) =>
    [1, 2].map((clip) => ({ path: `/data/hmdb51/${folder(name)}/clip${clip}.avi`, label })),
  );

describe("HMDB51's two orders", () => {
  it('are told apart, named and mapped', () => {
    expect([released[20], released[21], mmaction[20], mmaction[21]]).toEqual([
      'kick ball',
      'kick',
      'kick',
      'kick ball',
    ]);
    const order = findLabelOrder(listed(mmaction), released);
    expect(order.kind).toBe('moved');
    expect(order.moved).toEqual([
      { index: 20, row: 21 },
      { index: 21, row: 20 },
      { index: 44, row: 45 },
      { index: 45, row: 44 },
    ]);
    expect(order.explanation).toBe(
      'The list counts the classes in another order than the label file: 20 is "kick" (row 21), 21 is "kick ball" (row 20), ' +
        '44 is "sword" (row 45), 45 is "sword exercise" (row 44); this is the order of HMDB51 in mmaction2 and Text4Vis',
    );
    const mapped = mapLabels(listed(mmaction), order);
    expect(mapped.find(({ path }) => path.includes('/kick/'))?.label).toBe(21);
    expect(findLabelOrder(mapped, released)).toMatchObject({ kind: 'same', told: 102 });
  });

  it('are named the other way round too, and left alone where they agree', () => {
    expect(findLabelOrder(listed(released), mmaction).explanation).toContain('HMDB51 in ActionCLIP and X-CLIP');
    expect(findLabelOrder(listed(released), released).explanation).toBe(
      'The class indices agree with the label file for all 102 clips whose path names a class',
    );
  });

  it('are read off the names of files where no folder tells', () => {
    const entries = [
      { path: 'all/Best_Of_kick_ball_f_cm_np1_ba_bad_4.avi', label: 21 },
      { path: 'all/prelinger_kick_l_nm_np1_fr_goo_0.avi', label: 20 },
    ];
    expect(findLabelOrder(entries, released).moved).toEqual([
      { index: 21, row: 20 },
      { index: 20, row: 21 },
    ]);
  });
});

describe('the class of a path', () => {
  const find = classFinder(['run', 'kick', 'kick ball', 'YoYo']);
  it.each([
    ['/home/run/videos/kick/a.mp4', 1],
    ['C:\\clips\\Kick_Ball\\a.mp4', 2],
    ['v_YoYo_g01_c02.avi', 3],
    ['/run/a.mp4', 0],
    ['/videos/kick', undefined],
    ['kick.mp4', undefined],
  ])('%s is %s', (path, row) => {
    expect(classOfPath(path, find)).toBe(row);
  });
});

describe('an order', () => {
  const names = ['a one', 'b two', 'c three', 'd four', 'e five', 'f six'];

  it('of any kind that the paths reveal is found and undone', () => {
    const permutation = fc.shuffledSubarray([...names.keys()], { minLength: 6 });
    fc.assert(
      fc.property(permutation, (rows) => {
        const order = findLabelOrder(listed(rows.map((row) => names[row] ?? '')), names);
        const identity = rows.every((row, index) => row === index);
        expect(order.kind).toBe(identity ? 'same' : 'moved');
        const mapped = mapLabels(listed(rows.map((row) => names[row] ?? '')), order);
        expect(mapped.map(({ label }) => label)).toEqual(rows.flatMap((row) => [row, row]));
      }),
    );
  });

  it('that the paths do not tell is not guessed', () => {
    const untold = findLabelOrder(
      listed(names, () => 'videos'),
      names,
    );
    expect(untold.kind).toBe('untold');
    expect(() => mapLabels([], untold)).toThrow('their order cannot be checked; use the indices as they stand');
    const all = findLabelOrder(
      listed(names, () => 'a one'),
      names,
    );
    expect(all).toMatchObject({ kind: 'unclear', moved: [] });
    expect(all.explanation).toContain('classes 0 and 1 would both be "a one"');
  });

  it('in which one index has clips of two classes is unclear', () => {
    const entries = [...listed(names), { path: '/data/b_two/stray.avi', label: 0 }];
    const order = findLabelOrder(entries, names);
    expect(order.kind).toBe('unclear');
    expect(order.explanation).toContain(
      'clips of class 0 lie under "a one" and "b two", the second in /data/b_two/stray.avi',
    );
  });

  it('with an index open that another one claims is unclear', () => {
    const entries = [
      { path: '/data/b_two/1.avi', label: 0 },
      { path: '/data/2.avi', label: 1 },
    ];
    expect(findLabelOrder(entries, names).kind).toBe('unclear');
  });
});
