import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { DataError } from '../../../packages/actionclip/src/data/errors.ts';
import { parseLabels } from '../../../packages/actionclip/src/data/lists.ts';
import { labelKey, matchLabels } from '../../../packages/actionclip/src/prepare/label-names.ts';
import type { DatasetLayoutName } from '../../../packages/actionclip/src/prepare/layout-names.ts';
import { releasedOrder } from '../../../packages/actionclip/src/prepare/layouts/hmdb51.ts';
import type { LayoutResult, Tree } from '../../../packages/actionclip/src/prepare/layouts/layout.ts';
import { chooseLayout } from '../../../packages/actionclip/src/prepare/layouts/layouts.ts';
import { sharedData } from '../data/shared-clips.ts';
import { treeOf } from './folders.ts';

const read = (tree: Tree, name: DatasetLayoutName | 'auto' = 'auto', split?: number): LayoutResult =>
  chooseLayout(name, tree, 'FOLDER').layout.read(tree, { split });

/** `path label split group` of each clip. */
const rows = ({ clips }: LayoutResult): string[] =>
  clips.map(({ path: clip, label, split, group }) => [clip, label, split, group].join(' | '));

describe('class folders', () => {
  it('give classes by the names of folders, for videos and for folders of frames', () => {
    const result = read(treeOf(['wave_hands/a b.mp4', 'run/clip1', 'run/deep/er.avi'], {}));
    expect(result.labels).toEqual(['run', 'wave_hands']);
    expect(rows(result)).toEqual([
      'run/clip1 | run |  | ',
      'run/deep/er.avi | run |  | ',
      'wave_hands/a b.mp4 | wave_hands |  | ',
    ]);
  });

  it('may lie below train, val and test', () => {
    const tree = treeOf(['train/run/a.mp4', 'Validation/run/b.mp4', 'test/walk/c.mp4'], {});
    expect(rows(read(tree))).toEqual([
      'Validation/run/b.mp4 | run | val | ',
      'test/walk/c.mp4 | walk | test | ',
      'train/run/a.mp4 | run | train | ',
    ]);
    expect(chooseLayout('auto', tree, 'FOLDER').reason).toBe(
      'it has the folders Validation, test, train with class folders in them',
    );
  });

  it('may have a class that is called as a split is', () => {
    expect(read(treeOf(['test/a.mp4', 'run/b.mp4'], {})).labels).toEqual(['run', 'test']);
  });

  it('leave out clips beside them, and say so', () => {
    const result = read(treeOf(['loose.mp4', 'run/a.mp4'], {}));
    expect(rows(result)).toEqual(['run/a.mp4 | run |  | ']);
    expect(result.notes).toEqual(['left out, as they lie in no class folder: 1 clip']);
  });

  it.each([
    [['train/run/a.mp4', 'val/run/b.mp4', 'walk/c.mp4'], 'look like splits, but "walk" lies beside them'],
    [['videos/run/a.mp4', 'videos/walk/b.mp4'], 'all clips lie below the one folder "videos"'],
    [['a.mp4'], 'FOLDER: 1 clip in no class folders, and no annotations beside them'],
    [[], 'FOLDER: there is no clip in it'],
  ])('that are none, %j, are an error in one sentence', (clips, message) => {
    expect(() => read(treeOf(clips, {}))).toThrow(message);
    expect(() => read(treeOf(clips, {}))).toThrow(DataError);
  });
});

describe('Kinetics', () => {
  const header = 'label,youtube_id,time_start,time_end,split\n';
  const official = 'passing American football (not in game)';

  it('matches official names with folders that have underscores and dashes', () => {
    const tree = treeOf(
      ['passing_American_football_-not_in_game-/abcdefghijk_000010_000020.mp4', 'yoga/AAAAAAAAAAA.mp4'],
      {
        'val.csv': `${header}${official},abcdefghijk,10,20,validate\nyoga,AAAAAAAAAAA,3,13,validate\n`,
      },
    );
    const result = read(tree);
    expect(result.labels).toEqual([official, 'yoga']);
    expect(rows(result)).toEqual([
      `passing_American_football_-not_in_game-/abcdefghijk_000010_000020.mp4 | ${official} | val | abcdefghijk`,
      'yoga/AAAAAAAAAAA.mp4 | yoga | val | AAAAAAAAAAA',
    ]);
    expect(chooseLayout('auto', tree, 'FOLDER').reason).toBe('val.csv has the column youtube_id');
  });

  it('takes the split of the file where there is no such column, quoted labels, times with fractions', () => {
    const text = '\uFEFF"label","youtube_id","time_start","time_end"\r\n"yoga",-bcdefghijk,10.0,20.4\r\n';
    const result = read(treeOf(['-bcdefghijk_000010_000020.mp4'], { 'kinetics_train.csv': text }));
    expect(rows(result)).toEqual(['-bcdefghijk_000010_000020.mp4 | yoga | train | -bcdefghijk']);
  });

  it('counts what is missing, and what no row names', () => {
    const text = `${header}yoga,AAAAAAAAAAA,3,13,train\nyoga,BBBBBBBBBBB,3,13,train\n`;
    const result = read(
      treeOf(['AAAAAAAAAAA_000003_000013.mp4', 'CCCCCCCCCCC_000003_000013.mp4'], { 'train.csv': text }),
    );
    expect(result.missing).toEqual(['yoga/BBBBBBBBBBB_000003_000013']);
    expect(result.notes).toEqual([
      expect.stringContaining('left out, as no annotation used here names them: 1 clip in the folder'),
    ]);
  });

  it('finds ids that lost characters at their beginning by their ends and times, and reports them', () => {
    const text = `${header}yoga,-_CDEFGHIJK,3,13,train\nyoga,HIJK2222222,5,15,train\nyoga,345678,5,15,train\n`;
    const clips = [
      'CDEFGHIJK_000003_000013.mp4',
      '2222_000005_000015.mp4',
      '12345345678_000005_000015.mp4',
      'x_000001_000002.mp4',
    ];
    const result = read(treeOf(clips, { 'train.csv': text }));
    expect(rows(result).sort()).toEqual([
      '12345345678_000005_000015.mp4 | yoga | train | 345678',
      '2222_000005_000015.mp4 | yoga | train | HIJK2222222',
      'CDEFGHIJK_000003_000013.mp4 | yoga | train | -_CDEFGHIJK',
    ]);
    expect(result.notes[0]).toContain(
      'matched by what is left and the times: 3 ids that lost characters at the beginning',
    );
    expect(result.notes[1]).toContain(
      'matched by no row: 1 file with an id of fewer than 11 characters, which may have lost some, such as "x_000001',
    );
  });

  it('does not guess which clip of an id a file without times is', () => {
    const text = `${header}yoga,AAAAAAAAAAA,3,13,train\nyoga,AAAAAAAAAAA,30,40,train\n`;
    const tree = treeOf(['AAAAAAAAAAA.mp4'], { 'train.csv': text });
    expect(read(tree).missing).toHaveLength(2);
  });

  it('takes the file in the folder of its class or split where there are several', () => {
    const text = `${header}yoga,AAAAAAAAAAA,3,13,validate\n`;
    const clips = ['train/yoga/AAAAAAAAAAA_000003_000013.mp4', 'validate/yoga/AAAAAAAAAAA_000003_000013.mp4'];
    expect(read(treeOf(clips, { 'a.csv': text })).clips.map((clip) => clip.path)).toEqual([clips[1]]);
    expect(read(treeOf(['other/AAAAAAAAAAA.mp4', 'yoga/AAAAAAAAAAA.mp4'], { 'a.csv': text })).clips[0]?.path).toBe(
      'yoga/AAAAAAAAAAA.mp4',
    );
  });

  it.each([
    [`${header}yoga,../../etc/passwd,3,13,train\n`, 'a.csv:2: "../../etc/passwd" leads out of the data set'],
    [`${header}yoga,/etc/passwd,3,13,train\n`, 'a.csv:2: "/etc/passwd" leads out of the data set'],
    [`${header}yoga,AAAAAAAAAAA,x,13,train\n`, 'a.csv:2: "x" is no time'],
    [`${header}yoga,AAAAAAAAAAA,3,13,trian\n`, 'a.csv:2: there is no split "trian"'],
    [`${header}yoga,AAAAAAAAAAA,3,13\n`, 'a.csv:2: 4 fields where the header has 5'],
    [`${header}yoga,A,3,13,train\nyoga,A,3,13,train\n`, 'a.csv:3: "A_000003_000013.mp4" is also at a.csv:2'],
  ])('says for %j what is wrong and where', (text, message) => {
    expect(() => read(treeOf(['A_000003_000013.mp4'], { 'a.csv': text }))).toThrow(message);
  });
});

describe('UCF101', () => {
  const annotations = {
    'lists/classInd.txt': '1 ApplyEyeMakeup\r\n2 Archery\r\n',
    'lists/trainlist01.txt': 'ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1\nArchery/v_Archery_g09_c02.avi 2\n',
    'lists/testlist01.txt': 'Archery/v_Archery_g01_c01.avi\nArchery/v_Archery_g01_c02.avi\n',
    'lists/trainlist02.txt': 'Archery/v_Archery_g01_c01.avi 2\n',
    'lists/testlist02.txt': 'ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi\n',
  };
  const clips = ['ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi', 'Archery/v_Archery_g09_c02', 'v_Archery_g01_c01.mp4'];

  it('reads a split, groups, and clips as files of any kind or as frames', () => {
    const result = read(treeOf(clips, annotations));
    expect(result.labels).toEqual(['ApplyEyeMakeup', 'Archery']);
    expect(rows(result)).toEqual([
      'ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi | ApplyEyeMakeup | train | g08',
      'Archery/v_Archery_g09_c02 | Archery | train | g09',
      'v_Archery_g01_c01.mp4 | Archery | test | g01',
    ]);
    expect(result.missing).toEqual(['Archery/v_Archery_g01_c02.avi']);
  });

  it('reads another split when asked', () => {
    expect(rows(read(treeOf(clips, annotations), 'auto', 2))).toEqual([
      'v_Archery_g01_c01.mp4 | Archery | train | g01',
      'ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi | ApplyEyeMakeup | test | g08',
    ]);
    expect(() => read(treeOf(clips, annotations), 'auto', 3)).toThrow('the annotation file trainlist03.txt is missing');
  });

  it('describes classes in words', () => {
    expect(chooseLayout('ucf101', treeOf(clips, annotations), '').layout.textOf('ApplyEyeMakeup')).toBe(
      'apply eye makeup',
    );
  });

  it.each([
    [
      'trainlist01.txt',
      '../../etc/passwd 1\n',
      'lists/trainlist01.txt:1: "../../etc/passwd 1" leads out of the data set',
    ],
    ['trainlist01.txt', '\n/etc/passwd 1\n', 'lists/trainlist01.txt:2: "/etc/passwd 1" leads out of the data set'],
    ['trainlist01.txt', 'Archery/a.avi 1\n', 'lists/trainlist01.txt:1: index 1 is not that of "Archery"; expected 2'],
    ['testlist01.txt', 'Running/a.avi\n', 'lists/testlist01.txt:1: the class "Running" is not in classInd.txt'],
    ['testlist01.txt', 'alone.avi\n', 'lists/testlist01.txt:1: "alone.avi" is no clip'],
    ['classInd.txt', '1 A\n3 B\n', 'lists/classInd.txt:2: "3 B" is not class 2'],
    [
      'testlist01.txt',
      'Archery/v_Archery_g09_c02.avi\n',
      'lists/testlist01.txt:1: "Archery/v_Archery_g09_c02" is also at lists/trainlist01.txt:2',
    ],
  ])('says for %s with %j what is wrong and where', (file, text, message) => {
    expect(() => read(treeOf(clips, { ...annotations, [`lists/${file}`]: text }))).toThrow(message);
  });
});

describe('HMDB51', () => {
  const annotations = {
    'kick_ball_test_split1.txt': '#20_x_kick_ball_u_nm.avi 1 \ngone_kick_ball_1.avi 2\n',
    'kick_test_split1.txt': 'April_kick_u_1.avi 2 \nApril_kick_u_2.avi 0 \n',
    'kick_test_split2.txt': 'April_kick_u_1.avi 1 \n',
  };
  const clips = ['kick/April_kick_u_1.avi', 'kick/April_kick_u_2.avi', 'kick_ball/#20_x_kick_ball_u_nm.avi'];

  it('reads a split, the unused clips left out, and sources as groups', () => {
    const result = read(treeOf(clips, annotations));
    expect(rows(result)).toEqual([
      'kick_ball/#20_x_kick_ball_u_nm.avi | kick ball | train | #20_x',
      'kick/April_kick_u_1.avi | kick | test | April',
    ]);
    expect(result.missing).toEqual(['kick_ball/gone_kick_ball_1.avi']);
    expect(result.notes).toEqual([]);
    expect(rows(read(treeOf(clips, annotations), 'hmdb51', 2))).toEqual([
      'kick/April_kick_u_1.avi | kick | train | April',
    ]);
  });

  it('numbers classes as the released list does', async () => {
    const file = path.join(sharedData, 'labels', 'hmdb51_labels.csv');
    const released = parseLabels(await readFile(file, 'utf8'), file);
    expect(releasedOrder([...released].reverse())).toEqual(released);
    expect(read(treeOf(clips, annotations)).labels).toEqual(['kick ball', 'kick']);
    expect(releasedOrder(['kick', 'sword'])).toEqual(['kick', 'sword']);
  });

  it.each([
    ['a.avi 3\n', 'kick_test_split1.txt:1: "a.avi 3" is no clip with its use'],
    ['../a.avi 1\n', 'kick_test_split1.txt:1: "../a.avi" leads out of the data set'],
    ['April_kick_u_1.avi 1\nApril_kick_u_1.avi 2\n', 'kick_test_split1.txt:2: "kick/April_kick_u_1.avi" is also at'],
  ])('says for %j what is wrong and where', (text, message) => {
    expect(() => read(treeOf(clips, { 'kick_test_split1.txt': text }))).toThrow(message);
  });
});

describe('Something-Something', () => {
  const second = {
    'something-something-v2-labels.json': '{"Holding something": "1", "Closing something": "0"}',
    'something-something-v2-train.json':
      '[{"id": "78", "label": "closing a box", "template": "Closing [something]", "placeholders": ["a box"]}]',
    'something-something-v2-validation.json':
      '[{"id": "9", "template": "Holding [something]"}, {"id": "10", "template": "Holding [something]"}]',
    'something-something-v2-test.json': '[{"id": "11"}]',
  };

  it('reads the JSON lists of version 2, numbered as its object of classes says', () => {
    const result = read(treeOf(['78.webm', '9.webm'], second));
    expect(result.labels).toEqual(['Closing something', 'Holding something']);
    expect(rows(result)).toEqual(['78.webm | Closing something | train | ', '9.webm | Holding something | val | ']);
    expect(result.missing).toEqual(['10']);
  });

  it('reads the CSV lists of version 1, with folders of frames', () => {
    const first = {
      'something-something-v1-labels.csv': 'Holding something\nClosing something\n',
      'something-something-v1-train.csv': '78;Closing something\n',
      'something-something-v1-validation.csv': '9;Holding something\n',
    };
    const result = read(treeOf(['20bn/78', '20bn/9'], first));
    expect(result.labels).toEqual(['Holding something', 'Closing something']);
    expect(rows(result)).toEqual(['20bn/78 | Closing something | train | ', '20bn/9 | Holding something | val | ']);
  });

  it.each([
    ['labels', '{"a": "0", "b": "2"}', '"b" has the index "2"; expected each whole number from 0 to 1 once'],
    ['labels', '{"a": "0"', 'it is no JSON'],
    ['train', '{}', 'it is no list'],
    ['train', '[{"id": "1"}]', 'entry 1 has no id or no template'],
    ['train', '[{"id": "../1", "template": "Closing [something]"}]', 'entry 1: "../1" is no id'],
    ['train', '[{"id": "1", "template": "Opening [something]"}]', 'entry 1: "Opening something" is not in'],
  ])('says for %s as %s what is wrong and where', (file, text, message) => {
    const name = `something-something-v2-${file}.json`;
    expect(() => read(treeOf(['78.webm'], { ...second, [name]: text }), 'something')).toThrow(message);
    expect(() => read(treeOf(['78.webm'], { ...second, [name]: text }), 'something')).toThrow(name);
  });
});

describe('a table of clips', () => {
  it('gives classes in the order of first use, their phrases, groups and splits', () => {
    const text = 'path,label,text,group,split\n./b.mp4,run,a person running,g1,train\na.mp4,walk,,,test\n';
    const result = read(treeOf(['a.mp4', 'b.mp4'], { 'clips.csv': text }));
    expect(result.labels).toEqual(['run', 'walk']);
    expect(result.texts).toEqual(
      new Map([
        ['run', 'a person running'],
        ['walk', 'walk'],
      ]),
    );
    expect(rows(result)).toEqual(['b.mp4 | run | train | g1', 'a.mp4 | walk | test | ']);
  });

  it.each([
    ['path,label\n../a.mp4,run\n', 'clips.csv:2: "../a.mp4" leads out of the data set'],
    ['path,label\na.mp4,run\na.mp4,walk\n', 'clips.csv:3: "a.mp4" is also at clips.csv:2'],
    ['path,label,split\na.mp4,run,dev\n', 'clips.csv:2: there is no split "dev"'],
  ])('says for %j what is wrong and where', (text, message) => {
    expect(() => read(treeOf(['a.mp4'], { 'clips.csv': text }))).toThrow(message);
  });
});

describe('telling the layout', () => {
  it('asks where two fit', () => {
    const tree = treeOf(['a.mp4'], {
      'clips.csv': 'path,label\na.mp4,run\n',
      'train.csv': 'label,youtube_id,time_start,time_end,split\n',
    });
    expect(() => read(tree)).toThrow(
      'FOLDER may be kinetics (train.csv has the column youtube_id) or table (clips.csv has the columns path and label); say which with --layout',
    );
  });

  it('says for a layout that was asked for what it lacks', () => {
    const tree = treeOf(['run/a.mp4'], {});
    for (const name of ['kinetics', 'ucf101', 'hmdb51', 'something', 'table'] as const) {
      expect(() => read(tree, name)).toThrow(DataError);
      expect(() => read(tree, name)).toThrow('--annotations');
    }
  });
});

describe('names of classes', () => {
  it('are the same in folders and in label files', async () => {
    const file = path.join(sharedData, 'labels', 'kinetics_400_labels.csv');
    const official = parseLabels(await readFile(file, 'utf8'), file);
    const folders = official.map((name) => name.replaceAll(' ', '_').replace(/[()]/g, '-'));
    expect([...matchLabels(folders, official, file).values()]).toEqual(official);
    expect(labelKey('YoYo')).toBe(labelKey('yo_yo'));
  });

  it('that are none of the file are an error with the nearest', () => {
    expect(() => matchLabels(['wlak'], ['run', 'walk'], 'l.csv')).toThrow(
      'l.csv: the class "wlak" of the clips is none of the 2 classes; did you mean "walk"?',
    );
    expect(() => matchLabels(['a_b'], ['a-b', 'a.b'], 'l.csv')).toThrow('l.csv: "a_b" could be "a-b" or "a.b"');
  });
});
