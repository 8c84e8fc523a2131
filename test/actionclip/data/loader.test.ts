import { execFile } from 'node:child_process';
import { rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ClipDataset, type ClipDatasetDescription } from '../../../packages/actionclip/src/data/dataset.ts';
import { FrameCache } from '../../../packages/actionclip/src/data/frame-cache.ts';
import { readClipTable } from '../../../packages/actionclip/src/data/lists.ts';
import {
  type ClipBatch,
  ClipLoader,
  type ClipLoaderOptions,
  type CorruptClipReport,
  type LoaderPosition,
} from '../../../packages/actionclip/src/data/loader.ts';
import { rejection, sharedData, withFolder, writeFrames } from './shared-clips.ts';

const clipCount = 11;
const segments = 3;
const side = 12;

let folder = '';
let done: () => void = () => {};
let removed: Promise<void> = Promise.resolve();

beforeAll(async () => {
  await new Promise<void>((ready, failed) => {
    removed = withFolder(async (name) => {
      folder = name;
      for (let clip = 0; clip < clipCount; clip++)
        await writeFrames(path.join(name, `clip${clip}`), clip * 20, 4 + clip);
      ready();
      await new Promise<void>((resolve) => {
        done = resolve;
      });
    });
    removed.catch(failed);
  });
});
afterAll(async () => {
  done();
  await removed;
});

function training(extra: Partial<ClipDatasetDescription> = {}): ClipDatasetDescription {
  return {
    entries: Array.from({ length: clipCount }, (_, label) => ({ path: path.join(folder, `clip${label}`), label })),
    sampling: { segments, randomShift: true },
    pipeline: { kind: 'training', inputSize: side },
    source: { imageTemplate: 'img_{:05d}.png' },
    seed: 5,
    ...extra,
  };
}

function evaluation(extra: Partial<ClipDatasetDescription> = {}): ClipDatasetDescription {
  return training({
    sampling: { segments, randomShift: false },
    pipeline: { kind: 'evaluation', inputSize: side },
    ...extra,
  });
}

type Content = Pick<ClipBatch, 'epoch' | 'batchIndex' | 'shape' | 'labels' | 'indices' | 'frames'>;

async function collect(
  dataset: ClipDatasetDescription,
  options: ClipLoaderOptions,
  from: LoaderPosition = { epoch: 0, batchIndex: 0 },
  lastEpoch = from.epoch,
): Promise<Content[]> {
  const loader = new ClipLoader(dataset, options);
  try {
    const batches: Content[] = [];
    for await (const { waitMilliseconds, ...batch } of loader.batches(from, lastEpoch)) {
      expect(waitMilliseconds).toBeGreaterThanOrEqual(0);
      batches.push(batch);
    }
    return batches;
  } finally {
    await loader.close();
  }
}

describe('a data set', () => {
  it('gives planar frames of the clip, and its class', async () => {
    const { frames, label } = await new ClipDataset(evaluation()).load(2, 0);
    expect(label).toBe(2);
    expect(frames).toHaveLength(segments * 3 * side * side);
    // clip 2 has 6 frames, of which 0, 2 and 4 are shown; a frame has the one colour (frame, clip * 20, 255 - frame)
    const planes = Array.from({ length: segments * 3 }, (_, plane) => frames[plane * side * side + 5]);
    expect(planes).toEqual([0, 40, 255, 2, 40, 253, 4, 40, 251]);
  });

  it('gives the same bytes for the same epoch and others for another', async () => {
    const dataset = new ClipDataset(training());
    const again = new ClipDataset(training());
    expect((await dataset.load(10, 3)).frames).toEqual((await again.load(10, 3)).frames);
    const epochs = await Promise.all(
      [0, 1, 2, 3, 4, 5].map(async (epoch) => (await dataset.load(10, epoch)).frames.join()),
    );
    expect(new Set(epochs).size).toBeGreaterThan(1);
  });

  it('gives the same bytes with a cache of any size', async () => {
    const plain = new ClipDataset(training());
    for (const cacheBytes of [0, 1000, 20_000, 1e9]) {
      const cached = new ClipDataset(training({ cacheBytes }));
      for (const epoch of [0, 1, 2]) {
        for (const index of [0, 10, 5]) expect(await cached.load(index, epoch)).toEqual(await plain.load(index, epoch));
      }
    }
  });

  it('reads cached frames from memory alone', async () => {
    await withFolder(async (own) => {
      await writeFrames(path.join(own, 'clip'), 1, 4);
      const entries = [{ path: path.join(own, 'clip'), label: 0, frames: 4 }];
      const cached = new ClipDataset(evaluation({ entries, cacheBytes: 1e6 }));
      const first = await cached.load(0, 0);
      await rm(path.join(own, 'clip', 'img_00001.png'));
      expect(await cached.load(0, 1)).toEqual(first);
      expect(await rejection(new ClipDataset(evaluation({ entries })).load(0, 0))).toContain(
        'img_00001.png: the frame does not',
      );
    });
  });

  it('of real video gives clips, cached whole or not at all', async () => {
    const table = await readClipTable(path.join(sharedData, 'ut-interaction6', 'labels.csv'));
    const description = training({ entries: table.clips.slice(0, 3), pipeline: { kind: 'training', inputSize: 32 } });
    const plain = new ClipDataset(description);
    const cached = new ClipDataset({ ...description, cacheBytes: 1e8 });
    for (const epoch of [0, 1]) {
      for (const index of [0, 1, 2]) expect(await cached.load(index, epoch)).toEqual(await plain.load(index, epoch));
    }
  });

  it('with a list that promises too many frames is an error', async () => {
    const entries = [{ path: path.join(folder, 'clip0'), label: 0, frames: 50 }];
    expect(await rejection(new ClipDataset(evaluation({ entries })).load(0, 0))).toMatch(
      /img_000\d\d\.png: the frame does not exist/,
    );
  });
});

describe('a frame cache', () => {
  it('never holds more than its bound', () => {
    const reservation = fc.record({ clip: fc.nat(5), bytes: fc.integer({ min: 1, max: 50 }) });
    fc.assert(
      fc.property(fc.nat(200), fc.array(reservation), (bound, reservations) => {
        const cache = new FrameCache(bound);
        const held = reservations.reduce((sum, { clip, bytes }) => sum + (cache.reserve(clip, bytes) ? bytes : 0), 0);
        expect(held).toBeLessThanOrEqual(bound);
      }),
    );
  });
});

describe('a loader', () => {
  it('gives every clip once an epoch, the last batch partial', async () => {
    const batches = await collect(evaluation(), { batchSize: 4 });
    expect(batches.map((batch) => batch.shape)).toEqual([
      [4, segments, 3, side, side],
      [4, segments, 3, side, side],
      [3, segments, 3, side, side],
    ]);
    expect(batches.flatMap((batch) => [...batch.indices])).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    expect(batches.flatMap((batch) => [...batch.labels])).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    expect(batches.every((batch) => batch.frames.length === batch.shape.reduce((a, b) => a * b))).toBe(true);
  });

  it('drops the last batch and shuffles anew each epoch, if told to', async () => {
    const batches = await collect(
      training(),
      { batchSize: 4, shuffle: true, dropLast: true },
      { epoch: 0, batchIndex: 0 },
      1,
    );
    expect(batches.map((batch) => [batch.epoch, batch.batchIndex])).toEqual([
      [0, 0],
      [0, 1],
      [1, 0],
      [1, 1],
    ]);
    const order = (epoch: number): number[] =>
      batches.filter((b) => b.epoch === epoch).flatMap((batch) => [...batch.indices]);
    expect(new Set(order(0)).size).toBe(8);
    expect(order(0)).not.toEqual(order(1));
  });

  it('shuffles into a permutation, for every number of clips, seed and epoch', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 50 }), fc.nat(), fc.nat(1000), (clips, seed, epoch) => {
        const entries = Array.from({ length: clips }, (_, label) => ({ path: `clip${label}`, label }));
        const loader = new ClipLoader(training({ entries, seed }), { batchSize: 1, shuffle: true });
        expect([...loader.order(epoch)].sort((a, b) => a - b)).toEqual(entries.map((entry) => entry.label));
      }),
    );
  });

  it('gives the same bytes with any number of worker threads and any prefetch', async () => {
    const options = { batchSize: 3, shuffle: true } as const;
    const expected = await collect(training(), options, { epoch: 2, batchIndex: 0 }, 3);
    for (const [workers, prefetch] of [
      [1, 1],
      [2, 3],
    ] as const) {
      const dataset = training({ cacheBytes: 30_000 });
      expect(await collect(dataset, { ...options, workers, prefetch }, { epoch: 2, batchIndex: 0 }, 3)).toEqual(
        expected,
      );
    }
  });

  it('goes on from any position with the batches of the unbroken run', async () => {
    const options = { batchSize: 3, shuffle: true, workers: 1 } as const;
    const whole = await collect(training(), options, { epoch: 0, batchIndex: 0 }, 1);
    expect(await collect(training(), options, { epoch: 0, batchIndex: 2 }, 1)).toEqual(whole.slice(2));
    expect(await collect(training(), options, { epoch: 0, batchIndex: 4 }, 1)).toEqual(whole.slice(4));
  });

  it('may be left in the middle of an epoch and asked again', async () => {
    const loader = new ClipLoader(evaluation(), { batchSize: 2, workers: 1 });
    for await (const batch of loader.batches({ epoch: 0, batchIndex: 0 })) {
      if (batch.batchIndex === 1) break;
    }
    const indices: number[] = [];
    for await (const batch of loader.batches({ epoch: 0, batchIndex: 4 })) indices.push(...batch.indices);
    expect(indices).toEqual([8, 9, 10]);
    await loader.close();
    expect(await rejection(loader.batches({ epoch: 0, batchIndex: 0 }).next())).toContain('the loader was closed');
  });

  it('loads real video in threads as it does without', async () => {
    const table = await readClipTable(path.join(sharedData, 'weizmann4', 'labels.csv'));
    const entries = table.clips.filter((clip) => clip.split === 'test');
    const dataset = evaluation({ entries, pipeline: { kind: 'evaluation', inputSize: 32 } });
    const alone = await collect(dataset, { batchSize: 10 });
    expect(alone.map((batch) => batch.indices.length)).toEqual([10, 10, 4]);
    expect(new Set(alone.flatMap((batch) => [...batch.labels])).size).toBe(4);
    expect(await collect({ ...dataset, cacheBytes: 1e8 }, { batchSize: 10, workers: 2 })).toEqual(alone);
  });

  it.each([
    [{ batchSize: 0 }, 'the batch size is 0; expected a whole number from 1'],
    [{ batchSize: 2, workers: -1 }, 'the number of workers is -1'],
    [{ batchSize: 2, prefetch: 0 }, 'the number of prefetched batches is 0'],
    [{ batchSize: 12, dropLast: true }, '11 clips do not fill one batch of 12'],
  ])('refuses %j', (options, message) => {
    expect(() => new ClipLoader(evaluation(), options)).toThrow(message);
  });

  it('refuses a data set without clips', () => {
    expect(() => new ClipLoader(evaluation({ entries: [] }), { batchSize: 1 })).toThrow('the data set has no clips');
  });
});

describe.each([0, 2])('a clip that cannot be read, with %i worker threads,', (workers) => {
  async function withBadClip(run: (dataset: ClipDatasetDescription, bad: string) => Promise<void>): Promise<void> {
    await withFolder(async (own) => {
      const bad = path.join(own, 'bad.mp4');
      await writeFile(bad, 'no video');
      const { entries, ...rest } = evaluation();
      await run(
        { ...rest, entries: entries.map((entry, index) => (index === 4 ? { ...entry, path: bad } : entry)) },
        bad,
      );
    });
  }

  it('is an error that names it', async () => {
    await withBadClip(async (dataset, bad) => {
      expect(await rejection(collect(dataset, { batchSize: 3, workers }))).toContain(
        `DataError: ${bad}: it cannot be opened as a video`,
      );
    });
  });

  it('is replaced, reported and counted, the same way every time', async () => {
    await withBadClip(async (dataset, bad) => {
      const runs = [];
      for (let run = 0; run < 2; run++) {
        const reports: CorruptClipReport[] = [];
        const onCorruptClip = (report: CorruptClipReport): void => void reports.push(report);
        runs.push(await collect(dataset, { batchSize: 3, workers, corruptClips: 'replace', onCorruptClip }));
        expect(reports.length).toBeGreaterThanOrEqual(1);
        expect(reports[0]).toMatchObject({ index: 4, path: bad, epoch: 0 });
        expect(reports[0]?.error.message).toContain(bad);
      }
      expect(runs[0]).toEqual(runs[1]);
      const [, second] = runs[0] ?? [];
      expect(second?.indices).toHaveLength(3);
      expect(second?.indices[1]).not.toBe(4);
      expect(second?.labels[1]).toBe(second?.indices[1]);
    });
  });

  it('is left out, so that no other clip counts twice', async () => {
    await withBadClip(async (dataset) => {
      const loader = new ClipLoader(dataset, { batchSize: 3, workers, corruptClips: 'skip' });
      const indices: number[] = [];
      for await (const batch of loader.batches({ epoch: 0, batchIndex: 0 })) {
        expect(batch.shape[0]).toBe(batch.indices.length);
        indices.push(...batch.indices);
      }
      expect(indices).toEqual([0, 1, 2, 3, 5, 6, 7, 8, 9, 10]);
      expect(loader.corruptClipCount).toBe(1);
      await loader.close();
    });
  });

  it('is not replaced for ever: a data set of nothing else is an error', async () => {
    await withBadClip(async ({ entries, ...rest }, bad) => {
      const dataset = { ...rest, entries: entries.map((entry) => ({ ...entry, path: bad })) };
      const problem = await rejection(collect(dataset, { batchSize: 3, workers, corruptClips: 'replace' }));
      expect(problem).toMatch(/(\d+ clips in a row cannot|None of the 11 clips can) be read, the last because of /);
      expect(problem).toContain(bad);
    });
  });
});

describe('a process run by tsx', () => {
  it('loads in threads, and ends by itself though its loader was not closed', async () => {
    const module = (name: string): string =>
      fileURLToPath(new URL(`../../../packages/actionclip/src/data/${name}`, import.meta.url));
    const script = `
      import { ClipLoader } from ${JSON.stringify(module('loader.ts'))};
      const loader = new ClipLoader(${JSON.stringify(evaluation())}, { batchSize: 4, workers: 2 });
      for await (const batch of loader.batches({ epoch: 0, batchIndex: 0 })) console.log([...batch.labels].join(' '));
    `;
    const root = fileURLToPath(new URL('../../../', import.meta.url));
    await withFolder(async (own) => {
      const file = path.join(own, 'run.mts');
      await writeFile(file, script);
      const args = ['--import', 'tsx', '--conditions=@actionclip/source', file];
      const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: root, timeout: 30_000 });
      expect(stdout).toBe('0 1 2 3\n4 5 6 7\n8 9 10\n');
    });
  });
});
