import { copyFile, mkdir, mkdtemp, readdir, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { openDevice, setDefaultDevice } from '@actionclip/tensor';
import { trainBytePairs } from '@actionclip/tokenizer';
import {
  fileIdentity,
  findVideos,
  InterruptedError,
  openModel,
  Recognizer,
  readVideoIndex,
  scoreViews,
  searchIndex,
  type UpdateOptions,
  updateIndex,
  type VideoIndex,
  videoFiles,
  weightsIdentity,
  windowsOf,
  writeVideoIndex,
} from 'actionclip';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { rejection, sharedData } from '../data/shared-clips.ts';

const clip = (person: number): string => path.join(sharedData, 'weizmann4', 'bend', `subj${person}_orig.mp4`);
const templates = ['a video of {}', '{}'];
let recognizer: Recognizer;
let folder = '';

beforeAll(async () => {
  setDefaultDevice(await openDevice('wasm', { threads: 1 }));
  const tokenizer = trainBytePairs(['bending down', 'a video of'], { vocabularySize: 540 });
  const opened = await openModel(
    {
      frames: 2,
      temporal: 'meanP',
      vocabulary: tokenizer.toJSON(),
      sizes: {
        embedding: 8,
        vision: { resolution: 16, patch: 8, width: 8, layers: 1, heads: 1 },
        text: { context: 24, vocabulary: tokenizer.vocabularySize, width: 8, layers: 1, heads: 1 },
      },
    },
    1,
  );
  recognizer = new Recognizer(opened.model, opened.tokenizer);
});
afterAll(() => recognizer.close());
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'actionclip-search-'));
  await mkdir(path.join(folder, 'people'));
  await symlink(clip(1), path.join(folder, 'one.mp4'));
  await copyFile(clip(2), path.join(folder, 'people', 'two.MP4'));
  await writeFile(path.join(folder, 'people', 'broken.mp4'), 'no video');
  await writeFile(path.join(folder, 'notes.txt'), 'no video either');
  await writeFile(path.join(folder, '.hidden.mp4'), '');
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** Brings an index up to date and tells which files were read for it. */
async function update(
  earlier?: VideoIndex,
  changes: Partial<UpdateOptions> = {},
): Promise<{ index: VideoIndex; read: string[] }> {
  const read: string[] = [];
  const index = await updateIndex(await findVideos(folder), earlier, {
    root: folder,
    recognizer,
    recipe: 'a',
    onVideo: ({ path: name }) => read.push(name),
    ...changes,
  });
  return { index, read };
}

describe('an index of videos', () => {
  it('has every video below the folder once, and broken ones with the reason', async () => {
    const { index, read } = await update();
    expect(read).toEqual(['one.mp4', 'people/broken.mp4', 'people/two.MP4']);
    expect(index.videos.map((video) => [video.path, windowsOf(video).length])).toEqual([
      ['one.mp4', 1],
      ['people/broken.mp4', 0],
      ['people/two.MP4', 1],
    ]);
    expect(index.videos[1]).toMatchObject({ broken: expect.stringMatching(/broken\.mp4: .*; /) });
    expect(index.features).toHaveLength(2 * 8);
  });

  it('comes back from the disk as it was written', async () => {
    const { index } = await update(undefined, { views: { window: 1, stride: 0.5 } });
    const file = path.join(folder, 'index.safetensors');
    await writeVideoIndex(file, index);
    expect(await readVideoIndex(file)).toEqual(index);
    expect(await readVideoIndex(path.join(folder, 'none'))).toBeUndefined();
    expect(windowsOf(index.videos[0] as VideoIndex['videos'][number]).length).toBeGreaterThan(2);
  });

  it('reads only what is new or has changed, and forgets what is gone', async () => {
    const first = await update();
    expect((await update(first.index)).read).toEqual([]);
    const two = path.join(folder, 'people', 'two.MP4');
    const { atimeMs, mtimeMs } = await stat(two);
    await utimes(two, atimeMs / 1000, mtimeMs / 1000 + 10);
    await copyFile(clip(3), path.join(folder, 'people', 'three.mp4'));
    await rm(path.join(folder, 'one.mp4'));
    const { index, read } = await update(first.index);
    expect(read).toEqual(['people/three.mp4', 'people/two.MP4']);
    expect(index.videos.map(({ path: name }) => name)).toEqual([
      'people/broken.mp4',
      'people/three.mp4',
      'people/two.MP4',
    ]);
    expect(index).toEqual((await update()).index);
  });

  it('is made anew where the features depend on something else', async () => {
    const { index } = await update();
    expect((await update(index, { recipe: 'b' })).read).toHaveLength(3);
  });

  it('keeps what was read before it was stopped', async () => {
    const stop = new AbortController();
    let part: VideoIndex | undefined;
    const stopped = update(undefined, {
      signal: stop.signal,
      onVideo: () => stop.abort(),
      onPart: async (index) => {
        part = index;
      },
    });
    await expect(stopped).rejects.toBeInstanceOf(InterruptedError);
    expect(part?.videos.map(({ path: name }) => name)).toEqual(['one.mp4']);
    expect((await update(part)).read).toEqual(['people/broken.mp4', 'people/two.MP4']);
  });

  it('of another kind or damaged is refused by name', async () => {
    const file = path.join(folder, 'index.safetensors');
    await writeFile(file, 'something else entirely');
    expect(await rejection(readVideoIndex(file))).toMatch(/^CheckpointError: .*index\.safetensors: .*; /);
    const { index } = await update();
    await writeVideoIndex(file, { ...index, features: index.features.slice(8) });
    expect(await rejection(readVideoIndex(file))).toMatch(/^CheckpointError: .*not an index of videos; /);
  });

  it('is searched by the similarity of a text, as the recognizer has it', async () => {
    const { index } = await update();
    const text = await recognizer.embedLabels(['bending down'], { templates });
    const hits = searchIndex(index, text, 10);
    expect(hits.map(({ path: name }) => name).sort()).toEqual(['one.mp4', 'people/two.MP4']);
    expect(hits[0]?.similarity).toBeGreaterThanOrEqual(hits[1]?.similarity ?? 0);
    expect(searchIndex(index, text, 1)).toEqual(hits.slice(0, 1));
    for (const { path: name, similarity } of hits) {
      const [video] = videoFiles([path.join(folder, name)]);
      if (video === undefined) throw new Error('one video was expected');
      const outcome = await recognizer.embed(video);
      if ('error' in outcome) throw outcome.error;
      // With the mean over frames and one clip, the video's row is the unit mean of what its frames were.
      const { rows } = outcome.embedding.windows[0]?.views ?? { rows: new Float32Array() };
      const { sampled } = scoreViews(
        {
          ...outcome.embedding,
          sampled: [{ index: 0, time: 0, image: { width: 1, height: 1, data: new Uint8Array(3) }, feature: rows }],
        },
        text,
        ['bending down'],
      );
      expect(similarity).toBeCloseTo(sampled[0]?.similarities[0] ?? Number.NaN, 6);
    }
  });
});

describe('the identity of weights', () => {
  it('in shards is that of all of them together', async () => {
    const before = process.env.ACTIONCLIP_CACHE;
    process.env.ACTIONCLIP_CACHE = path.join(folder, 'cache');
    try {
      const shards = path.join(folder, 'shards');
      await mkdir(shards);
      const index = path.join(shards, 'model.safetensors.index.json');
      await writeFile(index, '{}');
      await writeFile(path.join(shards, 'model-1.safetensors'), 'one');
      await writeFile(path.join(shards, 'model-2.safetensors'), 'two');
      const whole = await weightsIdentity(shards);
      expect(await weightsIdentity(index)).toBe(whole);
      await writeFile(path.join(shards, 'model-2.safetensors'), 'three');
      expect(await weightsIdentity(shards)).not.toBe(whole);
      const single = path.join(shards, 'model-1.safetensors');
      expect(await weightsIdentity(single)).toBe(await fileIdentity(single));
    } finally {
      if (before === undefined) delete process.env.ACTIONCLIP_CACHE;
      else process.env.ACTIONCLIP_CACHE = before;
    }
  });
});

describe('the identity of a file', () => {
  it('is that of its content, and is remembered only as long as the file stays as it is', async () => {
    const before = process.env.ACTIONCLIP_CACHE;
    process.env.ACTIONCLIP_CACHE = path.join(folder, 'cache');
    try {
      const file = path.join(folder, 'weights');
      await writeFile(file, 'abc');
      const abc = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad';
      expect(await fileIdentity(file)).toBe(abc);
      expect(await fileIdentity(file)).toBe(abc);
      expect(await readdir(path.join(folder, 'cache'))).toEqual(['identities.json']);
      await writeFile(file, 'abcd');
      expect(await fileIdentity(file)).not.toBe(abc);
      await writeFile(path.join(folder, 'cache', 'identities.json'), 'torn {');
      await writeFile(file, 'abc');
      expect(await fileIdentity(file)).toBe(abc);
    } finally {
      if (before === undefined) delete process.env.ACTIONCLIP_CACHE;
      else process.env.ACTIONCLIP_CACHE = before;
    }
  });
});
