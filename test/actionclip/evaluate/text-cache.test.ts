// Text features that are kept: by content, on disk, bounded, and never trusted when damaged.

import { copyFile, mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type Device, Generator, openDevice, setDefaultDevice } from '@actionclip/tensor';
import { trainBytePairs } from '@actionclip/tokenizer';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { FeatureEncoder } from '../../../packages/actionclip/src/evaluate/features.ts';
import { promptTokens } from '../../../packages/actionclip/src/evaluate/prompt-tokens.ts';
import { cachedPrompts, promptKey, textSpace } from '../../../packages/actionclip/src/evaluate/text-cache.ts';
import { openFileTextCache, rememberedTextSpace } from '../../../packages/actionclip/src/evaluate/text-cache-files.ts';
import { ActionCLIP } from '../../../packages/actionclip/src/model/action-clip.ts';

const tokenizer = trainBytePairs(['raising one arm'], { vocabularySize: 520 });
const sizes = {
  embedding: 8,
  vision: { resolution: 8, patch: 4, width: 8, layers: 1, heads: 1 },
  text: { context: 32, vocabulary: 600, width: 16, layers: 1, heads: 2 },
};
const modelOf = (seed: number): Promise<ActionCLIP> =>
  new ActionCLIP({ sizes, frames: 2, temporal: 'meanP', generator: new Generator(seed) }).initialize();
const templates = ['{}', 'a video of {}'];
const tokensOf = (...labels: string[]) => promptTokens(labels, tokenizer, sizes.text.context, templates);

const space = 'a'.repeat(64);
const row = (...values: number[]): Float32Array => Float32Array.from(values);

let device: Device;
let folder = '';
beforeAll(async () => {
  device = await openDevice('wasm', { threads: 1, engineFlags: false });
  setDefaultDevice(device);
});
afterAll(() => device.close());
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'text-cache-'));
});
afterEach(() => rm(folder, { recursive: true }));

const pieces = async (): Promise<string[]> => (await readdir(folder)).filter((name) => name.endsWith('.safetensors'));

describe('cached prompts', () => {
  it('are those that the model gives, and only what is missing is encoded', async () => {
    const model = await modelOf(1);
    const encoder = new FeatureEncoder(model);
    const texts = { cache: openFileTextCache({ folder }), space: await textSpace(model) };
    const counts: number[] = [];
    const encode = (...labels: string[]) =>
      cachedPrompts(encoder, tokensOf(...labels), { texts, onEncoded: ({ prompts }) => counts.push(prompts) });
    const plain = await encoder.prompts(tokensOf('yoga', 'running fast'));
    const first = await encode('yoga', 'running fast');
    expect(counts).toEqual([4]);
    expect([first.templates, first.classes, first.width]).toEqual([2, 2, 8]);
    for (const [i, value] of plain.rows.entries()) expect(first.rows[i]).toBeCloseTo(value, 5);
    const again = await encode('running fast', 'yoga');
    expect(counts).toEqual([4]);
    const rowOf = (features: typeof first, at: number) => [...features.rows.subarray(at * 8, (at + 1) * 8)];
    expect([0, 1, 2, 3].map((at) => rowOf(again, at))).toEqual([1, 0, 3, 2].map((at) => rowOf(first, at)));
    const more = await encode('yoga', 'a much longer label', 'running fast');
    expect(counts).toEqual([4, 2]);
    expect(rowOf(more, 0)).toEqual(rowOf(first, 0));
    expect(rowOf(more, 5)).toEqual(rowOf(first, 3));
    await encode('yoga', 'yoga');
    expect(counts).toEqual([4, 2]);
  });

  it('need no cache, and stop where they are told to', async () => {
    const encoder = new FeatureEncoder(await modelOf(1));
    expect((await cachedPrompts(encoder, tokensOf('yoga'))).rows).toHaveLength(16);
    await expect(cachedPrompts(encoder, tokensOf('yoga'), { signal: AbortSignal.abort() })).rejects.toThrow();
  });
});

describe('the space of a model', () => {
  it('is that of its text tower alone, and of every value in it', async () => {
    const [model, same, other] = [await modelOf(1), await modelOf(1), await modelOf(2)];
    const own = await textSpace(model);
    expect(own).toMatch(/^[0-9a-f]{64}$/);
    expect(await textSpace(same)).toBe(own);
    expect(await textSpace(other)).not.toBe(own);
    const state = await model.stateDict();
    const changed = async (name: string): Promise<string> => {
      const tensor = state.get(name);
      if (tensor === undefined) throw new Error(name);
      const data = Float32Array.from(tensor.data as Float32Array);
      data[data.length - 1] = (data[data.length - 1] ?? 0) + 1e-6;
      same.loadStateDict(new Map([...state, [name, { ...tensor, data }]]));
      return textSpace(same);
    };
    const names = [...state.keys()];
    const moved: string[] = [];
    for (const name of names) if ((await changed(name)) !== own) moved.push(name);
    expect(moved).toEqual(names.filter((name) => !/^visual\.|^logit_scale$/.test(name)));
  });

  it('is remembered for a file until anything is written to it', async () => {
    const weights = path.join(folder, 'weights');
    await writeFile(weights, 'one');
    const [model, other] = [await modelOf(1), await modelOf(2)];
    const own = await rememberedTextSpace(model, weights, { folder });
    expect(own).toBe(await textSpace(model));
    // The file is the same, so the model is not looked at.
    expect(await rememberedTextSpace(other, weights, { folder })).toBe(own);
    await writeFile(weights, 'two');
    await utimes(weights, 1, 1);
    expect(await rememberedTextSpace(other, weights, { folder })).toBe(await textSpace(other));
    await copyFile(weights, `${weights}.copy`);
    expect(await rememberedTextSpace(model, `${weights}.copy`, { folder })).toBe(own);
    expect(await rememberedTextSpace(other, path.join(folder, 'absent'), { folder })).toBe(await textSpace(other));
  });
});

describe('a prompt', () => {
  it('is its tokens up to the end token', () => {
    expect(promptKey(Int32Array.of(598, 7, 0, 599, 0, 0))).toBe('598,7,0,599');
    expect(promptKey(Int32Array.of(598, 7, 0, 599))).toBe('598,7,0,599');
  });
});

describe('the files of the cache', () => {
  it('give back what was put, of its own space only, and survive keys that are not there', async () => {
    const cache = openFileTextCache({ folder: path.join(folder, 'deep', 'er') });
    expect(await cache.get(space, ['1,2'])).toEqual(new Map());
    await cache.put(
      space,
      new Map([
        ['1,2', row(1, 2)],
        ['1,0,3', row(3, 4)],
      ]),
    );
    await cache.put('b'.repeat(64), new Map([['1,2', row(5, 6)]]));
    expect(await cache.get(space, ['1,0,3', '9', '1,2'])).toEqual(
      new Map([
        ['1,2', row(1, 2)],
        ['1,0,3', row(3, 4)],
      ]),
    );
    expect(await cache.get('b'.repeat(64), ['1,2', '1,0,3'])).toEqual(new Map([['1,2', row(5, 6)]]));
  });

  it('are ignored and removed where damaged, and left alone where foreign', async () => {
    const cache = openFileTextCache({ folder });
    const rows = new Map([['1,2', row(1, 2)]]);
    await cache.put(space, rows);
    const [name = ''] = await pieces();
    const file = path.join(folder, name);
    const bytes = await readFile(file);
    for (const damage of [bytes.subarray(0, 40), Buffer.from(bytes).fill(0x55, bytes.length - 4), Buffer.alloc(0)]) {
      await writeFile(file, damage);
      expect(await cache.get(space, ['1,2'])).toEqual(new Map());
      expect(await pieces()).toEqual([]);
      await cache.put(space, rows);
      expect(await cache.get(space, ['1,2'])).toEqual(rows);
    }
    const foreign = path.join(folder, 'notes.safetensors');
    await writeFile(foreign, 'mine');
    const small = openFileTextCache({ folder, limitFiles: 1 });
    await small.put(space, new Map([['1,9', row(7, 8)]]));
    expect(await small.get(space, ['1,9'])).toEqual(new Map([['1,9', row(7, 8)]]));
    expect(await readFile(foreign, 'utf8')).toBe('mine');
  });

  it('are bounded in bytes and number: what was not used for longest goes', async () => {
    const cache = openFileTextCache({ folder, limitFiles: 3 });
    for (const [at, key] of ['1', '2', '3'].entries()) {
      await cache.put(space, new Map([[key, row(at, at)]]));
      for (const name of await pieces()) {
        const bytes = await readFile(path.join(folder, name));
        if (bytes.includes(Buffer.from(row(at, at).buffer))) await utimes(path.join(folder, name), at + 1, at + 1);
      }
    }
    await cache.get(space, ['1']);
    await cache.put(space, new Map([['4', row(9, 9)]]));
    expect([...(await cache.get(space, ['1', '2', '3', '4'])).keys()].sort()).toEqual(['1', '3', '4']);
    await openFileTextCache({ folder, limitBytes: 1 }).put(space, new Map([['5', row(5, 5)]]));
    expect(await pieces()).toEqual([]);
  });

  it('may be impossible to write: then it is said, and nothing fails', async () => {
    const blocked = path.join(folder, 'file');
    await writeFile(blocked, '');
    const problems: string[] = [];
    const cache = openFileTextCache({ folder: blocked, onProblem: (message) => problems.push(message) });
    await cache.put(space, new Map([['1', row(1)]]));
    expect(problems).toEqual([expect.stringContaining('Text features are not kept for the next time')]);
    expect(await cache.get(space, ['1'])).toEqual(new Map());
  });
});
