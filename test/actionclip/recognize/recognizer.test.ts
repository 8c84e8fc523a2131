// Recognition with small random models: what it gives is what evaluation gives, and its views, windows and labels obey
// their rules.
import { type Device, openDevice, setDefaultDevice } from '@actionclip/tensor';
import {
  type Classification,
  ClipLoader,
  DataError,
  evaluate,
  type FrameSource,
  openFrameSource,
  Recognizer,
  scoreTemplates,
  scoreViews,
  type TextCache,
} from 'actionclip';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { evaluationPipeline } from '../../../packages/actionclip/src/data/augment/pipelines.ts';
import { withFolder } from '../data/shared-clips.ts';
import { labels, madeVideo, picture, smallModel, tokenizer, writePictures } from './sources.ts';

let device: Device;
let recognizer: Recognizer;
beforeAll(async () => {
  device = await openDevice('wasm', { threads: 1, engineFlags: false });
  setDefaultDevice(device);
  recognizer = new Recognizer(await smallModel(), tokenizer);
});
afterAll(() => device.close());

const sum = (values: Iterable<number>): number => [...values].reduce((a, b) => a + b, 0);
async function all<T>(values: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const value of values) list.push(value);
  return list;
}

const variants = {
  Transf: {},
  'Conv_1D on shifted frames': { shift: true, temporal: 'Conv_1D' },
  'the joint prompt': { joint: true, temporal: 'meanP' },
} as const;

/** The largest difference of two lists of numbers. */
function distance(a: ArrayLike<number>, b: ArrayLike<number>): number {
  expect(a.length).toBe(b.length);
  return Array.from(a).reduce((most, value, i) => Math.max(most, Math.abs(value - (b[i] ?? Number.NaN))), 0);
}

describe('one clip through one square', () => {
  it.each(Object.entries(variants))('scores as evaluation does, with %s', async (_, options) => {
    const model = await smallModel(options);
    await withFolder(async (folder) => {
      await writePictures(folder, 30);
      const reading = { imageTemplate: 'img_{:05d}.png' };
      const loader = new ClipLoader(
        {
          entries: [{ path: folder, label: 2 }],
          sampling: { segments: 4, randomShift: false },
          pipeline: { kind: 'evaluation', inputSize: 16 },
          source: reading,
        },
        { batchSize: 1 },
      );
      const { scores } = await evaluate(model, loader, { tokenizer, labels, batchSize: 1 });
      await loader.close();
      const source = await openFrameSource(folder, reading);
      const { probabilities, sampled } = await new Recognizer(model, tokenizer).classify(source, labels);
      // The middles of four segments of 30 frames.
      expect(sampled.map(({ index }) => index)).toEqual([3, 10, 18, 25]);
      expect(distance(probabilities, scores.scores)).toBeLessThan(1e-6);
    });
  });

  it('shows the frames as the model saw them', async () => {
    const { sampled } = await recognizer.embedVideo(madeVideo(90).source);
    const bytes = evaluationPipeline(16)(sampled.map(({ index }) => picture(40, 32, index)));
    sampled.forEach(({ image }, frame) => {
      for (let channel = 0; channel < 3; channel++) {
        const plane = bytes.subarray((frame * 3 + channel) * 256, (frame * 3 + channel + 1) * 256);
        expect(image.data.filter((__, i) => i % 3 === channel)).toEqual(new Uint8ClampedArray(plane));
      }
    });
  });

  it('cuts squares from frames whose shorter side is what the model was trained with', async () => {
    const squeezed = new Recognizer(recognizer.model, tokenizer, { shortSide: 16 });
    const { sampled } = await squeezed.embedVideo(madeVideo(1).source);
    const expected = evaluationPipeline(16, 16)([picture(40, 32, 0)]);
    expect(sampled[0]?.image.data.filter((_, i) => i % 3 === 0)).toEqual(
      new Uint8ClampedArray(expected.subarray(0, 256)),
    );
    expect(sampled[0]?.image.data).not.toEqual(
      (await recognizer.embedVideo(madeVideo(1).source)).sampled[0]?.image.data,
    );
  });
});

describe('probabilities', () => {
  it.each(Object.entries(variants))('have the sum 1 in every window, with %s', async (_, extra) => {
    const own = new Recognizer(await smallModel(extra), tokenizer);
    for (const options of [{}, { clips: 2, crops: 3 as const }, { window: 0.5, stride: 0.2 }]) {
      const { probabilities, windows } = await own.classify(madeVideo(30).source, labels, options);
      for (const row of [probabilities, ...windows.map((window) => window.probabilities)])
        expect(sum(row)).toBeCloseTo(1, 9);
      const mean = labels.map((__, label) => sum(windows.map((window) => window.probabilities[label] ?? 0)));
      expect(
        distance(
          probabilities,
          mean.map((total) => total / windows.length),
        ),
      ).toBeLessThan(1e-12);
    }
  });

  it('are permuted as the labels are', async () => {
    const embedding = await recognizer.embedVideo(madeVideo(30).source, { clips: 2 });
    const score = async (names: readonly string[]): Promise<Classification> =>
      scoreViews(embedding, await recognizer.embedLabels(names, { templates: ['{}', 'a video of {}'] }), names);
    const plain = await score(labels);
    await fc.assert(
      fc.asyncProperty(fc.shuffledSubarray([...labels.keys()], { minLength: labels.length }), async (order) => {
        const permuted = await score(order.map((at) => labels[at] ?? ''));
        expect(
          distance(
            permuted.probabilities,
            order.map((at) => plain.probabilities[at] ?? 0),
          ),
        ).toBeLessThan(1e-6);
      }),
      { numRuns: 10 },
    );
  });

  it('are the mean over views of the softmax in each, not the softmax of a mean', async () => {
    const prompts = await recognizer.embedLabels(labels);
    const { windows } = await recognizer.embedVideo(madeVideo(30).source, { clips: 2, crops: 3 });
    const [{ views }] = windows as [(typeof windows)[number]];
    const { templates, classes, width } = prompts;
    const rows = Array.from({ length: 6 }, (_, view) => {
      const row = views.rows.subarray(view * width, (view + 1) * width);
      const cosines = Array.from({ length: templates * classes }, (__, prompt) =>
        sum(row.map((value, i) => value * (prompts.rows[prompt * width + i] ?? 0))),
      );
      return scoreTemplates(cosines, { templates, classes });
    });
    const { probabilities } = await recognizer.classify(madeVideo(30).source, labels, { clips: 2, crops: 3 });
    const mean = labels.map((_, label) => sum(rows.map((row) => row[label] ?? 0)) / 6);
    expect(distance(probabilities, mean)).toBeLessThan(1e-6);
    expect(new Set(rows.map((row) => row[0])).size).toBe(6);
  });
});

describe('a label set', () => {
  it('can change without the video being read again', async () => {
    const video = madeVideo(30);
    const embedding = await recognizer.embedVideo(video.source);
    const read = video.handed.length;
    for (const names of [labels, ['a', 'b'], ['yoga']]) {
      const scored = scoreViews(embedding, await recognizer.embedLabels(names), names);
      const whole = await recognizer.classify(madeVideo(30).source, names);
      expect(distance(scored.probabilities, whole.probabilities)).toBe(0);
    }
    expect(video.handed.length).toBe(read);
  });

  it('gives every frame its cosine with the mean of each label over the templates', async () => {
    const embedding = await recognizer.embedVideo(madeVideo(30).source);
    const prompts = await recognizer.embedLabels(labels);
    const { sampled } = scoreViews(embedding, prompts, labels);
    const text = (label: number, i: number): number =>
      sum(Array.from({ length: 16 }, (_, template) => prompts.rows[(template * 5 + label) * 16 + i] ?? 0));
    for (const [at, { similarities }] of sampled.entries()) {
      const feature = embedding.sampled[at]?.feature ?? new Float32Array();
      expect(Math.hypot(...feature)).toBeCloseTo(1, 5);
      const expected = labels.map((_, label) => {
        const mean = Array.from(feature, (__, i) => text(label, i));
        return sum(mean.map((value, i) => value * (feature[i] ?? 0))) / Math.hypot(...mean);
      });
      expect(distance(similarities, expected)).toBeLessThan(1e-6);
    }
  });

  it('takes from a cache what was computed before', async () => {
    const kept = new Map<string, Float32Array>();
    const asked: string[] = [];
    const cache: TextCache = {
      get: async (space, keys) => {
        asked.push(space);
        return new Map([...kept].filter(([key]) => keys.includes(key)));
      },
      put: async (_, rows) => {
        for (const [key, row] of rows)
          kept.set(
            key,
            row.map((value) => -value),
          );
      },
    };
    const cached = new Recognizer(recognizer.model, tokenizer, { texts: async () => ({ cache, space: 'tower' }) });
    const first = await cached.embedLabels(labels);
    expect(distance(first.rows, (await recognizer.embedLabels(labels)).rows)).toBeLessThan(1e-6);
    expect(kept.size).toBe(16 * labels.length);
    const second = await cached.embedLabels(labels);
    expect(second.rows).toEqual(first.rows.map((value) => -value));
    expect(asked).toEqual(['tower', 'tower']);
  });

  it('is refused where its prompts are of other labels or of another model', async () => {
    const embedding = await recognizer.embedVideo(madeVideo(4).source);
    const prompts = await recognizer.embedLabels(labels);
    expect(() => scoreViews(embedding, prompts, ['yoga'])).toThrow('1 labels and prompts of 5');
    expect(() => scoreViews(embedding, { ...prompts, width: 8 }, labels)).toThrow('take both from one model');
  });
});

describe('frames', () => {
  it('are encoded once, however many windows share them', async () => {
    const video = madeVideo(100);
    let encoded = 0;
    const { windows } = await recognizer.embedVideo(video.source, {
      window: 1.6,
      stride: 0.4,
      onEncoded: ({ pictures }) => {
        encoded = pictures;
      },
    });
    // Windows start every 0.4 s, as far apart as the four frames in each of them: all lie on one grid.
    expect(windows.map(({ start }) => Number(start.toFixed(6)))).toEqual([0, 0.4, 0.8, 1.2, 1.6, 2, 2.4]);
    expect(new Set(video.handed).size).toBe(video.handed.length);
    expect(encoded).toBe(10);
    expect(video.handed).toEqual([5, 15, 25, 35, 45, 55, 65, 75, 85, 95]);
  });

  it('are kept as pictures only as far as they are to be shown', async () => {
    const few = await recognizer.embedVideo(madeVideo(100).source, { window: 0.4, stride: 0.1, pictures: 7 });
    const every = await recognizer.embedVideo(madeVideo(100).source, { window: 0.4, stride: 0.1, pictures: 1000 });
    expect(few.sampled.length).toBe(7);
    const known = new Set(every.sampled.map(({ index }) => index));
    expect(few.sampled.every(({ index }) => known.has(index))).toBe(true);
    expect(few.windows).toEqual(every.windows);
  });

  it('are read again where the container was wrong about their number', async () => {
    for (const extra of [{}, { shift: true }]) {
      const own = new Recognizer(await smallModel(extra), tokenizer);
      for (const claimed of [20, 43]) {
        const wrong = await own.embedVideo(madeVideo(30, { claimed }).source, { clips: 2 });
        expect(wrong).toEqual(await own.embedVideo(madeVideo(30).source, { clips: 2 }));
      }
    }
  });
});

describe('an aborted signal', () => {
  it('stops between two batches', async () => {
    const controller = new AbortController();
    const video = madeVideo(1000);
    const seen: number[] = [];
    const onEncoded = ({ pictures }: { pictures: number }): void => {
      seen.push(pictures);
      if (seen.length === 2) controller.abort();
    };
    const options = { window: 4, stride: 1, signal: controller.signal, onEncoded };
    await expect(recognizer.embedVideo(video.source, options)).rejects.toMatchObject({ name: 'InterruptedError' });
    expect(seen).toEqual([2, 4]);
    expect(video.handed.length).toBeLessThan(12);
  });

  it('stops before the labels', async () => {
    const signal = AbortSignal.abort();
    await expect(recognizer.embedLabels(labels, { signal })).rejects.toMatchObject({ name: 'InterruptedError' });
  });
});

describe('labels that are too long', () => {
  it('are told with what they need, and no others: without them the rest is encoded', async () => {
    const { context } = recognizer.model.clip.sizes.text;
    const templates = ['{}', 'a video of {} &amp; more'];
    const fits = 'x '.repeat(8).trim();
    const tooLong = await recognizer.longLabels(['yoga', fits, 'x '.repeat(100)], { templates });
    expect(tooLong).toEqual([{ label: 'x '.repeat(100), tokens: expect.any(Number), context }]);
    await recognizer.embedLabels(['yoga', fits], { templates });
    const [{ tokens } = { tokens: 0 }] = tooLong;
    await expect(recognizer.embedLabels(['x '.repeat(100)], { templates: templates.slice(1) })).rejects.toMatchObject({
      name: 'TextTooLongError',
      tokens,
      contextLength: context,
    });
  });
});

describe('many videos', () => {
  const broken: FrameSource = {
    ...madeVideo(8).source,
    readEach: async () => {
      throw new DataError('b.mp4: the video is damaged', 'replace the video');
    },
  };
  const named = (path: string, source: FrameSource, closed: string[] = []) => ({
    path,
    open: async () => ({
      ...source,
      close: async () => {
        closed.push(path);
      },
    }),
  });

  it('go on after one that cannot be read, and each is closed', async () => {
    const closed: string[] = [];
    const videos = [
      named('a.mp4', madeVideo(8).source, closed),
      named('b.mp4', broken, closed),
      named('c', madeVideo(9).source, closed),
    ];
    const outcomes = await all(recognizer.classifyAll(videos, labels));
    expect(outcomes.map(({ path }) => path)).toEqual(['a.mp4', 'b.mp4', 'c']);
    expect(
      outcomes.map((outcome) => ('error' in outcome ? outcome.error.message : outcome.classification.frames)),
    ).toEqual([8, 'b.mp4: the video is damaged; replace the video', 9]);
    expect(closed).toEqual(['a.mp4', 'b.mp4', 'c']);
  });

  it('stop where the fault is not in a video', async () => {
    const faulty = { ...madeVideo(8).source, frameTimes: () => Promise.reject(new RangeError('a fault')) };
    await expect(all(recognizer.classifyAll([named('a.mp4', faulty)], labels))).rejects.toThrow('a fault');
  });
});
