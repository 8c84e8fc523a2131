// The built-in data set on disk: its layout, its reuse, and that it is whole or not there.
import { execFile } from 'node:child_process';
import { access, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import sharp from 'sharp';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readClipList, readLabels } from '../../../packages/actionclip/src/data/lists.ts';
import { generateActionDataset } from '../../../packages/actionclip/src/synthetic/dataset.ts';

const small = {
  size: 24,
  frames: [4, 7] as const,
  trainClips: 3,
  valClips: 2,
  zeroShotClips: 1,
  labels: ['sitting down', 'standing up', 'waving one arm'],
  zeroShotLabels: ['waving both arms', 'jumping jacks'],
};

let parent: string;
let folder: string;

beforeEach(async () => {
  parent = await mkdtemp(path.join(tmpdir(), 'actionclip-synthetic-'));
  folder = path.join(parent, 'nested', 'actions');
});
afterEach(() => rm(parent, { recursive: true, force: true }));

async function contents(root: string): Promise<Map<string, string>> {
  const names = await readdir(root, { recursive: true, withFileTypes: true });
  const files = names.filter((entry) => entry.isFile()).map((entry) => path.join(entry.parentPath, entry.name));
  const pairs = await Promise.all(
    files.map(async (file): Promise<[string, string]> => [path.relative(root, file), await readFile(file, 'base64')]),
  );
  return new Map(pairs.toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

describe('generateActionDataset', () => {
  it("writes Kinetics' layout: lists, labels and as many frames as the lists say", async () => {
    const dataset = await generateActionDataset(folder, small);
    expect(dataset.reused).toBe(false);
    expect(dataset.orderedPairs).toEqual([['sitting down', 'standing up']]);
    expect(await readLabels(dataset.labelFile)).toEqual(small.labels);
    expect(await readLabels(dataset.zeroShotLabelFile)).toEqual(small.zeroShotLabels);
    const lists = [
      { file: dataset.trainList, classes: 3, perClass: 3 },
      { file: dataset.valList, classes: 3, perClass: 2 },
      { file: dataset.zeroShotList, classes: 2, perClass: 1 },
    ];
    for (const { file, classes, perClass } of lists) {
      expect((await readFile(file, 'utf8')).split('\n')[0]).toMatch(/^\S+ \d+ \d+$/);
      const clips = await readClipList(file, { root: dataset.root, classCount: classes });
      expect(clips.map(({ label }) => label)).toEqual(
        Array.from({ length: classes }, (_, label) => Array<number>(perClass).fill(label)).flat(),
      );
      for (const clip of clips) {
        const frames = (await readdir(clip.path)).toSorted();
        expect(frames).toHaveLength(clip.frames ?? -1);
        expect(frames[0]).toBe('img_00001.jpg');
        expect(frames.at(-1)).toBe(`img_0000${clip.frames}.jpg`);
        const { format, width, height } = await sharp(path.join(clip.path, 'img_00001.jpg')).metadata();
        expect([format, width, height]).toEqual(['jpeg', 24, 24]);
      }
    }
  });

  it('writes the same bytes for the same seed and others for another', async () => {
    const [a, b, c] = ['a', 'b', 'c'].map((name) => path.join(parent, name)) as [string, string, string];
    await generateActionDataset(a, { ...small, seed: 4 });
    await generateActionDataset(b, { ...small, seed: 4 });
    await generateActionDataset(c, { ...small, seed: 5 });
    const [first, second, third] = [await contents(a), await contents(b), await contents(c)];
    expect(second).toEqual(first);
    const frame = path.join('train', 'sitting_down', 'clip_0001', 'img_00001.jpg');
    expect(first.get(frame)).toBeDefined();
    expect(third.get(frame)).not.toBe(first.get(frame));
  });

  it('draws no clip twice, in or across the splits', async () => {
    await generateActionDataset(folder, small);
    const firstFrames = [...(await contents(folder))].filter(([name]) => name.endsWith('img_00001.jpg'));
    expect(firstFrames).toHaveLength(3 * 3 + 3 * 2 + 2);
    expect(new Set(firstFrames.map(([, bytes]) => bytes)).size).toBe(firstFrames.length);
  });

  it('finds an equal data set again without drawing, and replaces one with other options', async () => {
    await generateActionDataset(folder, small);
    const before = await stat(path.join(folder, 'dataset.json'));
    const calls: number[] = [];
    const again = await generateActionDataset(folder, small, ({ clips }) => calls.push(clips));
    expect(again.reused).toBe(true);
    expect(calls).toEqual([]);
    expect((await stat(path.join(folder, 'dataset.json'))).mtimeMs).toBe(before.mtimeMs);
    const other = await generateActionDataset(folder, { ...small, valClips: 1 });
    expect(other.reused).toBe(false);
    expect(await readClipList(other.valList)).toHaveLength(3);
    expect(await readdir(path.dirname(folder))).toEqual(['actions']);
  });

  it('draws again what lost a frame folder', async () => {
    const { root } = await generateActionDataset(folder, small);
    await rm(path.join(root, 'val', 'standing_up', 'clip_0002'), { recursive: true });
    expect((await generateActionDataset(folder, small)).reused).toBe(false);
    await access(path.join(root, 'val', 'standing_up', 'clip_0002', 'img_00001.jpg'));
  });

  it('leaves nothing behind when it is interrupted, and is whole after the next run', async () => {
    const interrupted = generateActionDataset(folder, small, ({ clips }) => {
      if (clips === 4) throw new Error('stopped by the caller');
    });
    await expect(interrupted).rejects.toThrow('stopped by the caller');
    expect(await readdir(path.dirname(folder))).toEqual([]);
    const dataset = await generateActionDataset(folder, small);
    expect(dataset.reused).toBe(false);
    expect(await readClipList(dataset.trainList)).toHaveLength(9);
  });

  it('removes what a killed process has left, and never takes it for whole', async () => {
    const gone = await new Promise<number>((resolve) => {
      const child = execFile(process.execPath, ['-e', ''], () => resolve(child.pid ?? 0));
    });
    await mkdir(path.join(`${folder}.partial-${gone}-1`, 'train'), { recursive: true });
    await mkdir(path.join(`${folder}.partial-${process.pid}-999`), { recursive: true });
    expect((await generateActionDataset(folder, small)).reused).toBe(false);
    expect((await readdir(path.dirname(folder))).toSorted()).toEqual(['actions', `actions.partial-${process.pid}-999`]);
  });

  it('reports every clip once, in rising numbers', async () => {
    const seen: { clips: number; totalClips: number }[] = [];
    await generateActionDataset(folder, small, (progress) => seen.push(progress));
    expect(seen).toEqual(Array.from({ length: 17 }, (_, index) => ({ clips: index + 1, totalClips: 17 })));
  });

  it("refuses a folder with somebody else's files and leaves them alone", async () => {
    await mkdir(folder, { recursive: true });
    await writeFile(path.join(folder, 'thesis.txt'), 'words');
    await expect(generateActionDataset(folder, small)).rejects.toThrow(/other files.*empty/s);
    expect(await readFile(path.join(folder, 'thesis.txt'), 'utf8')).toBe('words');
  });

  it.each([
    [{ trainClips: 0 }, /trainClips is 0.*at least 1/s],
    [{ labels: ['yodelling'] }, /"yodelling"/],
    [{ labels: ['jumping jacks'] }, /"jumping jacks" is listed twice/],
    [{ zeroShotLabels: [] }, /at least one/],
    [{ seed: NaN }, /seed/],
  ])('refuses %o before it writes anything', async (options, message) => {
    await expect(generateActionDataset(folder, { ...small, ...options })).rejects.toThrow(message);
    await expect(access(path.dirname(folder))).rejects.toThrow();
  });
});
