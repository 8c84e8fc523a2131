// The pre-training set: captions that say what is seen, and a set that is whole, the same for a seed, and reused.
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readClipList, readLabels } from '../../../packages/actionclip/src/data/lists.ts';
import { renderPair } from '../../../packages/actionclip/src/synthetic/pair.ts';
import { generatePairDataset } from '../../../packages/actionclip/src/synthetic/pair-dataset.ts';

const pairs = Array.from({ length: 80 }, (_, seed) => renderPair(seed, 24, 0));

describe('a pair', () => {
  it('is the same for the same seed, and another for another', () => {
    expect(renderPair(3, 24, 0)).toEqual(pairs[3]);
    expect(renderPair(4, 24, 0)).not.toEqual(pairs[3]);
  });

  it('says number, colours, posture and wall', () => {
    const person = /in a \w+ shirt and \w+ trousers [\w ]+/;
    const form = new RegExp(
      `^(a person ${person.source}|two people, one ${person.source} and one ${person.source}), before a \\w+ wall$`,
    );
    for (const { caption } of pairs) expect(caption).toMatch(form);
    expect(pairs.some(({ caption }) => caption.startsWith('two people'))).toBe(true);
    expect(pairs.some(({ caption }) => caption.startsWith('a person'))).toBe(true);
  });

  it('shows the colour of a shirt that it names', () => {
    const redness = ({ image: { data } }: (typeof pairs)[number]): number => {
      let count = 0;
      for (let i = 0; i < data.length; i += 3) {
        const [red = 0, green = 0, blue = 0] = data.subarray(i, i + 3);
        if (red > 120 && green < 70 && blue < 70) count++;
      }
      return count;
    };
    const mean = (list: readonly number[]): number => list.reduce((a, b) => a + b, 0) / list.length;
    const red = pairs.filter(({ caption }) => caption.includes('red shirt'));
    const others = pairs.filter(({ caption }) => !caption.includes(' red '));
    expect(mean(red.map(redness))).toBeGreaterThan(3 * mean(others.map(redness)));
  });
});

describe('generatePairDataset', () => {
  const small = { trainPairs: 12, valPairs: 5, size: 24 };
  let parent: string;
  beforeEach(async () => {
    parent = await mkdtemp(path.join(tmpdir(), 'actionclip-pairs-'));
  });
  afterEach(() => rm(parent, { recursive: true, force: true }));

  it('gives each caption a class, and finds an equal set again', async () => {
    const folder = path.join(parent, 'pairs');
    const dataset = await generatePairDataset(folder, small);
    expect(dataset.reused).toBe(false);
    const captions = await readLabels(dataset.labelFile);
    expect(new Set(captions).size).toBe(captions.length);
    const train = await readClipList(dataset.trainList, { root: dataset.root, classCount: captions.length });
    expect(train).toHaveLength(12);
    expect(new Set(train.map(({ label }) => label)).size).toBe(captions.length);
    const held = await readLabels(dataset.valLabelFile);
    expect(new Set(held).size).toBe(5);
    for (const clip of train) expect(await readdir(clip.path)).toEqual(['img_00001.jpg']);
    expect((await generatePairDataset(folder, small)).reused).toBe(true);
    expect((await generatePairDataset(folder, { ...small, valPairs: 4 })).reused).toBe(false);
    expect(await readdir(parent)).toEqual(['pairs']);
  });

  it('writes the same captions for the same seed and others for another', async () => {
    const captions = async (name: string, seed: number): Promise<string> =>
      readFile((await generatePairDataset(path.join(parent, name), { ...small, seed })).labelFile, 'utf8');
    const first = await captions('a', 1);
    expect(await captions('b', 1)).toBe(first);
    expect(await captions('c', 2)).not.toBe(first);
  });

  it("refuses options out of range, and a folder with somebody else's files", async () => {
    await expect(generatePairDataset(path.join(parent, 'x'), { trainPairs: 0 })).rejects.toThrow(/trainPairs is 0/);
    await writeFile(path.join(parent, 'thesis.txt'), 'words');
    await expect(generatePairDataset(parent, small)).rejects.toThrow(/other files/);
  });
});
