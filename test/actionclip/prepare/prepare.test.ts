import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { parseCsv } from '../../../packages/actionclip/src/data/csv.ts';
import { readClipList, readClipTable, readLabels } from '../../../packages/actionclip/src/data/lists.ts';
import { type CheckResult, checkClip } from '../../../packages/actionclip/src/prepare/check-clip.ts';
import {
  type CheckProgress,
  type PrepareOptions,
  prepareDataset,
} from '../../../packages/actionclip/src/prepare/prepare.ts';
import type { PrepareReport } from '../../../packages/actionclip/src/prepare/report.ts';
import { configFrom } from '../../../packages/actionclip/src/train/config-file.ts';
import { readRunData } from '../../../packages/actionclip/src/train/datasets.ts';
import { rejection, sharedData, withFolder, writeFrames } from '../data/shared-clips.ts';
import { linkClips, writeFiles } from './folders.ts';

/** Prepares `folder/clips` into `folder/out`. */
const prepare = (folder: string, options: Partial<PrepareOptions> = {}): Promise<PrepareReport> =>
  prepareDataset(path.join(folder, 'clips'), { out: path.join(folder, 'out'), workers: 2, ...options });

const written = (folder: string, name: string): Promise<string> => readFile(path.join(folder, 'out', name), 'utf8');

/** Frames of each clip as the lists of a preparation say. */
async function listedFrames(
  folder: string,
  lists = ['train.txt', 'val.txt'],
): Promise<Map<string, number | undefined>> {
  const entries = await Promise.all(lists.map((list) => readClipList(path.join(folder, 'out', list))));
  return new Map(entries.flat().map((entry) => [entry.path, entry.frames]));
}

async function manifest(): Promise<{ sound: Map<string, number>; broken: string[] }> {
  const file = path.join(sharedData, 'robust', 'manifest.csv');
  const [header, ...records] = parseCsv(await readFile(file, 'utf8'), file);
  const column = header?.fields.indexOf('ffmpeg_decoded_frames') ?? -1;
  const rows = records.map(({ fields }) => [fields[0] ?? '', Number(fields[column])] as const);
  return {
    sound: new Map(rows.filter(([name]) => !name.includes('bad'))),
    broken: rows.filter(([name]) => name.includes('bad')).map(([name]) => name),
  };
}

describe('the check of real clips', () => {
  it('counts every frame and reports every broken file', async () => {
    const { sound, broken } = await manifest();
    await withFolder(async (folder) => {
      await linkClips('robust', path.join(folder, 'clips', 'some class'));
      const report = await prepare(folder);
      expect(report).toMatchObject({ layout: 'classes', clips: 33, broken: broken.length, missing: 0 });
      expect(report.listed.train + report.listed.val).toBe(sound.size);
      const expected = [...sound].map(([name, frames]) => [`some class/${name}`, frames] as const);
      expect(await listedFrames(folder)).toEqual(new Map(expected));
      const [, ...rows] = parseCsv(await written(folder, 'broken.csv'), 'broken.csv');
      expect(rows.map(({ fields }) => path.basename(fields[0] ?? '')).sort()).toEqual(broken);
      for (const { fields } of rows) expect(fields[1]).toMatch(/damaged|cannot be opened|is empty|no video stream/);
    });
  });

  it('that is quick finds the same in these files', async () => {
    const { sound, broken } = await manifest();
    const quick = (name: string): Promise<CheckResult> =>
      checkClip({ path: path.join(sharedData, 'robust', name), kind: 'video', level: 'quick', source: {} });
    for (const [name, frames] of sound) expect([name, await quick(name)]).toEqual([name, { frames }]);
    for (const name of broken) expect([name, await quick(name)]).toEqual([name, { reason: expect.any(String) }]);
  });

  it('finds frames that the decoder made up in place of damaged ones', async () => {
    await withFolder(async (folder) => {
      const file = path.join(folder, 'flipped.mp4');
      const bytes = await readFile(path.join(sharedData, 'k400-singles', 'shooting_basketball_2.mp4'));
      bytes[20_000] = (bytes[20_000] ?? 0) ^ 8;
      await writeFile(file, bytes);
      const check = { path: file, kind: 'video', source: {} } as const;
      expect(await checkClip({ ...check, level: 'full' })).toEqual({
        reason: expect.stringMatching(
          /^the video is damaged or cut off: \d+ of 38 frames are not whole; replace the video$/,
        ),
      });
      expect(await checkClip({ ...check, level: 'quick' })).toEqual({ reason: expect.stringContaining('whole') });
    });
  });

  it('checks folders of frames, by the names that their files have; what is broken stays in the lists when told', async () => {
    await withFolder(async (folder) => {
      const clips = path.join(folder, 'clips');
      await writeFrames(path.join(clips, 'train', 'run', 'sound'), 1, 5);
      await writeFrames(path.join(clips, 'train', 'run', 'gap'), 1, 5);
      await rm(path.join(clips, 'train', 'run', 'gap', 'img_00003.png'));
      await writeFrames(path.join(clips, 'val', 'run', 'torn'), 1, 3);
      await writeFile(path.join(clips, 'val', 'run', 'torn', 'img_00002.png'), 'no picture');
      await writeFrames(path.join(clips, 'val', 'run', 'other'), 1, 3);
      await symlink(path.join(folder, 'gone.mp4'), path.join(clips, 'val', 'run', 'lost.mp4'));
      const report = await prepare(folder, { workers: 1 });
      expect(report.frameNumbering).toEqual({ imageTemplate: 'img_{:05d}.png', indexBias: 1 });
      expect(await listedFrames(folder)).toEqual(
        new Map([
          ['train/run/sound', 5],
          ['val/run/other', 3],
        ]),
      );
      const rows = parseCsv(await written(folder, 'broken.csv'), '').map(({ fields: [clip, reason] }) => [
        clip,
        reason,
      ]);
      expect(new Map(rows as [string, string][])).toEqual(
        new Map([
          ['path', 'reason'],
          [
            'train/run/gap',
            'of 4 numbered frames only the first 2 follow each other without a gap; extract them again',
          ],
          ['val/run/lost.mp4', 'it does not exist; the link leads nowhere'],
          ['val/run/torn', expect.stringContaining('the frame cannot be decoded')],
        ]),
      );
      const kept = await prepare(folder, { keepBroken: true });
      expect(kept).toMatchObject({ broken: 3, listed: { train: 2, val: 3 } });
      expect(await written(folder, 'val.txt')).toBe('val/run/lost.mp4 0\nval/run/other 0\nval/run/torn 0\n');
    });
  });
});

describe('a preparation that was stopped', () => {
  const smallClips = /^(09|10|11|13|2[01245]|31|32)/;

  it('leaves a journal and no list, and the next one checks only what is left or has changed', async () => {
    await withFolder(async (folder) => {
      const names = await linkClips('robust', path.join(folder, 'clips', 'run'), smallClips);
      const stop = new AbortController();
      const interrupted = prepare(folder, {
        workers: 1,
        signal: stop.signal,
        onProgress: ({ done }) => {
          if (done === 4) stop.abort();
        },
      });
      expect(await rejection(interrupted)).toBe(
        `InterruptedError: 4 of ${names.length} clips are checked; the same command goes on from there`,
      );
      expect(await readdir(path.join(folder, 'out'))).toEqual(['prepare.journal.jsonl']);
      expect((await written(folder, 'prepare.journal.jsonl')).split('\n')).toHaveLength(5);

      const changed = path.join(folder, 'clips', 'run', names[0] ?? '');
      await rm(changed);
      await writeFile(changed, 'no video');
      let checks: CheckProgress | undefined;
      const report = await prepare(folder, {
        onProgress: (progress) => {
          checks = progress;
        },
      });
      expect(checks).toMatchObject({ known: 3, done: names.length, total: names.length });
      expect(report.broken).toBe(3);
      const lines = (await written(folder, 'prepare.journal.jsonl')).trim().split('\n');
      expect(lines).toHaveLength(names.length + 1); // each clip was checked once, the changed one twice
      const { sound } = await manifest();
      const listed = names.filter((name) => sound.has(name) && name !== names[0]);
      expect(await listedFrames(folder)).toEqual(new Map(listed.map((name) => [`run/${name}`, sound.get(name)])));
    });
  });

  it('by a signal to the program ends with code 130, and its children end too', async () => {
    await withFolder(async (folder) => {
      await linkClips('robust', path.join(folder, 'clips', 'run'));
      const program = fileURLToPath(new URL('../../../packages/actionclip/src/cli/program.ts', import.meta.url));
      const args = ['prepare', path.join(folder, 'clips'), '--out', path.join(folder, 'out'), '--workers', '1'];
      const child = spawn(
        process.execPath,
        ['--conditions=@actionclip/source', '--import', import.meta.resolve('tsx'), program, ...args],
        { stdio: ['ignore', 'pipe', 'pipe'] },
      );
      let said = '';
      child.stderr.on('data', (chunk: Buffer) => {
        said += chunk.toString();
      });
      const journal = path.join(folder, 'out', 'prepare.journal.jsonl');
      while (((await stat(journal).catch(() => undefined))?.size ?? 0) === 0 && child.exitCode === null) {
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      child.kill('SIGINT');
      const [code] = await once(child, 'close');
      expect([code, said]).toEqual([130, expect.stringContaining('clips are checked; the same command goes on')]);
      expect(await readdir(path.join(folder, 'out'))).toEqual(['prepare.journal.jsonl']);
    });
  });
});

describe('what is written', () => {
  it('is what training reads', async () => {
    await withFolder(async (folder) => {
      await mkdir(path.join(folder, 'clips'));
      for (const label of ['bend', 'wave_one_hand']) {
        await symlink(path.join(sharedData, 'weizmann4', label), path.join(folder, 'clips', label));
      }
      const report = await prepare(folder, { check: 'none' });
      expect(report).toMatchObject({ layout: 'classes', clips: 36, classes: 2, listed: { train: 28, val: 8 } });
      const out = path.join(folder, 'out');
      const { config } = configFrom({
        data: {
          label_list: path.join(out, 'labels.csv'),
          train_list: path.join(out, 'train.txt'),
          val_list: path.join(out, 'val.txt'),
          root: path.join(folder, 'clips'),
        },
      });
      const data = await readRunData(config);
      expect(data.labels).toEqual(['bend', 'wave_one_hand']);
      expect([data.train.length, data.validation.length]).toEqual([28, 8]);
      for (const { path: file } of [...data.train, ...data.validation]) expect((await stat(file)).isFile()).toBe(true);
      const table = await readClipTable(path.join(out, 'clips.csv'), { root: path.join(folder, 'clips') });
      expect(table.texts).toEqual(['bend', 'wave one hand']);
      expect(table.clips.filter(({ split }) => split === 'val').map((clip) => clip.path)).toEqual(
        data.validation.map((clip) => clip.path),
      );
    });
  });

  it('takes names and order of classes from a label file', async () => {
    await withFolder(async (folder) => {
      await writeFiles(folder, {
        'clips/kick_ball/a.mp4': '',
        'clips/kick_ball/b.mp4': '',
        'clips/Kick/a.mp4': '',
        'labels.csv': 'id,name\n0,walk\n1,kick ball\n2,kick\n',
      });
      const report = await prepare(folder, { check: 'none', labels: path.join(folder, 'labels.csv') });
      expect(report.notes).toContain('without a clip: 1 class, such as "walk"');
      expect(await readLabels(path.join(folder, 'out', 'labels.csv'))).toEqual(['walk', 'kick ball', 'kick']);
      expect(await written(folder, 'clips.csv')).toContain('Kick/a.mp4,kick,');
      const list = await readClipList(path.join(folder, 'out', 'train.txt'));
      expect(list.map(({ label }) => label)).toEqual([2, 1]);
    });
  });

  it('keeps odd names: in the table all, in the lists all that these can hold', async () => {
    const odd = ['#1.mp4', ' blank.mp4', 'a, "b".mp4', 'l\nine.mp4', 'Ünï 鐘.mp4', 'plain.mp4'];
    await withFolder(async (folder) => {
      await writeFiles(folder, {
        ...Object.fromEntries(odd.map((name) => [`clips/${name}`, ''])),
        'table.csv': `path,label,split\n${odd.map((name) => `"${name.replaceAll('"', '""')}",run,train\n`).join('')}`,
      });
      // a line break inside of a name is no plain name, and refused by its line
      const table = path.join(folder, 'table.csv');
      expect(await rejection(prepare(folder, { check: 'none', annotations: table }))).toContain('table.csv:5: ');
      await writeFiles(folder, Object.fromEntries(odd.map((name) => [`clips/train/run/${name}`, ''])));
      await writeFiles(folder, { 'clips/val/run/clip 7': '' });
      for (const name of odd) await rm(path.join(folder, 'clips', name));
      await rm(path.join(folder, 'clips', 'val'), { recursive: true });
      const report = await prepare(folder, { check: 'none' });
      expect(report).toMatchObject({ clips: 6, unlistable: 1, listed: { train: 6 } });
      const clips = await readClipTable(path.join(folder, 'out', 'clips.csv'), { root: '/root' });
      expect(clips.clips.map((clip) => clip.path).sort()).toEqual(
        odd.map((name) => path.join('/root/train/run', name)).sort(),
      );
      const listed = await readClipList(path.join(folder, 'out', 'train.txt'));
      expect(listed.map((clip) => clip.path).sort()).toEqual(
        odd
          .filter((name) => !name.includes('\n'))
          .map((name) => `train/run/${name}`)
          .sort(),
      );
    });
  });

  it('is the same for equal seeds and another division for another', async () => {
    await withFolder(async (folder) => {
      const names = Array.from({ length: 20 }, (_, index) => [`clips/c${index % 2}/${index}.mp4`, ''] as const);
      await writeFiles(folder, Object.fromEntries(names));
      const divided = async (seed: number): Promise<string> => {
        await prepare(folder, { check: 'none', seed, validationFraction: 0.3 });
        return written(folder, 'val.txt');
      };
      const first = await divided(0);
      expect(first.trim().split('\n')).toHaveLength(6);
      expect(await divided(0)).toBe(first);
      expect(await divided(1)).not.toBe(first);
    });
  });

  it('goes nowhere but to the folder for it, and takes old lists away', async () => {
    await withFolder(async (folder) => {
      await writeFiles(folder, { 'clips/run/a.mp4': '', 'clips/run/b.mp4': '' });
      const out = path.join(folder, 'clips', 'lists'); // among the clips, and not listed itself
      await prepare(folder, { check: 'none', out });
      expect((await readdir(out)).sort()).toEqual(
        ['broken.csv', 'clips.csv', 'labels.csv', 'missing.txt', 'prepare.json', 'train.txt', 'val.txt'].sort(),
      );
      await prepare(folder, { check: 'none', out, validationFraction: 0 });
      expect(await readdir(out)).not.toContain('val.txt');
      expect((await readdir(path.join(folder, 'clips'))).sort()).toEqual(['lists', 'run']);
      expect(await readdir(folder)).toEqual(['clips']);
    });
  });

  it.each([
    [{ layout: 'classes' }, 'clips/run', 'nothing can be written there'],
    [{ split: 2 }, 'out', 'the layout classes has no numbered splits'],
    [{ annotations: 'nowhere.txt' }, 'out', 'nowhere.txt: the annotation file does not exist'],
  ] as const)('is nothing at all with %j into %s', async (options, out, message) => {
    await withFolder(async (folder) => {
      await writeFiles(folder, { 'clips/run/a.mp4': '' });
      const target = path.join(folder, out === 'out' ? 'out' : path.join(out, 'a.mp4'));
      expect(await rejection(prepare(folder, { ...options, out: target }))).toContain(message);
      expect((await readdir(folder)).filter((name) => name === 'out')).toEqual([]);
    });
  });

  it('is refused among the clips, and for a folder that is not there', async () => {
    await withFolder(async (folder) => {
      await writeFiles(folder, { 'clips/run/a.mp4': '' });
      const clips = path.join(folder, 'clips');
      expect(await rejection(prepareDataset(clips, { out: clips }))).toContain('the lists cannot go among the clips');
      const gone = path.join(folder, 'gone');
      expect(await rejection(prepareDataset(gone, { out: clips }))).toBe(
        `DataError: ${gone}: the folder does not exist; check the path`,
      );
    });
  });
});

describe('official data sets', () => {
  it('end in lists by way of files alone', async () => {
    await withFolder(async (folder) => {
      await writeFiles(folder, {
        'clips/Archery/v_Archery_g01_c01.avi': '',
        'clips/Archery/v_Archery_g02_c01.avi': '',
        'annotations/classInd.txt': '1 Archery\n',
        'annotations/trainlist01.txt': 'Archery/v_Archery_g02_c01.avi 1\n',
        'annotations/testlist01.txt': 'Archery/v_Archery_g01_c01.avi\nArchery/v_Archery_g01_c02.avi\n',
      });
      const report = await prepare(folder, { check: 'none', annotations: path.join(folder, 'annotations') });
      expect(report).toMatchObject({ layout: 'ucf101', split: 1, listed: { train: 1, val: 1, test: 0 }, missing: 1 });
      expect(report.notes).toContain('val.txt holds the test clips, as there are no others');
      expect(await written(folder, 'val.txt')).toBe('Archery/v_Archery_g01_c01.avi 0\n');
      expect(await written(folder, 'missing.txt')).toBe('Archery/v_Archery_g01_c02.avi\n');
      expect(await written(folder, 'clips.csv')).toBe(
        'path,label,text,group,split\nArchery/v_Archery_g02_c01.avi,Archery,archery,g02,train\nArchery/v_Archery_g01_c01.avi,Archery,archery,g01,test\n',
      );
      expect(JSON.parse(await written(folder, 'prepare.json'))).toEqual(report);
    });
  });

  it('of which no clip is there are an error that names one', async () => {
    await withFolder(async (folder) => {
      await writeFiles(folder, {
        'clips/x.mp4': '',
        'clips/train.csv': 'label,youtube_id,time_start,time_end,split\nyoga,AAAAAAAAAAA,1,11,train\n',
      });
      expect(await rejection(prepare(folder))).toContain(
        'of 1 annotated clips none is there, such as "yoga/AAAAAAAAAAA_000001_000011"',
      );
    });
  });
});
