import { appendFile, mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import type { CheckResult, ClipCheck } from '../../../packages/actionclip/src/prepare/check-clip.ts';
import { runChecks } from '../../../packages/actionclip/src/prepare/check-pool.ts';
import { numberedFiles, numberingOf } from '../../../packages/actionclip/src/prepare/frame-names.ts';
import { type ClipState, openJournal } from '../../../packages/actionclip/src/prepare/journal.ts';
import type { LabelledClip } from '../../../packages/actionclip/src/prepare/layouts/layout.ts';
import { listFolder } from '../../../packages/actionclip/src/prepare/listing.ts';
import { divide } from '../../../packages/actionclip/src/prepare/split.ts';
import { rejection, withFolder } from '../data/shared-clips.ts';
import { writeFiles } from './folders.ts';

/** A program for the children that does what the name of a clip says. */
const obedient = `
process.on('message', ({ id, check }) => {
  if (check.path === 'crash') process.kill(process.pid, 'SIGSEGV');
  else if (check.path === 'leave') process.exit(3);
  else if (check.path === 'hang') for (;;);
  else if (check.path === 'fault') process.send({ kind: 'fault', id, message: 'a fault of the program' });
  else process.send({ kind: 'result', id, result: { frames: check.path.length } });
});
process.send({ kind: 'ready' });
`;

async function outcomes(names: readonly string[], workers: number, program = obedient): Promise<CheckResult[]> {
  const results: CheckResult[] = [];
  await withFolder(async (folder) => {
    const file = path.join(folder, 'program.mjs');
    await writeFile(file, program);
    const checks = names.map((name): ClipCheck => ({ path: name, kind: 'video', level: 'full', source: {} }));
    const onResult = (index: number, result: CheckResult): void => {
      expect(results[index]).toBeUndefined();
      results[index] = result;
    };
    await runChecks(checks, { workers, timeoutSeconds: 1, onResult, program: pathToFileURL(file) });
  });
  return results;
}

describe('checks in child processes', () => {
  it('go on after a clip that crashes its process, ends it, or hangs', async () => {
    expect(await outcomes(['a', 'crash', 'bb', 'hang', 'leave', 'ccc'], 2)).toEqual([
      { frames: 1 },
      { reason: 'the decoder crashed on it (SIGSEGV)' },
      { frames: 2 },
      { reason: 'given up: it was not checked within 1 second', givenUp: true },
      { reason: 'the decoder crashed on it (exit code 3)' },
      { frames: 3 },
    ]);
  });

  it('end with a fault that is not a clip’s, and where the program does not start', async () => {
    expect(await rejection(outcomes(['a', 'fault', 'hang'], 1))).toBe('Error: a fault of the program');
    expect(await rejection(outcomes(['a'], 1, 'throw new Error("no such luck")'))).toMatch(
      /^Error: a process for checking did not start \(exit code 1\): [\s\S]*no such luck/,
    );
  });
});

describe('the journal', () => {
  const state = (clip: string, change: Partial<ClipState> = {}): ClipState => ({
    path: clip,
    size: 7,
    modified: 1.5,
    level: 'full',
    numbering: '',
    ...change,
  });

  it('knows a clip as long as it has not changed, and a full check as a quick one', async () => {
    await withFolder(async (folder) => {
      const file = path.join(folder, 'journal');
      const written = await openJournal(file, false);
      await written.add(state('a'), { frames: 3 });
      await written.add(state('b', { level: 'quick' }), { reason: 'it is "bad"\n' });
      await written.close();
      const read = await openJournal(file, false);
      expect(read.find(state('a'))).toEqual({ frames: 3 });
      expect(read.find(state('a', { level: 'quick' }))).toEqual({ frames: 3 });
      expect(read.find(state('b', { level: 'quick' }))).toEqual({ reason: 'it is "bad"\n' });
      expect(read.find(state('b'))).toBeUndefined();
      expect(read.find(state('c'))).toBeUndefined();
      for (const change of [{ size: 8 }, { modified: 2 }, { numbering: '{:d}.png from 0' }]) {
        expect(read.find(state('a', change))).toBeUndefined();
      }
      await read.close();
      const fresh = await openJournal(file, true);
      expect(fresh.find(state('a'))).toBeUndefined();
      await fresh.close();
    });
  });

  it('drops a line that was cut off, wherever, and passes over what is none of its lines', async () => {
    await withFolder(async (folder) => {
      const file = path.join(folder, 'journal');
      const line = (clip: string): string => `${JSON.stringify({ ...state(clip), frames: 2 })}\n`;
      const torn = Buffer.from(line('Ü'));
      for (let length = 0; length < torn.length; length++) {
        await writeFile(file, `${line('é')}{"path": 5}\nnull\n`);
        await appendFile(file, torn.subarray(0, length));
        const journal = await openJournal(file, false);
        expect(journal.find(state('é'))).toEqual({ frames: 2 });
        expect(journal.find(state('Ü'))).toBeUndefined();
        await journal.add(state('b'), { frames: 4 });
        await journal.close();
        expect((await readFile(file, 'utf8')).split('\n')).toEqual([
          line('é').trim(),
          '{"path": 5}',
          'null',
          JSON.stringify({ ...state('b'), frames: 4 }),
          '',
        ]);
      }
    });
  });
});

describe('the listing of a folder', () => {
  it('finds videos and folders of frames, follows links but not in circles, and passes hidden names over', async () => {
    await withFolder(async (folder) => {
      await writeFiles(folder, {
        'data/run/a.MP4': '',
        'data/run/.a.mp4': '',
        'data/run/notes.txt': '',
        'data/walk/frames/1.jpg': '',
        'data/walk/frames/2.jpg': '',
        'data/walk/cover.jpg': '',
        'data/.hidden/a.mp4': '',
        'data/lists/train.csv': '',
        'data/out/train.csv': '',
        'elsewhere/b.webm': '',
      });
      await symlink(path.join(folder, 'elsewhere'), path.join(folder, 'data', 'linked'));
      await symlink(path.join(folder, 'data'), path.join(folder, 'elsewhere', 'back'));
      await symlink(path.join(folder, 'gone'), path.join(folder, 'data', 'run', 'gone.avi'));
      const listing = await listFolder(path.join(folder, 'data'), { exclude: path.join(folder, 'data', 'out') });
      expect(listing.clips).toEqual([
        { path: 'linked/b.webm', kind: 'video' },
        { path: 'run/a.MP4', kind: 'video' },
        { path: 'run/gone.avi', kind: 'video' },
        { path: 'walk/frames', kind: 'frames' },
      ]);
      expect(listing.annotationFiles).toEqual(['lists/train.csv']);
      expect(listing.others).toBe(2);
    });
  });

  it('of what is no folder is an error', async () => {
    await withFolder(async (folder) => {
      const file = path.join(folder, 'file');
      await writeFile(file, '');
      expect(await rejection(listFolder(file))).toBe(
        `DataError: ${file}: it is no folder; check the path and its permissions`,
      );
      await rm(file);
      await mkdir(file);
      expect((await listFolder(file)).clips).toEqual([]);
    });
  });
});

describe('the numbering of frames', () => {
  it.each([
    [['img_00001.jpg', 'img_00002.jpg', 'flow_x_00001.jpg'], 'img_{:05d}.jpg', 1],
    [['frame0.png', 'frame9.png', 'frame10.png'], 'frame{:d}.png', 0],
    [['00001.jpg', '00002.jpg'], '{:05d}.jpg', 1],
    [['clip2_0007.jpg', 'clip2_0008.jpg'], 'clip2_{:04d}.jpg', 7],
    [['099.jpg', '100.jpg', '1000.jpg'], '{:03d}.jpg', 99],
  ])('of %j is %s from %i', (names, imageTemplate, indexBias) => {
    expect(numberingOf(names)).toEqual({ imageTemplate, indexBias });
    const fitting = names.filter((name) => !name.startsWith('flow')).length;
    expect(numberedFiles([...names, 'cover.jpg', 'img_1.jpg'], { imageTemplate, indexBias })).toBe(fitting);
  });

  it('of names without numbers is not known', () => {
    expect(numberingOf(['cover.jpg', 'a{1}.jpg'])).toBeUndefined();
  });
});

describe('a division by lot', () => {
  const clip = (name: string, label: string, group = ''): LabelledClip => ({
    path: name,
    kind: 'video',
    label,
    group,
    split: '',
  });

  it('keeps its share in every class, and a clip on both sides where there are two', () => {
    const sizes = [1, 2, 3, 10, 100];
    const clips = sizes.flatMap((size) => Array.from({ length: size }, (_, at) => clip(`${size}/${at}`, `${size}`)));
    const held = divide(clips, 0.2, 5).filter(({ split }) => split === 'val');
    expect(sizes.map((size) => held.filter(({ label }) => label === `${size}`).length)).toEqual([0, 1, 1, 2, 20]);
    expect(
      divide([...clips].reverse(), 0.2, 5)
        .filter(({ split }) => split === 'val')
        .reverse(),
    ).toEqual(held);
    expect(divide(clips, 0, 5).every(({ split }) => split === 'train')).toBe(true);
    expect(divide(clips, 1, 5).every(({ split }) => split === 'val')).toBe(true);
  });

  it('never parts a group', () => {
    const clips = Array.from({ length: 60 }, (_, at) => clip(`${at}`, `${at % 4}`, `person ${at % 10}`));
    const divided = divide(clips, 0.3, 1);
    const groups = (side: string): Set<string> =>
      new Set(divided.filter(({ split }) => split === side).map((c) => c.group));
    expect(groups('val').size).toBe(3);
    expect([...groups('val')].filter((group) => groups('train').has(group))).toEqual([]);
  });
});
