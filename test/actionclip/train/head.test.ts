// A temporal head trained on features of clips that are in memory: by the paper's objective, with the towers as they are.
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { type Device, openDevice, setDefaultDevice } from '@actionclip/tensor';
import { type ActionCLIP, openCheckpointModel } from 'actionclip';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { OpenedCheckpoint } from '../../../packages/actionclip/src/checkpoints/build-model.ts';
import { modelFileParts } from '../../../packages/actionclip/src/checkpoints/own-layout.ts';
import { Random } from '../../../packages/actionclip/src/data/random.ts';
import type { PromptFeatures } from '../../../packages/actionclip/src/evaluate/features.ts';
import { FrameEncoder, someFrames } from '../../../packages/actionclip/src/recognize/frame-encoder.ts';
import { recognizerOf } from '../../../packages/actionclip/src/recognize/of-checkpoint.ts';
import { headModel, TRAINED_HEADS, type TrainedHeadName } from '../../../packages/actionclip/src/train/head-model.ts';
import { HeadScores, shareRight } from '../../../packages/actionclip/src/train/head-scores.ts';
import { type FeatureClip, trainHead } from '../../../packages/actionclip/src/train/head-training.ts';
import { heldOutPlaces } from '../../../packages/actionclip/src/train/held-out.ts';
import { bytesOf } from '../../end-to-end/tiny-run.ts';
import { withFolder } from '../data/shared-clips.ts';
import { labels, madeVideo, smallModel, tokenizer } from '../recognize/sources.ts';

const width = 16;
const names = ['raising one arm', 'yoga'];
const options = { epochs: 30, learningRate: 1e-2, seed: 3 };

let device: Device;
let opened: Pick<OpenedCheckpoint, 'model' | 'description' | 'tokenizer'>;
beforeAll(async () => {
  device = await openDevice('wasm', { threads: 1, engineFlags: false });
  setDefaultDevice(device);
  opened = await openedModel();
});
afterAll(() => device.close());

async function openedModel(more: Parameters<typeof smallModel>[0] = {}): Promise<typeof opened> {
  const model = (await smallModel(more)).eval();
  const { generator: _, ...description } = model.options;
  return { model, tokenizer, description: { ...description, vocabulary: tokenizer.toJSON() } };
}

/** Features of two classes in three templates, which a random text tower would hardly tell apart. */
const prompts: PromptFeatures = {
  rows: Float32Array.from({ length: 3 * 2 * width }, (_, i) => {
    const [template, label, at] = [Math.floor(i / (2 * width)), Math.floor(i / width) % 2, i % width];
    return at === 2 * label ? 0.8 : at === 5 + template ? 0.6 : 0;
  }),
  width,
  templates: 3,
  classes: 2,
};

/** Clips of 7 to 12 frames in two classes: the one is the other backwards. */
function clips(count: number, seed = 1): FeatureClip[] {
  const random = new Random(seed);
  return Array.from({ length: count }, (_, at) => {
    const [label, frames] = [at % 2, 7 + random.integer(6)];
    const rows = Float32Array.from({ length: frames * width }, (_value, i) => {
      const along = Math.floor(i / width) / (frames - 1) - 0.5;
      return (
        Math.sin(i % width) + 2 * (label === 0 ? along : -along) * Math.cos(3 * (i % width)) + random.normal(0, 0.1)
      );
    });
    return { rows, label };
  });
}

/** What each head needs for these clips. */
const pace: Readonly<Record<TrainedHeadName, Partial<typeof options>>> = {
  Transf: { epochs: 60 },
  Transf_cls: { epochs: 100, learningRate: 1e-2 },
  LSTM: {},
  Conv_1D: { epochs: 120, learningRate: 0.1 },
};

/** Trains to the end, and gives the losses. */
async function losses(model: ActionCLIP, some = clips(9), more: Partial<typeof options> = {}): Promise<number[]> {
  const all: number[] = [];
  for await (const { loss } of trainHead(model, some, prompts, { ...options, ...more })) all.push(loss);
  return all;
}

describe('a temporal head that is trained by itself', () => {
  it.each(TRAINED_HEADS)(
    'learns with %s what only the order of the frames tells, and moves nothing else',
    async (head) => {
      const before = bytesOf(await opened.model.stateDict());
      const { model } = await headModel(opened, head, 5);
      const fell = await losses(model, clips(9), pace[head]);
      expect(fell.at(-1)).toBeLessThan((fell[0] ?? 0) / 2);
      const scores = new HeadScores(model, prompts);
      const others = clips(20, 2);
      expect(shareRight(others, await scores.of(others))).toBeGreaterThanOrEqual(0.9);
      await scores.close();
      expect(bytesOf(await opened.model.stateDict())).toEqual(before);
    },
  );

  it('is the same for equal seeds, and another one for others', async () => {
    const trained = async (seed: number): Promise<unknown> => {
      const { model } = await headModel(opened, 'LSTM', 5);
      await losses(model, clips(9), { epochs: 3, seed });
      return bytesOf(await model.fusion.stateDict());
    };
    const first = await trained(3);
    expect(await trained(3)).toEqual(first);
    expect(await trained(4)).not.toEqual(first);
  });

  it('goes on from the head of the model where that is of its kind', async () => {
    const same = await headModel(opened, 'Transf', 5);
    expect(same.goesOn).toBe(true);
    expect(bytesOf(await same.model.stateDict())).toEqual(bytesOf(await opened.model.stateDict()));
    const other = await headModel(opened, 'LSTM', 5);
    expect([other.goesOn, other.description.temporal, other.description.temporalLayers]).toEqual([
      false,
      'LSTM',
      undefined,
    ]);
  });

  it('keeps what it has learnt where it is stopped', async () => {
    const { model } = await headModel(opened, 'LSTM', 5);
    for await (const { epoch } of trainHead(model, clips(9), prompts, options)) if (epoch === 2) break;
    const stopped = bytesOf(await model.fusion.stateDict());
    expect(model.fusion.training).toBe(false);
    const untouched = await headModel(opened, 'LSTM', 5);
    expect(stopped).not.toEqual(bytesOf(await untouched.model.fusion.stateDict()));
  });

  it('says that a loss is no number, and what to do', async () => {
    const { model } = await headModel(opened, 'LSTM', 5);
    const broken = clips(4).map((clip) => ({ ...clip, rows: clip.rows.map(() => Number.NaN) }));
    await expect(losses(model, broken)).rejects.toThrow(/epoch 1 the loss became no number; choose a smaller learning/);
  });

  it.each([{ joint: true, temporal: 'meanP' as const }, { shift: true }])(
    'is refused where the tower looks across frames: %o',
    async (more) => {
      const other = await openedModel(more);
      await expect(headModel(other, 'LSTM', 1)).rejects.toThrow(/looks at several frames together/);
      expect(() => new FrameEncoder(other)).toThrow(/no frame has features of its own/);
    },
  );

  it('is written as a file that opens as the same model, with its labels', async () => {
    const { model, description } = await headModel(opened, 'Transf_cls', 5);
    await losses(model, clips(9), { epochs: 2 });
    await withFolder(async (folder) => {
      const file = path.join(folder, 'trained.safetensors');
      const parts: Uint8Array[] = [];
      for await (const part of modelFileParts(model, description, names)) parts.push(part);
      await writeFile(file, Buffer.concat(parts));
      const read = await openCheckpointModel(file);
      expect([read.labels, read.untrained, read.unused]).toEqual([names, [], []]);
      expect(read.description).toMatchObject(description);
      expect(bytesOf(await read.model.stateDict())).toEqual(bytesOf(await model.stateDict()));
    });
  });
});

describe('features of single frames', () => {
  it('give the probabilities that recognition gives', async () => {
    const encoder = new FrameEncoder(opened);
    const recognizer = recognizerOf(opened as OpenedCheckpoint);
    const scores = new HeadScores(opened.model, await recognizer.embedLabels(labels));
    const squares = await someFrames(madeVideo(19).source, 32, encoder.square);
    expect(squares).toHaveLength(19);
    const heard: number[] = [];
    const rows = await encoder.encode(squares, (done) => void heard.push(done));
    expect([heard[0], heard.length]).toEqual([0, 10]);
    const [probabilities] = await scores.of([{ rows, label: 0 }]);
    const expected = await recognizer.classify(madeVideo(19).source, labels);
    for (const [label, probability] of expected.probabilities.entries())
      expect(probabilities?.[label]).toBeCloseTo(probability, 6);
    await Promise.all([encoder.close(), recognizer.close(), scores.close()]);
  });

  it('are of frames evenly over a video, whatever its container says of their number', async () => {
    const indices = async (claimed?: number): Promise<unknown> =>
      someFrames(madeVideo(100, claimed === undefined ? {} : { claimed }).source, 4, ({ data }) => data[0]);
    expect(await indices(80)).toEqual(await indices());
    expect(await indices()).toHaveLength(4);
  });
});

describe('clips that are held out', () => {
  it('are a fifth of each class, at least one, and none where a class has too few', () => {
    const of = (...counts: readonly number[]): number[] => counts.flatMap((count, label) => Array(count).fill(label));
    expect(heldOutPlaces(of(3, 2), 1)).toEqual([]);
    const counted = (list: readonly number[]): number[] => {
      const chosen = heldOutPlaces(list, 1).map((place) => list[place] as number);
      return [0, 1].map((label) => chosen.filter((one) => one === label).length);
    };
    expect(counted(of(3, 4))).toEqual([1, 1]);
    expect(counted(of(9, 10))).toEqual([1, 2]);
    expect(heldOutPlaces(of(8, 8), 1)).toEqual(heldOutPlaces(of(8, 8), 1));
    expect(heldOutPlaces(of(8, 8), 1)).not.toEqual(heldOutPlaces(of(8, 8), 2));
  });
});
