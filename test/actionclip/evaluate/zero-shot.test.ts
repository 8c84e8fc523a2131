// Evaluation from files of clips to figures, with small models and folders of frames.

import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type Device, openDevice, setDefaultDevice } from '@actionclip/tensor';
import { type ActionCLIP, FeatureEncoder, openFrameSource, Recognizer } from 'actionclip';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readSafetensorsFile } from '../../../packages/actionclip/src/checkpoints/files.ts';
import { ClipLoader } from '../../../packages/actionclip/src/data/loader.ts';
import {
  joinLists,
  selectFromLists,
  selectFromTable,
} from '../../../packages/actionclip/src/evaluate/clip-selection.ts';
import { halfOfClasses } from '../../../packages/actionclip/src/evaluate/protocols.ts';
import { writeScores } from '../../../packages/actionclip/src/evaluate/scores-file.ts';
import type { TextCache } from '../../../packages/actionclip/src/evaluate/text-cache.ts';
import { evaluateZeroShot } from '../../../packages/actionclip/src/evaluate/zero-shot.ts';
import { rejection, withFolder } from '../data/shared-clips.ts';
import { labels, smallModel, tokenizer, writePictures } from '../recognize/sources.ts';

const templates = ['{}', 'a video of {}'];
const source = { imageTemplate: 'img_{:05d}.png' };

let device: Device;
let model: ActionCLIP;
let folder = '';
beforeAll(async () => {
  device = await openDevice('wasm', { threads: 1, engineFlags: false });
  setDefaultDevice(device);
  model = await smallModel();
  folder = await mkdtemp(path.join(tmpdir(), 'zero-shot-'));
  for (const [at, name] of ['one', 'two', 'three', 'four'].entries()) {
    await mkdir(path.join(folder, name));
    await writePictures(path.join(folder, name), 5 + at, 24 + 8 * at, 24);
  }
  await mkdir(path.join(folder, 'empty'));
});
afterAll(async () => {
  await device.close();
  await rm(folder, { recursive: true });
});

const clip = (name: string, label: number) => ({ path: path.join(folder, name), label });
const entries = () => [clip('one', 0), clip('two', 1), clip('three', 2), clip('four', 3)];
const common = () => ({ tokenizer, labels, templates, source, entries: entries() });

describe('evaluation of a model', () => {
  it('counts each clip that can be read, and names the others', async () => {
    const all = await evaluateZeroShot(model, common());
    expect([...all.full.indices]).toEqual([0, 1, 2, 3]);
    expect(all.broken).toEqual([]);
    const [one, two, ...rest] = entries();
    if (one === undefined || two === undefined) throw new Error('no entries');
    const given = { ...common(), entries: [clip('absent', 4), one, clip('empty', 0), two, ...rest], batchSize: 3 };
    const some = await evaluateZeroShot(model, given);
    expect([...some.full.labels]).toEqual([0, 1, 2, 3]);
    expect([...some.full.indices]).toEqual([1, 3, 4, 5]);
    expect(some.broken.map(({ index }) => index)).toEqual([0, 2]);
    expect(some.broken[0]?.error.message).toContain(path.join(folder, 'absent'));
    expect(some.full.top1).toBe(all.full.top1);
    expect([...Array.from(some.full.scores.scores)].map((p) => p.toFixed(5))).toEqual(
      [...Array.from(all.full.scores.scores)].map((p) => p.toFixed(5)),
    );
  });

  it('of clips that all are broken is an error that says why', async () => {
    const given = { ...common(), entries: [clip('absent', 0)] };
    expect(await rejection(evaluateZeroShot(model, given))).toMatch(
      /^DataError: The only clip cannot be read, because of .*absent/,
    );
  });

  it('stops where it is told to', async () => {
    const stop = new AbortController();
    const given = { ...common(), batchSize: 1, signal: stop.signal, onProgress: () => stop.abort() };
    expect(await rejection(evaluateZeroShot(model, given))).toMatch(/^InterruptedError/);
  });

  it('gives the same with text features of earlier runs', async () => {
    const rows = new Map<string, Float32Array>();
    const asked: number[] = [];
    const cache: TextCache = {
      get: async (space, keys) => {
        asked.push(keys.filter((key) => rows.has(space + key)).length);
        return new Map(
          keys.flatMap((key) => (rows.has(space + key) ? [[key, rows.get(space + key) ?? new Float32Array()]] : [])),
        );
      },
      put: async (space, given) => {
        for (const [key, row] of given) rows.set(space + key, row);
      },
    };
    const first = await evaluateZeroShot(model, { ...common(), texts: { cache, space: 's' } });
    const second = await evaluateZeroShot(model, { ...common(), texts: { cache, space: 's' } });
    expect(asked).toEqual([0, labels.length * templates.length]);
    expect(second.full).toEqual(first.full);
  });

  it('follows each protocol', async () => {
    const halves = (await evaluateZeroShot(model, { ...common(), protocol: { kind: 'half-classes', seeds: [0, 3] } }))
      .halves;
    expect(halves?.parts.map(({ chosen }) => chosen)).toEqual([0, 3].map((seed) => halfOfClasses(5, seed)));
    expect(halves?.parts.every(({ scores }) => scores.classes === 2)).toBe(true);
    const splits = (
      await evaluateZeroShot(model, {
        ...common(),
        protocol: {
          kind: 'splits',
          splits: [
            [0, 1],
            [1, 2, 3],
          ],
        },
      })
    ).splits;
    expect(splits?.parts.map(({ labels: own }) => [...own])).toEqual([
      [0, 1],
      [1, 2, 3],
    ]);
    const { baseToNovel } = await evaluateZeroShot(model, {
      ...common(),
      protocol: { kind: 'base-to-novel', base: [0, 1], novel: [2, 3, 4] },
    });
    expect([baseToNovel?.base.labels.length, baseToNovel?.novel.scores.classes]).toEqual([2, 3]);
  });
});

describe('views of a clip', () => {
  it('are those that recognition takes of a video, in the same order', async () => {
    const views = { clips: 2, crops: 3 } as const;
    const loader = new ClipLoader(
      {
        entries: entries(),
        sampling: { segments: 4, randomShift: false },
        pipeline: { kind: 'evaluation', inputSize: 16 },
        views,
        source,
      },
      { batchSize: 2 },
    );
    const features = await new FeatureEncoder(model).clips(loader, 4);
    expect([features.views, features.rows.length]).toEqual([6, 4 * 6 * 16]);
    const recognizer = new Recognizer(model, tokenizer);
    for (const [at, { path: file }] of entries().entries()) {
      const opened = await openFrameSource(file, source);
      const { windows } = await recognizer.embedVideo(opened, views);
      const own = features.rows.subarray(at * 96, (at + 1) * 96);
      expect(windows[0]?.views.rows).toHaveLength(96);
      for (const [i, value] of windows[0]?.views.rows.entries() ?? []) expect(own[i]).toBeCloseTo(value, 4);
    }
  });

  it('of one place and one square are plain evaluation', async () => {
    const plain = await evaluateZeroShot(model, common());
    const one = await evaluateZeroShot(model, { ...common(), views: { clips: 1, crops: 1 } });
    expect(one.full).toEqual(plain.full);
  });

  it('are not of training', () => {
    const pipeline = { kind: 'training', inputSize: 16 } as const;
    const dataset = {
      entries: entries(),
      sampling: { segments: 4, randomShift: true },
      pipeline,
      views: { clips: 2, crops: 1 },
    } as const;
    expect(() => new ClipLoader(dataset, { batchSize: 1 })).toThrow('views are of evaluation');
  });
});

describe('the clips of an evaluation', () => {
  it('are those of all lists, each once, with the places of each list', async () => {
    await withFolder(async (at) => {
      const file = async (name: string, text: string): Promise<string> => {
        await writeFile(path.join(at, name), text);
        return path.join(at, name);
      };
      const lists = [await file('1.txt', 'run/a 0\nkick/b 1\n'), await file('2.txt', 'kick/b 1\nrun/c 0\nkick/b 1\n')];
      const labelsFile = await file('labels.csv', 'id,name\n0,kick\n1,run\n');
      const asListed = await selectFromLists({ lists, labelsFile, root: '/data' });
      expect(asListed.entries.map((entry) => [entry.path, entry.label])).toEqual([
        [path.join('/data', 'run/a'), 0],
        [path.join('/data', 'kick/b'), 1],
        [path.join('/data', 'run/c'), 0],
      ]);
      expect(asListed.splits.map(({ places }) => places)).toEqual([
        [0, 1],
        [1, 2],
      ]);
      expect([asListed.repeats, asListed.order?.kind]).toEqual([1, 'moved']);
      const mapped = await selectFromLists({ lists, labelsFile, mapOrder: true });
      expect(mapped.entries.map(({ label }) => label)).toEqual([1, 0, 1]);
    });
  });

  it('have one class each', () => {
    const lists = [
      { name: '1.txt', entries: [{ path: 'a', label: 0 }] },
      { name: '2.txt', entries: [{ path: 'a', label: 3 }] },
    ];
    expect(() => joinLists(lists)).toThrow(
      '2.txt: a is of class 3 here and of class 0 elsewhere; correct one of the lines',
    );
  });

  it('are the held-out ones of a table unless a split is named', async () => {
    await withFolder(async (at) => {
      const table = path.join(at, 'table.csv');
      await writeFile(table, 'path,label,text,split\na,run,a person running,train\nb,walk,,test\nc,run,,val\n');
      const heldOut = await selectFromTable({ table });
      expect(heldOut.entries.map((entry) => path.basename(entry.path))).toEqual(['b', 'c']);
      expect(heldOut.labels).toEqual(['a person running', 'walk']);
      expect((await selectFromTable({ table, split: 'train' })).entries).toHaveLength(1);
      expect(await rejection(selectFromTable({ table, split: 'tset' }))).toBe(
        `DataError: ${table}: no clip has the split "tset"; the table has train, test, val`,
      );
      await writeFile(table, 'path,label\na,run\n');
      expect((await selectFromTable({ table })).splits).toEqual([{ name: 'all clips', places: [0] }]);
    });
  });
});

describe('scores of every clip', () => {
  it('are written for tables and for programs', async () => {
    const { full } = await evaluateZeroShot(model, common());
    await withFolder(async (at) => {
      const names = labels.map((label, i) => (i === 0 ? `${label}, high` : label));
      await writeScores(path.join(at, 's.csv'), full, names, entries());
      const [head, first] = (await readFile(path.join(at, 's.csv'), 'utf8')).split('\n');
      expect(head).toBe(`path,label,predicted,"${names[0]}",${names.slice(1).join(',')}`);
      expect(first?.startsWith(`${path.join(folder, 'one')},"${names[0]}",`)).toBe(true);
      expect(Number(first?.split(',').at(-1))).toBe(full.scores.scores[4]);
      await writeScores(path.join(at, 's.safetensors'), full, names, entries());
      const { tensors, metadata } = await readSafetensorsFile(path.join(at, 's.safetensors'));
      expect(tensors.get('scores')).toEqual({ dtype: 'f64', shape: [4, 5], data: full.scores.scores });
      expect(tensors.get('labels')?.data).toEqual(Int32Array.of(0, 1, 2, 3));
      expect(JSON.parse(metadata.get('classes') ?? '')).toEqual(names);
      expect(JSON.parse(metadata.get('paths') ?? '')).toHaveLength(4);
    });
  });
});
